//! The configuration of a store: from a URL, the environment, a file, or code.

mod address;
mod environment;
#[cfg(feature = "serde")]
mod file;
#[cfg(feature = "metrics")]
mod metrics_label;
mod options;
mod others;
mod scheme;
mod setters;
mod settings;
mod text;
mod word;
mod words;

use std::fmt;
use std::str::FromStr;

use lock_core::{LockError, LockOptions, LockService, MAX_KEY_BYTES, Result, event};

use address::Address;
use environment::Environment;
use settings::{LAZY, NAMESPACE, Settings};
use text::invalid;
pub use text::nearest;

/// The configuration of a lock store: its URL, its settings, and the options of its locks.
///
/// It comes from a URL ([`from_url`](Self::from_url)), from the environment
/// ([`from_env`](Self::from_env)), or from a file (serde, with the feature `serde`), and setters
/// complete it. The same words are understood everywhere:
///
/// | URL's query, file | environment | meaning | default |
/// |---|---|---|---|
/// | | `DISTLOCK_URL` | the store; see [`connect`](crate::connect). In a file, `url` can also be a list, as in [`from_urls`](Self::from_urls) | |
/// | `namespace` | `DISTLOCK_NAMESPACE` | a prefix of all names | empty |
/// | `response_timeout` | `DISTLOCK_RESPONSE_TIMEOUT` | how long an answer of the store may take | `2s`, Dapr `5s` |
/// | `lazy` | `DISTLOCK_LAZY` | `true`: connect at the first operation only | `false` |
/// | `handover_grants` | `DISTLOCK_HANDOVER_GRANTS` | how often one grant is handed over between the tasks of the service: up to 1023, or `0` for strict order; see [`Handover`](crate::Handover) | `64` |
/// | `handover_time` | `DISTLOCK_HANDOVER_TIME` | for how long after the grant | `5ms` |
/// | `program` | `DISTLOCK_PROGRAM` | what others read who ask who holds a lock: the name of the program | the file name of the executable |
/// | `program_version` | `DISTLOCK_PROGRAM_VERSION` | the version of the program | none |
/// | `program_host` | `DISTLOCK_PROGRAM_HOST` | the machine on which it runs | its host name |
/// | `tls_ca_file` | `DISTLOCK_TLS_CA_FILE` | the file with the certificates (PEM) of the authorities that are trusted | the system's |
/// | `tls_cert_file`, `tls_key_file` | `DISTLOCK_TLS_CERT_FILE`, `DISTLOCK_TLS_KEY_FILE` | the files with the certificate and the private key (PEM) that are shown to the server | none |
/// | `tls_server_name` | `DISTLOCK_TLS_SERVER_NAME` | the name that the server's certificate has to be for | the host that is connected to |
/// | `password_file` | `DISTLOCK_PASSWORD_FILE` | the file with the password of the Redis store | none |
/// | `sentinel_password_file` | `DISTLOCK_SENTINEL_PASSWORD_FILE` | the file with the password of the Sentinels that name the master of the Redis store | none |
/// | `api_token_file` | `DISTLOCK_API_TOKEN_FILE` | the file with the API token of the Dapr sidecar | `DAPR_API_TOKEN` |
/// | `key_prefix` | `DISTLOCK_KEY_PREFIX` | the prefix of the keys of the Redis store | `lock:` |
/// | `replicas` | `DISTLOCK_REPLICAS` | how many replicas of the server of the Redis store have to confirm a lock | `0` |
/// | `endpoint` | `DISTLOCK_ENDPOINT` | the address of the Dapr sidecar | from the variables that Dapr sets |
///
/// These are options of every lock, each with the meaning of the setter of the same name in
/// [`LockOptions`]:
///
/// | URL's query, file | environment | meaning | default |
/// |---|---|---|---|
/// | `ttl` | `DISTLOCK_TTL` | how long the lease is, unless it is renewed | `60s` |
/// | `wait` | `DISTLOCK_WAIT` | how long to wait for a lock that is held, or `forever` | `acquire` waits `60s`, the others do not wait |
/// | `keep_alive` | `DISTLOCK_KEEP_ALIVE` | `true`: renew the lease while the guard lives; `if_supported`: do that if the store can | `false` |
/// | `max_hold` | `DISTLOCK_MAX_HOLD` | how long a lock can be held at most | no limit |
/// | `min_hold` | `DISTLOCK_MIN_HOLD` | how long the name stays taken at least | `0s` |
/// | `on_lost` | `DISTLOCK_ON_LOST` | what `execute` does with its body when the lease is lost: `cancel` or `continue` | `cancel` |
/// | `require_fencing` | `DISTLOCK_REQUIRE_FENCING` | `true`: refuse a store without fencing tokens | `false` |
///
/// Durations are a number with one of the units `ms`, `s`, `m`, `h`: `30s`, `1.5s`.
/// A setting that the store does not use is checked and then ignored, so that the same settings
/// work with every URL. Files for TLS are not ignored where the store could use TLS and its URL
/// asks for none: that is refused.
/// Options are not ignored: a store that lacks what an option asks for is refused.
///
/// **If a setting is given more than once, the last one counts.** A setter, the environment and a file
/// all count more than the query of the URL, and options that are set on a lock
/// (`locks.lock("x").ttl(…)`) count most. The [`defaults`](Self::defaults) of the program are used
/// for options that none of these set.
///
/// The `Debug` and `Display` texts of this type, and its errors, contain no user name and no password.
///
/// ```
/// use std::time::Duration;
/// use distlock::LockConfig;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// // Memory, unless the environment names a store.
/// let config = LockConfig::from_env().unwrap().default_url("memory:").unwrap();
/// let locks = config.ttl(Duration::from_secs(30)).connect().await.unwrap();
/// # locks.ping().await.unwrap();
/// # });
/// ```
///
/// From a file, with the feature `serde`:
///
/// ```
/// # #[cfg(feature = "serde")] {
/// let file = r#"
///     url = "memory:"
///     namespace = "shop:"
///     ttl = "30s"
///     wait = "5s"
/// "#;
/// let config: distlock::LockConfig = toml::from_str(file).unwrap();
/// # config.check().unwrap();
/// # }
/// ```
///
/// The file need not name the store: `toml::from_str::<LockConfig>(file)?.with_env()?` takes
/// the URL from `DISTLOCK_URL`. Nothing is missing before [`check`](Self::check) or
/// [`connect`](Self::connect).
///
/// Parsers such as `toml` quote the faulty line in their own errors, and that line may be the one
/// with the password: where that matters, show their message without the quotation
/// (`toml::de::Error::message`).
#[derive(Clone, Default)]
#[must_use = "a configuration does nothing until `connect`"]
pub struct LockConfig {
    /// May hold a password.
    url: Option<String>,
    /// The URL is there because nothing else named a store.
    is_default_url: bool,
    /// The environment was read, and has no URL.
    is_absent_from_env: bool,
    settings: Settings,
    options: LockOptions,
    #[cfg(feature = "metrics")]
    metrics_label: Option<metrics_label::LabelOf>,
}

impl LockConfig {
    /// A configuration without a store yet. The environment can set it, or a default.
    ///
    /// ```
    /// # fn main() -> distlock::Result<()> {
    /// use distlock::LockConfig;
    ///
    /// // As `from_env`, with a setting that the environment can override.
    /// let config = LockConfig::new().namespace("shop:").with_env()?.default_url("memory:")?;
    /// # config.check()
    /// # }
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration for the store at this URL, with the settings in its query.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig), naming the part of the URL and what is
    /// accepted.
    pub fn from_url(url: impl AsRef<str>) -> Result<Self> {
        Self::new().with_url(url.as_ref())
    }

    /// The configuration for a majority of the independent stores at these URLs, with the feature
    /// `quorum`: for servers with different credentials. Otherwise `redis+quorum://` is shorter.
    ///
    /// It is equivalent to one string with these URLs, separated by spaces. Settings apply to all
    /// of them, so none of the URLs has them in its query.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn from_urls(urls: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut all = String::new();
        for url in urls {
            // Each by itself, so that the fault of one is found there.
            Address::parse(url.as_ref())?;
            all.push_str(url.as_ref().trim());
            all.push(' ');
        }
        Self::from_url(all)
    }

    /// Reads the environment. If `DISTLOCK_URL` is not set, and neither a
    /// [default](Self::default_url) names a store, [`check`](Self::check) and
    /// [`connect`](Self::connect) fail.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig), naming the variable and what is
    /// accepted. Each variable whose name begins with `DISTLOCK_` must be one of those in the table,
    /// except `DISTLOCK_TEST_…`, which the tests of this library use, `DISTLOCK_NAME` and
    /// `DISTLOCK_FENCING_TOKEN`, which its command line sets, and those that Kubernetes sets for
    /// services whose names begin with `distlock`.
    pub fn from_env() -> Result<Self> {
        Self::new().with_env()
    }

    /// Adds the settings of the environment, which take precedence over those so far.
    /// `DISTLOCK_URL` replaces the URL.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn with_env(self) -> Result<Self> {
        self.with_variables(Environment::read(std::env::vars_os())?)
    }

    /// Replaces the URL, and with it the settings in its query, by another: for a program whose
    /// command line takes precedence over `DISTLOCK_URL`. All other settings stay.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn url(self, url: impl AsRef<str>) -> Result<Self> {
        self.with_url(url.as_ref())
    }

    /// The URL of the store if nothing else sets one: neither a URL, nor a file, nor the
    /// environment. It does not matter whether it is called before or after those are read.
    ///
    /// With `memory:`, the locks exclude nobody outside of the process. For a program that usually
    /// runs as several instances that is dangerous if the variable was only forgotten, so
    /// [`connect`](Self::connect) then logs a warning.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn default_url(self, url: impl AsRef<str>) -> Result<Self> {
        if self.url.is_some() {
            Address::parse(url.as_ref())?;
            return Ok(self);
        }
        Ok(Self { is_default_url: true, ..self.with_url(url.as_ref())? })
    }

    /// Checks everything that can be checked without the store. Call it if a configuration is read
    /// long before it is used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig), naming the setting, its value, and what
    /// is accepted; [`Unsupported`](crate::LockErrorKind::Unsupported) if an option asks for what the
    /// store cannot do; [`InvalidName`](crate::LockErrorKind::InvalidName) if the namespace makes
    /// every name one that the store refuses.
    pub fn check(&self) -> Result<()> {
        self.clone().build().map(drop)
    }

    /// Connects to the store, and asks it once whether it answers, unless `lazy` is set.
    ///
    /// # Errors
    ///
    /// As [`connect`](crate::connect).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn connect(self) -> Result<LockService> {
        let is_private = self.is_private_by_default(&self.address()?);
        let (service, is_lazy) = self.build()?;
        if is_private {
            event!(
                WARN,
                "private_store",
                "memory",
                "no store is configured: the locks are in this process's memory and exclude no other \
                 process; set DISTLOCK_URL to the URL of a store that all instances share"
            );
        }
        if !is_lazy {
            // The backend bounds it by its response timeout.
            service.ping().await.map_err(|error| error.as_operation("connect"))?;
        }
        service.log_store();
        Ok(service)
    }

    fn with_url(mut self, url: &str) -> Result<Self> {
        Address::parse(url)?;
        self.url = Some(url.to_owned());
        self.is_default_url = false;
        Ok(self)
    }

    fn with_variables(mut self, environment: Environment) -> Result<Self> {
        let Environment { url, settings } = environment;
        self.is_absent_from_env = url.is_none();
        self.settings = settings.over(self.settings);
        match url {
            Some(url) => self.with_url(&url),
            None => Ok(self),
        }
    }

    fn address(&self) -> Result<Address> {
        if let Some(url) = &self.url {
            return Address::parse(url);
        }
        let examples = scheme::examples();
        Err(invalid(if self.is_absent_from_env {
            format!(
                "no store is configured, and the environment variable DISTLOCK_URL is not set; set it to \
                 the URL of the store, such as {examples}"
            )
        } else {
            format!(
                "no store is configured; give the URL of one, such as {examples}, or read DISTLOCK_URL \
                 with `with_env`"
            )
        }))
    }

    /// Whether the locks are this process's own only because nobody named another store.
    fn is_private_by_default(&self, address: &Address) -> bool {
        address.is_in_memory() && (self.is_default_url || self.is_absent_from_env)
    }

    /// The service, and whether it is lazy.
    fn build(self) -> Result<(LockService, bool)> {
        let address = self.address()?;
        let settings = self.settings.over(address.settings);
        settings.check()?;
        scheme::check(&settings)?;
        let namespace = settings.text(&NAMESPACE).unwrap_or_default();
        if namespace.len() >= MAX_KEY_BYTES {
            return Err(invalid(format!(
                "namespace has {} bytes; it must leave room for a name within {MAX_KEY_BYTES}",
                namespace.len()
            )));
        }
        let service = settings
            .describe(LockService::builder((address.open)(&settings)?))
            .namespace(namespace)
            .handover(settings.handover())
            .defaults(options::apply(&settings, self.options));
        #[cfg(feature = "metrics")]
        let service = metrics_label::apply(service, self.metrics_label);
        let service = service.build();
        service.check().map_err(|error| error.with_operation("connect"))?;
        Ok((service, settings.flag(&LAZY) == Some(true)))
    }
}

/// Reads a URL, as [`LockConfig::from_url`].
impl FromStr for LockConfig {
    type Err = LockError;

    fn from_str(url: &str) -> Result<Self> {
        Self::from_url(url)
    }
}

/// Shows the address of the store, without user name, password and query.
impl fmt::Display for LockConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url.as_deref().map(Address::parse) {
            Some(Ok(address)) => fmt::Display::fmt(&address, f),
            Some(Err(_)) => f.write_str("(not a URL of a store)"),
            None => f.write_str("(no store)"),
        }
    }
}

/// Shows what counts: the settings with those of the URL, and the options of locks that come of them.
impl fmt::Debug for LockConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_url = self.url.as_deref().and_then(|url| Address::parse(url).ok());
        let in_url = in_url.map(|address| address.settings).unwrap_or_default();
        let settings = self.settings.clone().over(in_url);
        f.debug_struct("LockConfig")
            .field("url", &format_args!("{self}"))
            .field("settings", &settings)
            .field("options", &options::apply(&settings, self.options.clone()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())))
            .unwrap()
    }

    #[test]
    fn the_environment_counts_more_than_what_was_said_before_and_less_than_what_is_said_after() {
        let hour = Duration::from_secs(3_600);
        let before = LockConfig::from_url("memory:a?ttl=1s").unwrap().namespace("a").lazy(true);
        let variables =
            [("DISTLOCK_URL", "memory:b?ttl=2s&namespace=c"), ("DISTLOCK_NAMESPACE", "b")];
        let config = before.with_variables(environment(&variables)).unwrap().ttl(hour);
        assert_eq!(config.to_string(), "memory:b");
        let mut expected = Settings::default();
        expected.put(&NAMESPACE, "b".to_owned());
        expected.put(&options::TTL, hour);
        expected.put(&LAZY, true);
        assert_eq!(config.settings, expected);
        let unchanged = config.clone().with_variables(environment(&[])).unwrap();
        assert_eq!(unchanged.to_string(), "memory:b");
        assert_eq!(unchanged.settings, expected);
    }

    #[test]
    fn a_url_that_is_given_later_replaces_that_of_the_environment_and_nothing_else() {
        let variables = [("DISTLOCK_URL", "memory:b?ttl=2s"), ("DISTLOCK_NAMESPACE", "b")];
        let config = LockConfig::from_url("memory:a").unwrap();
        let config = config.with_variables(environment(&variables)).unwrap();
        let config = config.url("memory:c?lazy=true").unwrap();
        assert_eq!(config.to_string(), "memory:c");
        let mut expected = Settings::default();
        expected.put(&NAMESPACE, "b".to_owned());
        assert_eq!(config.settings, expected);
        let error = config.url("nowhere").unwrap_err();
        assert_eq!(error.kind(), lock_core::LockErrorKind::InvalidConfig);
    }

    #[test]
    fn what_is_missing_is_missed_when_everything_was_read() {
        let nothing = LockConfig::new();
        assert_eq!(nothing.to_string(), "(no store)");
        let error = nothing.check().unwrap_err().to_string();
        assert!(error.contains("no store is configured; give the URL of one"), "{error}");
        let early = LockConfig::new().ttl(Duration::from_secs(1));
        let named = early.with_variables(environment(&[("DISTLOCK_URL", "memory:a")])).unwrap();
        named.check().unwrap();
    }

    #[test]
    fn a_default_counts_least_wherever_it_is_said() {
        let names = [("DISTLOCK_URL", "memory:named")];
        let before = LockConfig::new().default_url("memory:default").unwrap();
        let after = |config: LockConfig| config.default_url("memory:default").unwrap();
        for (config, shown) in [
            (before.clone(), "memory:default"),
            (before.clone().with_variables(environment(&[])).unwrap(), "memory:default"),
            (before.with_variables(environment(&names)).unwrap(), "memory:named"),
            (after(LockConfig::new().with_variables(environment(&names)).unwrap()), "memory:named"),
            (after(LockConfig::new().with_variables(environment(&[])).unwrap()), "memory:default"),
            (after(LockConfig::from_url("memory:url").unwrap()), "memory:url"),
        ] {
            assert_eq!(config.to_string(), shown);
            config.check().unwrap();
        }
        let error = LockConfig::from_url("memory:").unwrap().default_url("memroy:").unwrap_err();
        assert!(error.to_string().contains("did you mean `memory`"), "{error}");
    }

    #[test]
    fn only_a_store_in_memory_that_nobody_named_is_private_by_default() {
        let read = |config: LockConfig| config.with_variables(environment(&[])).unwrap();
        let from = |url| LockConfig::from_url(url).unwrap();
        for (config, is_private) in [
            (LockConfig::new().default_url("memory:x").unwrap(), true),
            (read(LockConfig::new()).default_url("memory:").unwrap(), true),
            (read(from("memory:x")), true),
            (from("memory:x"), false),
            (
                from("memory:")
                    .with_variables(environment(&[("DISTLOCK_URL", "memory:")]))
                    .unwrap(),
                false,
            ),
        ] {
            let address = config.address().unwrap();
            assert_eq!(config.is_private_by_default(&address), is_private, "{config:?}");
        }
        #[cfg(feature = "redis")]
        for config in [LockConfig::new().default_url("redis://h").unwrap(), read(from("redis://h"))]
        {
            assert!(!config.is_private_by_default(&config.address().unwrap()), "{config:?}");
        }
    }

    #[test]
    fn the_environment_alone_must_name_a_store_that_can_be() {
        let read = |variables| LockConfig::new().with_variables(environment(variables));
        assert_eq!(read(&[("DISTLOCK_URL", "memory:")]).unwrap().to_string(), "memory:");
        let error = read(&[("DISTLOCK_URL", "")]).unwrap_err().to_string();
        assert!(error.contains("the URL is empty"), "{error}");
        let error = read(&[("DISTLOCK_TTL", "1s")]).unwrap().check().unwrap_err();
        assert_eq!(error.kind(), crate::LockErrorKind::InvalidConfig);
        assert!(error.to_string().contains("DISTLOCK_URL is not set"), "{error}");
    }
}

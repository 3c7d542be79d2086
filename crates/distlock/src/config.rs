//! The configuration of a store: from a URL, the environment, a file, or code.

mod address;
mod environment;
#[cfg(feature = "serde")]
mod file;
mod options;
mod scheme;
mod settings;
mod text;
mod word;
mod words;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lock_core::{LockError, LockOptions, LockService, MAX_KEY_BYTES, Result};

use address::Address;
use environment::Environment;
use scheme::{dapr, redis};
use settings::{LAZY, NAMESPACE, RESPONSE_TIMEOUT, Settings};
use text::invalid;

/// The configuration of a lock store: its URL, its settings, and the options of its locks.
///
/// It comes from a URL ([`from_url`](Self::from_url)), from the environment
/// ([`from_env`](Self::from_env)), or from a file (serde, with the feature `serde`), and setters
/// complete it. The same words are understood everywhere:
///
/// | URL's query, file | environment | meaning | default |
/// |---|---|---|---|
/// | | `DISTLOCK_URL` | the store; see [`connect`](crate::connect) | |
/// | `namespace` | `DISTLOCK_NAMESPACE` | a prefix of all names | empty |
/// | `response_timeout` | `DISTLOCK_RESPONSE_TIMEOUT` | how long an answer of the store may take | `2s`, Dapr `5s` |
/// | `lazy` | `DISTLOCK_LAZY` | `true`: connect at the first operation only | `false` |
/// | `key_prefix` | `DISTLOCK_KEY_PREFIX` | the prefix of the keys of the Redis store | `lock:` |
/// | `mode` | `DISTLOCK_MODE` | `auto`, or `plain`: nothing but `SET NX PX` | `auto` |
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
/// Durations are a whole number with one of the units `ms`, `s`, `m`, `h`: `30s`.
/// A setting that the store does not use is checked and then ignored, so that the same settings
/// work with every URL.
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
/// let config = LockConfig::from_url("memory:").unwrap().with_env().unwrap();
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
/// Parsers such as `toml` quote the faulty line in their own errors, and that line may be the one
/// with the password: where that matters, show their message without the quotation
/// (`toml::de::Error::message`).
#[derive(Clone)]
#[must_use = "a configuration does nothing until `connect`"]
pub struct LockConfig {
    /// May hold a password.
    url: String,
    settings: Settings,
    options: LockOptions,
}

impl LockConfig {
    /// The configuration for the store at this URL, with the settings in its query.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig), naming the part of the URL and what is
    /// accepted.
    pub fn from_url(url: impl AsRef<str>) -> Result<Self> {
        let config = Self { url: url.as_ref().to_owned(), ..Self::empty() };
        Address::parse(&config.url)?;
        Ok(config)
    }

    /// Reads the environment; `DISTLOCK_URL` must be set.
    ///
    /// A program with a default store writes
    /// `LockConfig::from_url("memory:")?.with_env()?`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig), naming the variable and what is
    /// accepted. A variable whose name looks like a misspelt one of these is refused too.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(Environment::read(std::env::vars_os())?)
    }

    /// Adds the settings of the environment, which count more than those so far. `DISTLOCK_URL`
    /// replaces the URL.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env), except that no variable has to be set.
    pub fn with_env(self) -> Result<Self> {
        self.with_variables(Environment::read(std::env::vars_os())?)
    }

    /// Replaces the URL, and with it the settings in its query, by another: for a program whose
    /// command line counts more than `DISTLOCK_URL`. All other settings stay.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn url(mut self, url: impl AsRef<str>) -> Result<Self> {
        url.as_ref().clone_into(&mut self.url);
        Address::parse(&self.url)?;
        Ok(self)
    }

    /// A prefix of all names, such as `shop:`. It is used as it is; no separator is added.
    pub fn namespace(mut self, prefix: impl Into<String>) -> Self {
        self.settings.put(&NAMESPACE, prefix.into());
        self
    }

    /// The prefix of the keys of the Redis store; the namespace and the name follow it. Default:
    /// `lock:`.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.put(&redis::KEY_PREFIX, prefix.into());
        self
    }

    /// How long the lease of a lock is that sets no ttl itself. Default: 60 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.put(&options::TTL, ttl);
        self
    }

    /// How long an answer of the store may take, including the time to connect. Default: 2 s for
    /// Redis, 5 s for Dapr.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.settings.put(&RESPONSE_TIMEOUT, timeout);
        self
    }

    /// The address of the Dapr sidecar: `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT` or
    /// `unix:PATH`. Default: from the environment variables that Dapr sets.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.settings.put(&dapr::ENDPOINT, endpoint.into());
        self
    }

    /// Whether [`connect`](Self::connect) returns without asking the store. Default: `false`.
    pub fn lazy(mut self, lazy: bool) -> Self {
        self.settings.put(&LAZY, lazy);
        self
    }

    /// How the Redis store takes locks. Default: [`Mode::Auto`](crate::redis::Mode::Auto).
    #[cfg(feature = "redis")]
    pub fn mode(mut self, mode: crate::redis::Mode) -> Self {
        self.settings.put(&redis::MODE, redis::mode(mode));
        self
    }

    /// The options that every lock starts with. Options that are set in the URL, the environment or a
    /// file count more.
    pub fn defaults(mut self, options: LockOptions) -> Self {
        self.options = options;
        self
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
        let (service, is_lazy) = self.build()?;
        if !is_lazy {
            // The backend bounds it by its response timeout.
            service.ping().await?;
        }
        Ok(service)
    }

    fn empty() -> Self {
        Self { url: String::new(), settings: Settings::default(), options: LockOptions::new() }
    }

    fn from_variables(environment: Environment) -> Result<Self> {
        if environment.url.is_none() {
            return Err(invalid(format!(
                "the environment variable DISTLOCK_URL is not set; set it to the URL of the store, \
                 such as {}",
                scheme::examples()
            )));
        }
        Self::empty().with_variables(environment)
    }

    fn with_variables(mut self, environment: Environment) -> Result<Self> {
        let Environment { url, settings } = environment;
        if let Some(url) = url {
            Address::parse(&url)?;
            self.url = url;
        }
        self.settings = settings.over(self.settings);
        Ok(self)
    }

    /// The service, and whether it is lazy.
    fn build(self) -> Result<(LockService, bool)> {
        let address = Address::parse(&self.url)?;
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
        let service = (address.open)(&settings)?
            .namespace(namespace)
            .defaults(options::apply(&settings, self.options))
            .build();
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
        match Address::parse(&self.url) {
            Ok(address) => fmt::Display::fmt(&address, f),
            Err(_) => f.write_str("(not a URL of a store)"),
        }
    }
}

impl fmt::Debug for LockConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockConfig")
            .field("url", &format_args!("{self}"))
            .field("settings", &self.settings)
            .field("options", &self.options)
            .finish()
    }
}

#[cfg(test)]
mod tests {
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
    fn the_environment_alone_must_name_a_store_that_can_be() {
        let read = |variables| LockConfig::from_variables(environment(variables));
        assert_eq!(read(&[("DISTLOCK_URL", "memory:")]).unwrap().to_string(), "memory:");
        for (variables, cause) in [
            (&[("DISTLOCK_TTL", "1s")][..], "DISTLOCK_URL is not set"),
            (&[("DISTLOCK_URL", "")], "the URL is empty"),
        ] {
            let error = read(variables).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
    }
}

//! How a [`DaprBackend`] is set up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dapr::client::DEFAULT_DAPR_GRPC_PORT;
use lock_core::duration_text::exact;
use lock_core::{LockError, LockErrorKind, Result};
use tonic::transport::Channel;

use crate::backend::DaprBackend;
use crate::credentials::{ApiToken, SecuredAddress, TlsSettings};
use crate::endpoint::Address;
use crate::environment::Environment;
use crate::link::{Link, Source};
use crate::pending_releases::PendingReleases;
use crate::sidecar::Sidecar;

/// As long as Dapr's own clients wait for a connection. The sidecar asks its store up to four times
/// before it gives up.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// A shorter timeout would replace the channel at every short delay; a longer one would notice a dead
/// sidecar too late.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));
/// The sidecar pauses for half a second before it asks its store again, so a refusal that comes
/// sooner is the answer to its first request.
const DEFAULT_VERIFY_AFTER: Duration = Duration::from_millis(250);

/// Builds a [`DaprBackend`]; see [`DaprBackend::builder`].
///
/// Its `Debug` output shows no token.
#[must_use = "a builder does nothing until `build` is called"]
pub struct DaprBackendBuilder {
    store: String,
    target: Target,
    environment: Option<Result<Environment>>,
    api_token: Option<Token>,
    tls: TlsSettings,
    timeout: Duration,
    verify_after: Duration,
}

enum Target {
    /// Where sidecars listen unless told otherwise.
    Default,
    Endpoint(String),
    Channel(Channel),
}

enum Token {
    Text(String),
    File(PathBuf),
}

impl DaprBackend {
    /// Starts to set up a backend on a lock store of the sidecar. The store's name is the
    /// `metadata.name` of its component.
    ///
    /// ```
    /// # mod distlock { pub use lock_core::*; pub mod dapr { pub use lock_dapr::*; } }
    /// use distlock::LockService;
    /// use distlock::dapr::DaprBackend;
    ///
    /// # fn main() -> distlock::Result<()> {
    /// let backend = DaprBackend::builder("lockstore").endpoint("127.0.0.1:50001").build()?;
    /// let locks = LockService::new(backend);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(store: impl Into<String>) -> DaprBackendBuilder {
        DaprBackendBuilder::new(store.into())
    }
}

impl DaprBackendBuilder {
    fn new(store: String) -> Self {
        Self {
            store,
            target: Target::Default,
            environment: None,
            api_token: None,
            tls: TlsSettings::default(),
            timeout: DEFAULT_TIMEOUT,
            verify_after: DEFAULT_VERIFY_AFTER,
        }
    }

    /// Reads the environment variables that every Dapr SDK reads: `DAPR_GRPC_ENDPOINT`, or else
    /// `DAPR_GRPC_PORT` for a sidecar on this machine, and `DAPR_API_TOKEN`.
    ///
    /// [`endpoint`](Self::endpoint), [`channel`](Self::channel) and [`api_token`](Self::api_token)
    /// take precedence over the environment, in whichever order they are called.
    pub fn from_env(mut self) -> Self {
        self.environment = Some(Environment::read());
        self
    }

    /// The sidecar's gRPC endpoint; `127.0.0.1:50001` unless it is set.
    ///
    /// The forms are those of Dapr's own clients: `HOST[:PORT]`, `dns:HOST[:PORT]`,
    /// `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:PATH`. `?tls=true` behind the first two
    /// turns TLS on.
    /// As in those clients, the port is 443 if it is left out.
    /// TLS needs the feature `tls`; without it, such an endpoint is refused.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.target = Target::Endpoint(endpoint.into());
        self
    }

    /// Uses an existing channel instead of making channels.
    ///
    /// This is for settings that an endpoint cannot express.
    /// The [`Channel`] is of tonic 0.14.
    /// It is driven by the tokio runtime in which it was made, and is never replaced: when that
    /// runtime ends, every operation fails.
    pub fn channel(mut self, channel: Channel) -> Self {
        self.target = Target::Channel(channel);
        self
    }

    /// The API token that the sidecar requires, the `DAPR_API_TOKEN` of the sidecar.
    ///
    /// No message and no `Debug` output of this library shows it.
    pub fn api_token(mut self, token: impl Into<String>) -> Self {
        self.api_token = Some(Token::Text(token.into()));
        self
    }

    /// The file with the API token, in place of [`api_token`](Self::api_token). Line breaks at its
    /// end do not count.
    ///
    /// The file is read for each request, so a replaced token takes effect with the next request.
    pub fn api_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.api_token = Some(Token::File(path.into()));
        self
    }

    /// The file with the certificates, in PEM form, of the authorities that the sidecar's certificate
    /// may come from, in place of those of the system.
    ///
    /// As the other two files for TLS, it is read for each new channel. It needs the feature `tls`,
    /// and an endpoint with TLS.
    pub fn tls_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.ca = Some(path.into());
        self
    }

    /// The file with the certificate that this client shows to the sidecar, in PEM form, with those
    /// between it and its authority if there are any. It needs [`tls_key_file`](Self::tls_key_file).
    pub fn tls_cert_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.cert = Some(path.into());
        self
    }

    /// The file with the private key of [`tls_cert_file`](Self::tls_cert_file), in PEM form and not
    /// encrypted.
    pub fn tls_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.key = Some(path.into());
        self
    }

    /// The name that the sidecar's certificate has to be for, where it is not for the host that is
    /// connected to.
    ///
    /// It is a host name or an IP address, without a port. It needs the feature `tls`, and an
    /// endpoint with TLS.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls.server_name = Some(name.into());
        self
    }

    /// How long an operation may take, including the time to connect: 10 ms to 60 s. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Verifies a refusal that took at least this long, by a second call. Default: 250 ms.
    ///
    /// A slow refusal may come from the attempt itself; see the crate's documentation.
    /// Zero verifies every refusal. Use it if the sidecar repeats requests to its store sooner than
    /// Dapr's own components do.
    pub fn verify_refusals_after(mut self, duration: Duration) -> Self {
        self.verify_after = duration;
        self
    }

    /// Builds the backend. It connects at the first operation.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](LockErrorKind::InvalidConfig) if the name of the store is empty, or if the
    /// endpoint, an environment variable or a setting is not allowed.
    pub fn build(self) -> Result<DaprBackend> {
        self.check()?;
        let environment = self.environment.transpose()?.unwrap_or_default();
        let api_token = match self.api_token.or(environment.api_token.map(Token::Text)) {
            Some(Token::Text(token)) => ApiToken::fixed(token)?,
            Some(Token::File(path)) => ApiToken::in_file(path)?,
            None => ApiToken::None,
        };
        let tls = self.tls;
        let (source, address) = match (self.target, environment.endpoint) {
            (Target::Channel(_), _) if !tls.is_empty() => {
                return Err(invalid(
                    "TLS is configured, and an existing channel has its own; leave out \
                     tls_ca_file, tls_cert_file, tls_key_file and tls_server_name",
                ));
            }
            (Target::Channel(channel), _) => {
                (Source::Existing(channel), "an existing channel".to_owned())
            }
            (Target::Endpoint(endpoint), _) | (Target::Default, Some(endpoint)) => {
                open(&endpoint, tls)?
            }
            (Target::Default, None) => open(&format!("127.0.0.1:{DEFAULT_DAPR_GRPC_PORT}"), tls)?,
        };
        let address: Arc<str> = address.into();
        Ok(DaprBackend {
            sidecar: Sidecar::new(self.store, api_token),
            caller: Link::new(source.clone(), Arc::clone(&address)),
            background: Link::new(source, address),
            timeout: self.timeout,
            verify_after: self.verify_after,
            pending_releases: PendingReleases::default(),
        })
    }

    fn check(&self) -> Result<()> {
        if self.store.is_empty() {
            return Err(invalid(
                "the lock store has no name; it is the metadata.name of the sidecar's component",
            ));
        }
        let (shortest, longest) = TIMEOUTS;
        if !(shortest..=longest).contains(&self.timeout) {
            return Err(invalid(format!(
                "the timeout is {}; {} to {} are allowed",
                exact(self.timeout),
                exact(shortest),
                exact(longest)
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for DaprBackendBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.target {
            Target::Default => "the default",
            Target::Endpoint(_) => "an endpoint",
            Target::Channel(_) => "an existing channel",
        };
        f.debug_struct("DaprBackendBuilder")
            .field("store", &self.store)
            .field("sidecar", &target)
            .field("reads_environment", &self.environment.is_some())
            .field("timeout", &self.timeout)
            .field("verify_refusals_after", &self.verify_after)
            .finish_non_exhaustive()
    }
}

fn open(endpoint: &str, tls: TlsSettings) -> Result<(Source, String)> {
    let address = Address::parse(endpoint)?;
    let shown = address.to_string();
    if tls.is_empty() {
        return Ok((Source::Endpoint(Box::new(address.open()?)), shown));
    }
    let address = SecuredAddress::new(address, tls)?;
    // Finds out now what would be wrong with each channel.
    address.open()?;
    Ok((Source::Secured(Arc::new(address)), shown))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> DaprBackendBuilder {
        DaprBackendBuilder::new("lockstore".into())
    }

    fn refused(builder: DaprBackendBuilder) -> String {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        error.to_string()
    }

    #[test]
    fn settings_that_cannot_work_are_refused_at_once() {
        assert!(refused(DaprBackendBuilder::new(String::new())).contains("metadata.name"));
        assert!(refused(builder().endpoint("host:0")).contains("1 to 65535"));
        assert!(refused(builder().timeout(Duration::ZERO)).contains("10ms to 60s"));
        assert!(refused(builder().api_token("s3cret\n")).contains("visible ASCII"));
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_at_once() {
        let missing = std::env::temp_dir().join("distlock-missing");
        let error = refused(builder().api_token_file(&missing));
        assert!(error.contains("api_token_file: the file"), "{error}");
        assert!(refused(builder().api_token_file("s3cret")).contains("not the secret itself"));
        let error = refused(builder().tls_ca_file(&missing));
        assert!(error.contains("the endpoint has no TLS; write https://"), "{error}");
        let over_tls = || builder().endpoint("https://host:1");
        if cfg!(not(feature = "tls")) {
            assert!(refused(over_tls().tls_ca_file(&missing)).contains("feature `tls`"));
            return;
        }
        let error = refused(over_tls().tls_ca_file(&missing));
        assert!(error.contains("distlock-missing cannot be used"), "{error}");
        assert!(refused(over_tls().tls_cert_file(&missing)).contains("set both"));
    }

    #[test]
    fn the_builder_takes_precedence_over_the_environment() {
        let environment = || {
            let (endpoint, api_token) = (Some("dns:there:1".into()), Some("theirs".into()));
            Some(Ok(Environment { endpoint, api_token }))
        };
        let mut set = builder().endpoint("here:2");
        set.environment = environment();
        assert_eq!(set.build().unwrap().caller.address(), "here:2");
        let mut unset = builder();
        unset.environment = environment();
        assert_eq!(unset.build().unwrap().caller.address(), "there:1");
        assert_eq!(builder().build().unwrap().caller.address(), "127.0.0.1:50001");
    }

    #[test]
    fn no_text_shows_the_token() {
        let builder = builder().api_token("s3cret");
        assert!(!format!("{builder:?}").contains("s3cret"));
        let backend = builder.build().unwrap();
        let text = format!("{backend:?} {:?}", backend.sidecar);
        assert!(text.contains("127.0.0.1:50001") && !text.contains("s3cret"), "{text}");
        assert!(!refused(self::builder().api_token("s3cret\n")).contains("s3cret"));
    }
}

//! How a [`DaprBackend`] is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dapr::client::DEFAULT_DAPR_GRPC_PORT;
use lock_core::{LockError, LockErrorKind, Result};
use tonic::transport::Channel;

use crate::backend::DaprBackend;
use crate::departures::Departures;
use crate::endpoint::Address;
use crate::environment::Environment;
use crate::link::{Link, Source};
use crate::sidecar::Sidecar;

/// As long as Dapr's own clients wait for a connection: the sidecar asks its store up to four
/// times before it gives up.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below, every hiccup would cost a channel; above, a dead sidecar would be believed in for too
/// long.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));
/// The sidecar pauses for half a second before it asks its store again, so a refusal that came
/// sooner was the answer to the first question.
const DEFAULT_DOUBT: Duration = Duration::from_millis(250);

/// Builds a [`DaprBackend`]; see [`DaprBackend::builder`].
///
/// Its `Debug` output shows no token.
#[must_use = "a builder does nothing until `build` is called"]
pub struct DaprBackendBuilder {
    store: String,
    place: Place,
    environment: Option<Result<Environment>>,
    api_token: Option<String>,
    timeout: Duration,
    doubt_after: Duration,
}

enum Place {
    /// Where sidecars listen unless told otherwise.
    Default,
    Endpoint(String),
    Channel(Channel),
}

impl DaprBackendBuilder {
    pub(crate) fn new(store: String) -> Self {
        Self {
            store,
            place: Place::Default,
            environment: None,
            api_token: None,
            timeout: DEFAULT_TIMEOUT,
            doubt_after: DEFAULT_DOUBT,
        }
    }

    /// Reads the environment as every Dapr SDK does: `DAPR_GRPC_ENDPOINT`, else `DAPR_GRPC_PORT` on
    /// this machine, and `DAPR_API_TOKEN`.
    ///
    /// What [`endpoint`](Self::endpoint), [`channel`](Self::channel) and
    /// [`api_token`](Self::api_token) say counts more, in whichever order they are called.
    pub fn from_env(mut self) -> Self {
        self.environment = Some(Environment::read());
        self
    }

    /// The sidecar's gRPC endpoint; `127.0.0.1:50001` unless it is set.
    ///
    /// It is written in one of Dapr's forms: `HOST[:PORT]`, `dns:HOST[:PORT]`, `http://HOST[:PORT]`,
    /// `https://HOST[:PORT]`, each but `http` with `?tls=true` if wanted, or `unix:PATH`.
    /// The port is 443 where it is left out, as Dapr has it.
    /// TLS needs the feature `tls`, and is refused without it.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.place = Place::Endpoint(endpoint.into());
        self
    }

    /// A channel that exists already, in place of ones that the backend makes.
    ///
    /// It is a [`Channel`] of tonic 0.14, for settings that an endpoint cannot express, such as
    /// roots of TLS.
    /// It is driven by the tokio runtime in which it was made, and never replaced: when that
    /// runtime ends, every operation fails.
    pub fn channel(mut self, channel: Channel) -> Self {
        self.place = Place::Channel(channel);
        self
    }

    /// The token that the sidecar wants (its `DAPR_API_TOKEN`).
    ///
    /// No text of this library shows it.
    pub fn api_token(mut self, token: impl Into<String>) -> Self {
        self.api_token = Some(token.into());
        self
    }

    /// How long an operation may take, connecting included: 10 ms to 60 s, 5 s unless it is set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// From when on a refusal is verified before it is believed; 250 ms unless it is set.
    ///
    /// Zero verifies each, at the price of a second call, for a sidecar that repeats requests sooner
    /// than Dapr's own components do.
    pub fn doubt_refusals_after(mut self, duration: Duration) -> Self {
        self.doubt_after = duration;
        self
    }

    /// Makes the backend. Nothing is connected yet: that happens at the first operation.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](LockErrorKind::InvalidConfig) if the store has no name, or the endpoint, the
    /// environment or a setting is not allowed.
    pub fn build(self) -> Result<DaprBackend> {
        self.check()?;
        let environment = self.environment.transpose()?.unwrap_or_default();
        let api_token = self.api_token.or(environment.api_token);
        let (source, address) = match (self.place, environment.endpoint) {
            (Place::Channel(channel), _) => {
                (Source::Existing(channel), "an existing channel".to_owned())
            }
            (Place::Endpoint(endpoint), _) | (Place::Default, Some(endpoint)) => open(&endpoint)?,
            (Place::Default, None) => open(&format!("127.0.0.1:{DEFAULT_DAPR_GRPC_PORT}"))?,
        };
        let address: Arc<str> = address.into();
        Ok(DaprBackend {
            sidecar: Sidecar::new(self.store, api_token.map(as_header).transpose()?),
            caller: Link::new(source.clone(), Arc::clone(&address)),
            keeper: Link::new(source, address),
            timeout: self.timeout,
            doubt_after: self.doubt_after,
            departures: Departures::default(),
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
                "the timeout is {:?}; {shortest:?} to {longest:?} are allowed",
                self.timeout
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for DaprBackendBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::Default => "the default",
            Place::Endpoint(_) => "an endpoint",
            Place::Channel(_) => "an existing channel",
        };
        f.debug_struct("DaprBackendBuilder")
            .field("store", &self.store)
            .field("sidecar", &place)
            .field("reads_environment", &self.environment.is_some())
            .field("timeout", &self.timeout)
            .field("doubt_refusals_after", &self.doubt_after)
            .finish_non_exhaustive()
    }
}

fn open(endpoint: &str) -> Result<(Source, String)> {
    let address = Address::parse(endpoint)?;
    Ok((Source::Endpoint(Box::new(address.open()?)), address.to_string()))
}

fn as_header(token: String) -> Result<tonic::metadata::AsciiMetadataValue> {
    // The cause is left out of the text: it may quote the token.
    token.try_into().map_err(|_| {
        invalid("the API token cannot be sent: it holds a character that is not visible ASCII")
    })
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
    fn what_is_said_to_the_builder_counts_more_than_the_environment() {
        let environment = || {
            let (endpoint, api_token) = (Some("dns:there:1".into()), Some("theirs".into()));
            Some(Ok(Environment { endpoint, api_token }))
        };
        let mut said = builder().endpoint("here:2");
        said.environment = environment();
        assert_eq!(said.build().unwrap().caller.address(), "here:2");
        let mut unsaid = builder();
        unsaid.environment = environment();
        assert_eq!(unsaid.build().unwrap().caller.address(), "there:1");
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

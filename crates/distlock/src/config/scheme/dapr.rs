//! `dapr://`: a lock store of a Dapr sidecar.

use lock_core::LockError;
use lock_core::backend::AnyBackend;

use super::definition::{Feature, Located, Open, Parameter, Scheme, Spelling};
use crate::config::settings::Settings;
use crate::config::text::{decode, invalid};
use crate::config::word::{Kind, Word};

pub(crate) const ENDPOINT: Word = Word::new("endpoint", Kind::Text);

pub(crate) const API_TOKEN_FILE: Word = Word::new("api_token_file", Kind::SecretFile);

pub(super) const SCHEME: Scheme = Scheme {
    spellings: &[Spelling { name: "dapr", features: &[DAPR], parameters: &[], takes_hosts: false }],
    example: "dapr://lockstore",
    has_host: false,
    words: &[ENDPOINT, API_TOKEN_FILE],
    check,
    read,
};

const DAPR: Feature = Feature { name: "dapr", is_on: cfg!(feature = "dapr") };

/// The backend checks the rest of the endpoint, but only where it is used.
fn check(settings: &Settings) -> Result<(), LockError> {
    if settings.text(&ENDPOINT).is_some_and(|endpoint| endpoint.contains('@')) {
        return Err(invalid("endpoint contains an `@`; a sidecar takes no user name"));
    }
    Ok(())
}

/// The host is the name of the lock store, and all that the URL says beside its query.
fn read(at: &Located, _: &[Parameter]) -> Result<Open, LockError> {
    let url = &at.url;
    let has_more = !url.username().is_empty()
        || url.password().is_some()
        || url.port().is_some()
        || !matches!(url.path(), "" | "/");
    match url.host_str() {
        Some(store) if !store.is_empty() && !has_more => {
            let store = decode(store, "lock store")?;
            Ok(Box::new(move |settings| open(store, settings)))
        }
        _ => Err(invalid(
            "the URL of a Dapr lock store is dapr://STORE, with the name of the sidecar's component \
             and nothing else; write the sidecar's address as `?endpoint=`",
        )),
    }
}

/// Where the settings say nothing, Dapr's own environment variables count.
#[cfg(feature = "dapr")]
fn open(store: String, settings: &Settings) -> Result<AnyBackend, LockError> {
    use super::tls;
    use crate::config::settings::RESPONSE_TIMEOUT;

    let mut builder = lock_dapr::DaprBackend::builder(store).from_env();
    if let Some(endpoint) = settings.text(&ENDPOINT) {
        builder = builder.endpoint(endpoint);
    }
    if let Some(timeout) = settings.duration(&RESPONSE_TIMEOUT) {
        builder = builder.timeout(timeout);
    }
    if let Some(path) = settings.text(&API_TOKEN_FILE) {
        builder = builder.api_token_file(path);
    }
    if let Some(path) = settings.text(&tls::CA_FILE) {
        builder = builder.tls_ca_file(path);
    }
    if let Some(path) = settings.text(&tls::CERT_FILE) {
        builder = builder.tls_cert_file(path);
    }
    if let Some(path) = settings.text(&tls::KEY_FILE) {
        builder = builder.tls_key_file(path);
    }
    if let Some(name) = settings.text(&tls::SERVER_NAME) {
        builder = builder.tls_server_name(name);
    }
    let backend = builder.build().map_err(|error| error.with_operation("connect"))?;
    Ok(AnyBackend::new(backend))
}

/// Such a URL is refused before it is read, because its feature is off.
#[cfg(not(feature = "dapr"))]
fn open(_: String, _: &Settings) -> Result<AnyBackend, LockError> {
    Err(invalid("the feature `dapr` of distlock is off"))
}

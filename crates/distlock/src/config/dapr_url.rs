//! What a `dapr://` URL must be like.

use lock_core::LockError;
use url::Url;

use super::address::{decode, unknown_parameter};
use super::settings::invalid;

/// The name of the lock store, which is all that the URL says beside its query.
pub(super) fn store(url: &Url, rest: &[(String, String)]) -> Result<String, LockError> {
    if let Some((name, _)) = rest.first() {
        return Err(unknown_parameter(name, &[]));
    }
    let has_more = !url.username().is_empty()
        || url.password().is_some()
        || url.port().is_some()
        || !matches!(url.path(), "" | "/");
    match url.host_str() {
        Some(store) if !store.is_empty() && !has_more => decode(store, "lock store"),
        _ => Err(invalid(
            "the URL of a Dapr lock store is dapr://STORE, the name of the sidecar's component and \
             nothing else; where the sidecar is belongs into `?endpoint=`",
        )),
    }
}

//! The two calls of Dapr's lock API.

use std::fmt;

use dapr::client::API_TOKEN_METADATA_KEY;
use dapr::dapr::proto::runtime::v1::unlock_response::Status as UnlockStatus;
use dapr::dapr::proto::runtime::v1::{TryLockRequest, UnlockRequest};
use lock_core::Instant;
use tonic::Request;

use crate::credentials::ApiToken;
use crate::error::Failure;
use crate::link::Link;

/// A lock store of a sidecar, with what every request to it needs.
pub(crate) struct Sidecar {
    store: String,
    api_token: ApiToken,
}

/// The answer to an unlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unlocked {
    Released,
    NotHeld,
    HeldByOther,
}

impl Sidecar {
    pub(crate) fn new(store: String, api_token: ApiToken) -> Self {
        Self { store, api_token }
    }

    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// Takes the lock for this owner; `false` if somebody holds it.
    pub(crate) async fn try_lock(
        &self,
        link: &Link,
        key: &str,
        owner: &str,
        seconds: i32,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let request = self.request(TryLockRequest {
            store_name: self.store.clone(),
            resource_id: key.to_owned(),
            lock_owner: owner.to_owned(),
            expiry_in_seconds: seconds,
        })?;
        let call = link.call(deadline, async |mut client| client.try_lock_alpha1(request).await);
        let reply = call.await.map_err(|failure| failure.about_store(&self.store))?;
        Ok(reply.success)
    }

    /// Releases the lock if this owner holds it, and does nothing otherwise.
    pub(crate) async fn unlock(
        &self,
        link: &Link,
        key: &str,
        owner: &str,
        deadline: Instant,
    ) -> Result<Unlocked, Failure> {
        let request = self.request(UnlockRequest {
            store_name: self.store.clone(),
            resource_id: key.to_owned(),
            lock_owner: owner.to_owned(),
        })?;
        let call = link.call(deadline, async |mut client| client.unlock_alpha1(request).await);
        let reply = call.await.map_err(|failure| failure.about_store(&self.store))?;
        match UnlockStatus::try_from(reply.status) {
            Ok(UnlockStatus::Success) => Ok(Unlocked::Released),
            Ok(UnlockStatus::LockDoesNotExist) => Ok(Unlocked::NotHeld),
            Ok(UnlockStatus::LockBelongsToOthers) => Ok(Unlocked::HeldByOther),
            Ok(UnlockStatus::InternalError) => {
                Err(Failure::unavailable("the sidecar could not read its store's answer"))
            }
            Err(_) => Err(Failure::unavailable(format!(
                "the sidecar answered an unlock with the unknown status {}",
                reply.status
            ))),
        }
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, Failure> {
        let mut request = Request::new(message);
        // The token was in order when the backend was built, so it may be again.
        let token = self.api_token.read();
        let token = token.map_err(|e| Failure::unavailable(e.to_string()).not_applied())?;
        if let Some(token) = token {
            request.metadata_mut().insert(API_TOKEN_METADATA_KEY, token);
        }
        Ok(request)
    }
}

impl fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecar").field("store", &self.store).finish_non_exhaustive()
    }
}

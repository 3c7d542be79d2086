//! W7: the library beside a sidecar, against a bare loop of the same two calls.

use std::sync::Arc;

use async_trait::async_trait;
use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use dapr::dapr::proto::runtime::v1::{TryLockRequest, UnlockRequest};
use lock_core::LockService;
use lock_core::backend::OwnerToken;
use lock_dapr::DaprBackend;
use testbed::DaprSidecar;
use tonic::transport::{Channel, Endpoint};

use super::pairs::{Contender, Ours};
use super::raw::TTL;
use crate::failure::Failure;

/// The generated client over one channel with tonic's defaults: no deadline, no undo, no local
/// lease.
pub(crate) struct BareCalls {
    client: DaprClient<Channel>,
    store: String,
    names: Vec<String>,
}

impl BareCalls {
    pub(crate) fn connect(sidecar: &DaprSidecar, workers: usize) -> Result<Arc<Self>, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{}", sidecar.address()))?;
        let client = DaprClient::new(endpoint.connect_lazy());
        let names = (0..workers).map(|worker| format!("bare:{worker}")).collect();
        Ok(Arc::new(Self { client, store: sidecar.store().to_owned(), names }))
    }
}

#[async_trait]
impl Contender for BareCalls {
    async fn pair(&self, worker: usize) -> Result<(), Failure> {
        let mut client = self.client.clone();
        let owner = String::from_utf8(OwnerToken::random()?.to_hex().to_vec())?;
        let (store_name, resource_id) = (self.store.clone(), self.names[worker].clone());
        let lock = TryLockRequest {
            store_name: store_name.clone(),
            resource_id: resource_id.clone(),
            lock_owner: owner.clone(),
            expiry_in_seconds: i32::try_from(TTL.as_secs())?,
        };
        if !client.try_lock_alpha1(lock).await?.into_inner().success {
            return Err("bare calls: the lock is held".into());
        }
        let unlock = UnlockRequest { store_name, resource_id, lock_owner: owner };
        match client.unlock_alpha1(unlock).await?.into_inner().status {
            0 => Ok(()),
            status => Err(format!("bare calls: the unlock says {status}").into()),
        }
    }
}

/// The library, as a program beside this sidecar has it.
pub(crate) fn ours(sidecar: &DaprSidecar, workers: usize) -> Result<Arc<Ours>, Failure> {
    let backend = DaprBackend::builder(sidecar.store());
    let backend = backend.endpoint(sidecar.address().to_string()).build()?;
    Ok(Ours::over(&LockService::new(backend), workers))
}

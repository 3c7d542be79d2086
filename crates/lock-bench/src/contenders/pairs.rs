//! Who is compared where nobody waits: raw Redis, the library in its forms, and a peer.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use lock_core::backend::OwnerToken;
use lock_core::{Lock, LockService};
use lock_redis::RedisBackend;
use rslock::LockManager;

use super::raw::{RawConnection, TTL};
use crate::failure::Failure;

/// Something that can take and give back the lock of a worker.
#[async_trait]
pub(crate) trait Contender: Send + Sync {
    /// Acquires and releases once.
    async fn pair(&self, worker: usize) -> Result<(), Failure>;
}

/// Raw Redis, each worker with a key of its own.
pub(crate) struct Raw {
    connection: RawConnection,
    names: Vec<String>,
}

impl Raw {
    pub(crate) async fn connect(url: &str, workers: usize) -> Result<Arc<Self>, Failure> {
        let connection = RawConnection::open(url).await?;
        let names = (0..workers).map(|worker| format!("raw:{worker}")).collect();
        Ok(Arc::new(Self { connection, names }))
    }
}

#[async_trait]
impl Contender for Raw {
    async fn pair(&self, worker: usize) -> Result<(), Failure> {
        let name = &self.names[worker];
        let token = self.connection.acquire(name).await?.ok_or("raw: the lock is held")?;
        self.connection.release(name, &token).await
    }
}

/// Raw Redis on several servers at once: the same commands to each, and the answers of all.
pub(crate) struct RawQuorum {
    connections: Vec<RawConnection>,
    names: Vec<String>,
}

impl RawQuorum {
    pub(crate) async fn connect(urls: &[String], workers: usize) -> Result<Arc<Self>, Failure> {
        let connections = try_join_all(urls.iter().map(|url| RawConnection::open(url))).await?;
        let names = (0..workers).map(|worker| format!("raw:{worker}")).collect();
        Ok(Arc::new(Self { connections, names }))
    }
}

#[async_trait]
impl Contender for RawQuorum {
    async fn pair(&self, worker: usize) -> Result<(), Failure> {
        let (name, token) = (&self.names[worker], OwnerToken::random()?.to_hex());
        let taking = self.connections.iter().map(|connection| connection.take(name, &token));
        if try_join_all(taking).await?.contains(&false) {
            return Err("raw: the lock is held".into());
        }
        let giving = self.connections.iter().map(|connection| connection.release(name, &token));
        try_join_all(giving).await?;
        Ok(())
    }
}

/// The crate `rslock`, as it is.
pub(crate) struct Rslock {
    manager: LockManager,
    names: Vec<String>,
}

impl Rslock {
    pub(crate) fn new(url: &str, workers: usize) -> Arc<Self> {
        let names = (0..workers).map(|worker| format!("rslock:{worker}")).collect();
        Arc::new(Self { manager: LockManager::new(vec![url]), names })
    }
}

#[async_trait]
impl Contender for Rslock {
    async fn pair(&self, worker: usize) -> Result<(), Failure> {
        let lock = self.manager.lock(self.names[worker].as_bytes(), TTL).await?;
        lock.release().await;
        Ok(())
    }
}

/// The library, each worker with a lock of its own that is used again and again.
pub(crate) struct Ours {
    locks: Vec<Lock>,
}

impl Ours {
    pub(crate) fn redis(url: &str, workers: usize) -> Result<Arc<Self>, Failure> {
        let backend = RedisBackend::builder().url(url).build()?;
        Ok(Self::over(&LockService::new(backend), workers))
    }

    pub(crate) fn memory(workers: usize) -> Arc<Self> {
        Self::over(&LockService::memory(), workers)
    }

    pub(crate) fn over(service: &LockService, workers: usize) -> Arc<Self> {
        let lock = |worker| service.lock(format!("ours:{worker}")).ttl(TTL);
        Arc::new(Self { locks: (0..workers).map(lock).collect() })
    }
}

#[async_trait]
impl Contender for Ours {
    async fn pair(&self, worker: usize) -> Result<(), Failure> {
        let guard = self.locks[worker].try_acquire().await?.ok_or("ours: the lock is held")?;
        let outcome = guard.release().await;
        if outcome.is_released() { Ok(()) } else { Err(format!("ours: {outcome:?}").into()) }
    }
}

/// The lock that is not distributed at all.
pub(crate) struct TokioMutex(Vec<Arc<tokio::sync::Mutex<()>>>);

impl TokioMutex {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self((0..workers).map(|_| Arc::default()).collect()))
    }
}

#[async_trait]
impl Contender for TokioMutex {
    async fn pair(&self, worker: usize) -> Result<(), Failure> {
        drop(Arc::clone(&self.0[worker]).lock_owned().await);
        Ok(())
    }
}

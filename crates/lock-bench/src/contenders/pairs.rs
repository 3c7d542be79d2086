//! Who is compared where nobody waits: raw Redis, the library in its forms, and a peer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lock_core::backend::OwnerToken;
use lock_core::{Lock, LockService};
use lock_redis::{Mode, RedisBackend};
use redis::Script;
use redis::aio::MultiplexedConnection;
use rslock::LockManager;

use crate::Failure;

pub(crate) const TTL: Duration = Duration::from_secs(30);

/// Something that can take and give back the lock of a worker.
#[async_trait]
pub(crate) trait Contender: Send + Sync {
    /// Acquires and releases once.
    async fn pair(&self, worker: usize) -> Result<(), Failure>;
}

/// `SET NX PX` and a compare-and-delete script over one multiplexed connection of the `redis`
/// crate, with its defaults (no `TCP_NODELAY`): no fencing, no late refusal, no local deadline.
pub(crate) struct RawConnection {
    connection: MultiplexedConnection,
    release: Script,
}

const COMPARE_AND_DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                                  return redis.call('DEL', KEYS[1]) end return 0";

impl RawConnection {
    pub(crate) async fn open(url: &str) -> Result<Self, Failure> {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let release = Script::new(COMPARE_AND_DELETE);
        release.prepare_invoke().load_async(&mut connection.clone()).await?;
        Ok(Self { connection, release })
    }

    /// Asks once; the token, if the lock was free.
    pub(crate) async fn acquire(&self, key: &str) -> Result<Option<[u8; 32]>, Failure> {
        let token = OwnerToken::random()?.to_hex();
        let granted: Option<String> = redis::cmd("SET")
            .arg(key)
            .arg(&token[..])
            .arg("NX")
            .arg("PX")
            .arg(TTL.as_secs() * 1_000)
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(granted.map(|_| token))
    }

    pub(crate) async fn release(&self, key: &str, token: &[u8]) -> Result<(), Failure> {
        let mut release = self.release.key(key);
        let mut connection = self.connection.clone();
        let deleted: u32 = release.arg(token).invoke_async(&mut connection).await?;
        if deleted == 1 { Ok(()) } else { Err("raw: the lock was not ours".into()) }
    }
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
    pub(crate) fn redis(url: &str, mode: Mode, workers: usize) -> Result<Arc<Self>, Failure> {
        let backend = RedisBackend::builder().url(url).mode(mode).build()?;
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

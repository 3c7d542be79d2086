//! Who is compared where many want one lock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lock_core::backend::Clock;
use lock_core::{Handover, Lock, LockService};
use lock_redis::RedisBackend;
use rslock::LockManager;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::raw::{RawConnection, TTL};
use super::stint::Stint;
use crate::failure::Failure;

/// How long raw Redis waits before it asks again.
const POLL: Duration = Duration::from_millis(1);
/// Tries before `rslock` takes a new token; it then goes on. This is its default.
const RSLOCK_TRIES: u32 = 3;

/// A way to take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rival {
    /// Raw Redis that asks every millisecond.
    Raw,
    /// Raw Redis behind a fair mutex of the process: what strict order with two round trips a
    /// section can reach at best, in one process.
    RawLocal,
    /// `rslock` as it is.
    Rslock,
    /// `rslock` that asks again after 10 ms at the latest, in place of 200.
    Rslock10,
    /// What another library does that asks again after 100 ms, as redis-py.
    Every100,
    /// What another library does that asks again after 50 to 250 ms, at random, as redsync.
    Every50To250,
    /// What another library does that asks again after 10 ms.
    Every10,
    /// The library; waiters stand in line on the server, in strict order.
    Distlock,
    /// The library; a lock goes from task to task inside the process, within its bounds.
    DistlockHandover,
}

impl Rival {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawLocal => "raw-local",
            Self::Rslock => "rslock",
            Self::Rslock10 => "rslock 10 ms",
            Self::Every100 => "every 100 ms",
            Self::Every50To250 => "every 50-250 ms",
            Self::Every10 => "every 10 ms",
            Self::Distlock => "distlock",
            Self::DistlockHandover => "distlock handover",
        }
    }

    /// Whether its keys are spelled with the library's prefix.
    pub(crate) const fn has_key_prefix(self) -> bool {
        matches!(self, Self::Distlock | Self::DistlockHandover)
    }

    /// What all workers of a process share; `key` is the one lock.
    pub(crate) async fn connect(self, url: &str, key: &str) -> Result<Arc<dyn Turns>, Failure> {
        let key = key.to_owned();
        Ok(match self {
            Self::Raw => polling(url, key, POLL, POLL).await?,
            Self::Every100 => {
                let pause = Duration::from_millis(100);
                polling(url, key, pause, pause).await?
            }
            Self::Every50To250 => {
                let pauses = (Duration::from_millis(50), Duration::from_millis(250));
                polling(url, key, pauses.0, pauses.1).await?
            }
            Self::Every10 => {
                let pause = Duration::from_millis(10);
                polling(url, key, pause, pause).await?
            }
            Self::RawLocal => {
                let connection = RawConnection::open(url).await?;
                let raw = Raw { connection, key, pauses: (POLL, POLL) };
                Arc::new(RawLocal { line: Mutex::new(()), raw })
            }
            Self::Rslock => Arc::new(Rslock { manager: LockManager::new(vec![url]), key }),
            Self::Rslock10 => {
                let mut manager = LockManager::new(vec![url]);
                manager.set_retry(RSLOCK_TRIES, Duration::from_millis(10));
                Arc::new(Rslock { manager, key })
            }
            Self::Distlock => distlock(url, Handover::OFF, &key)?,
            Self::DistlockHandover => distlock(url, Handover::default(), &key)?,
        })
    }
}

async fn polling(
    url: &str,
    key: String,
    shortest: Duration,
    longest: Duration,
) -> Result<Arc<dyn Turns>, Failure> {
    let connection = RawConnection::open(url).await?;
    Ok(Arc::new(Raw { connection, key, pauses: (shortest, longest) }))
}

fn distlock(url: &str, handover: Handover, key: &str) -> Result<Arc<dyn Turns>, Failure> {
    let backend = RedisBackend::builder().url(url).build()?;
    let service = LockService::builder(backend).handover(handover).build();
    Ok(Arc::new(Distlock(service.lock(key).ttl(TTL).wait_forever())))
}

/// Somebody who takes turns at one lock.
#[async_trait]
pub(crate) trait Turns: Send + Sync {
    /// Waits for the lock, stays inside, and gives it back.
    async fn section(&self, stint: &Stint) -> Result<(), Failure>;
}

struct Raw {
    connection: RawConnection,
    key: String,
    /// It asks again after a random time between these.
    pauses: (Duration, Duration),
}

#[async_trait]
impl Turns for Raw {
    async fn section(&self, stint: &Stint) -> Result<(), Failure> {
        let token = loop {
            if let Some(token) = self.connection.acquire(&self.key).await? {
                break token;
            }
            let (shortest, longest) = self.pauses;
            Clock::SYSTEM.sleep(shortest + (longest - shortest).mul_f64(fastrand::f64())).await;
        };
        stint.inside().await;
        self.connection.release(&self.key, &token).await
    }
}

struct RawLocal {
    line: Mutex<()>,
    raw: Raw,
}

#[async_trait]
impl Turns for RawLocal {
    async fn section(&self, stint: &Stint) -> Result<(), Failure> {
        let _turn = self.line.lock().await;
        self.raw.section(stint).await
    }
}

struct Rslock {
    manager: LockManager,
    key: String,
}

#[async_trait]
impl Turns for Rslock {
    async fn section(&self, stint: &Stint) -> Result<(), Failure> {
        let guard = self.manager.acquire(self.key.as_bytes(), TTL).await?;
        stint.inside().await;
        guard.release().await;
        Ok(())
    }
}

struct Distlock(Lock);

#[async_trait]
impl Turns for Distlock {
    async fn section(&self, stint: &Stint) -> Result<(), Failure> {
        let guard = self.0.acquire().await?;
        stint.inside().await;
        let outcome = guard.release().await;
        if outcome.is_released() { Ok(()) } else { Err(format!("distlock: {outcome:?}").into()) }
    }
}

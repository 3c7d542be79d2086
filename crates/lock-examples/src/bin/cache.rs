//! Three instances have a cache of their own in front, and a lock behind it: a popular entry that has
//! expired everywhere is loaded from the database once, not once an instance.
//!
//! Inside an instance, `moka` lets one task load for all that ask for the same entry. Between the
//! instances, the lock does.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use distlock::{LockConfig, LockService};
use moka::future::Cache;
use tokio::task::JoinSet;

const INSTANCES: usize = 3;
const REQUESTS: usize = 20;

/// Stands for a store that the instances share, such as a Redis, and for the database behind it.
#[derive(Default)]
struct Shared {
    entries: Mutex<HashMap<String, String>>,
    loads: AtomicUsize,
}

#[derive(Clone)]
struct Instance {
    locks: LockService,
    cache: Cache<String, String>,
    shared: Arc<Shared>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shared = Arc::new(Shared::default());
    let mut requests = JoinSet::new();
    for _ in 0..INSTANCES {
        // By name, so that the instances share it where it is in memory.
        let locks = LockConfig::from_env()?.default_url("memory:cache")?.connect().await?;
        let cache = Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(60));
        let instance = Instance { locks, cache: cache.build(), shared: Arc::clone(&shared) };
        for _ in 0..REQUESTS {
            let instance = instance.clone();
            requests.spawn(async move { instance.get("cache:product:7").await });
        }
    }
    let mut answered = 0;
    while let Some(answer) = requests.join_next().await {
        answered += usize::from(answer?? == "a product");
    }
    println!("requests answered: {answered}");
    println!("loads from the database: {}", shared.loads.load(Ordering::Relaxed));
    Ok(())
}

impl Instance {
    async fn get(&self, key: &str) -> Result<String, Arc<distlock::LockError>> {
        // One task of the instance does this, and all others that ask meanwhile get what it got.
        self.cache.try_get_with_by_ref(key, self.load_once(key)).await
    }

    /// Loads the entry, unless another instance has done so or is about to.
    async fn load_once(&self, key: &str) -> distlock::Result<String> {
        if let Some(value) = self.shared.get(key) {
            return Ok(value);
        }
        let loaded = self
            .locks
            .lock(key)
            .ttl(Duration::from_secs(10))
            .wait(Duration::from_secs(5))
            .execute(async |_lease| match self.shared.get(key) {
                // Whoever had the lock before has loaded it.
                Some(value) => value,
                None => self.shared.load(key).await,
            })
            .await;
        match loaded {
            Ok(Some(value)) => Ok(value),
            // The lock only saves work: without it, an extra load is better than no answer.
            Ok(None) | Err(_) => Ok(self.shared.load(key).await),
        }
    }
}

impl Shared {
    fn get(&self, key: &str) -> Option<String> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    async fn load(&self, key: &str) -> String {
        self.loads.fetch_add(1, Ordering::Relaxed);
        // Stands for a slow query.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let value = "a product".to_owned();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key.to_owned(), value.clone());
        value
    }
}

//! A popular cache entry has expired, and fifty requests ask for it at once. Only one of them loads it.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use distlock::{LockConfig, LockService};
use tokio::task::JoinSet;

const REQUESTS: usize = 50;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_env()?.default_url("memory:")?.connect().await?;
    let cache = Arc::new(Cache { locks, entries: Mutex::default(), loads: AtomicUsize::new(0) });

    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let cache = Arc::clone(&cache);
        requests.spawn(async move { cache.get("cache_stampede:product:7").await });
    }
    let mut answered = 0;
    while let Some(answer) = requests.join_next().await {
        answered += usize::from(answer?? == "a product");
    }
    println!("requests answered: {answered}");
    println!("loads from the database: {}", cache.loads.load(Ordering::Relaxed));
    Ok(())
}

/// Stands for a cache that all instances share.
struct Cache {
    locks: LockService,
    entries: Mutex<HashMap<String, String>>,
    loads: AtomicUsize,
}

impl Cache {
    async fn get(&self, key: &str) -> distlock::Result<String> {
        // In the usual case the entry is there, and no lock is needed.
        if let Some(value) = self.cached(key) {
            return Ok(value);
        }
        let loaded = self
            .locks
            .lock(key)
            .ttl(Duration::from_secs(10))
            // Without a wait, 49 requests would get no lock and have no value.
            .wait(Duration::from_secs(5))
            .execute(async |_lease| {
                // Look again: the request that had the lock before has probably loaded it.
                match self.cached(key) {
                    Some(value) => value,
                    None => self.load(key).await,
                }
            })
            .await?;
        match loaded {
            Some(value) => Ok(value),
            // We did not get the lock in time. Look once more, and then load the value without it:
            // this lock only saves work, so an extra load is better than no answer.
            None => match self.cached(key) {
                Some(value) => Ok(value),
                None => Ok(self.load(key).await),
            },
        }
    }

    fn cached(&self, key: &str) -> Option<String> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    async fn load(&self, key: &str) -> String {
        self.loads.fetch_add(1, Ordering::Relaxed);
        // Stands for a slow query, during which the other requests arrive.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let value = "a product".to_owned();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key.to_owned(), value.clone());
        value
    }
}

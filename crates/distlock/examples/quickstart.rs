//! Five workers want the same lock. First they do not wait: one gets it, and the others are told so at
//! once. Then they wait, and get it one after another.
//!
//! The store is in memory, unless `DISTLOCK_URL` names another:
//! `DISTLOCK_URL=redis://127.0.0.1:6379 cargo run -p distlock --features redis --example quickstart`

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use distlock::{Lock, LockConfig};
use tokio::sync::{Barrier, Mutex};
use tokio::task::JoinSet;

const WORKERS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = LockConfig::from_env()?.default_url("memory:")?;
    println!("store: {config}");
    let locks = config.connect().await?;

    // A `Lock` is a name with options. It takes nothing yet, and all workers can share it.
    let order = locks.lock("quickstart:order:42").ttl(Duration::from_secs(30));
    // Finds mistakes in the name and the options before the first use.
    order.check()?;
    without_waiting(&order).await?;
    one_after_another(&order.wait(Duration::from_secs(20))).await?;

    // The last thing a program does with its locks. Guards that are still alive get up to 5 s, and
    // releases that are still on their way are waited for: without it, the lock of a guard that was
    // dropped just before the end could stay taken until its ttl is over.
    locks.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Without a wait, a worker that finds the lock taken can do something else.
async fn without_waiting(order: &Lock) -> Result<(), Box<dyn Error>> {
    println!("\n{WORKERS} workers, without waiting:");
    // Stands for work that takes so long that all other workers ask while it runs.
    let everybody_asked = Arc::new(Barrier::new(WORKERS));
    let mut workers = JoinSet::new();
    for worker in 1..=WORKERS {
        let (order, everybody_asked) = (order.clone(), Arc::clone(&everybody_asked));
        workers.spawn(async move {
            let token = order
                .execute(async |lease| {
                    everybody_asked.wait().await;
                    lease.fencing_token()
                })
                .await?;
            if token.is_none() {
                everybody_asked.wait().await;
            }
            Ok::<_, distlock::LockError>((worker, token))
        });
    }
    let mut refused = 0;
    while let Some(result) = workers.join_next().await {
        match result?? {
            (worker, Some(token)) => println!("  worker {worker} ran, {}", show(token)),
            (_, None) => refused += 1,
        }
    }
    println!("  {refused} workers were refused");
    Ok(())
}

/// With a wait, all of them get the lock, one after another, and each has a larger fencing token than
/// the one before.
async fn one_after_another(order: &Lock) -> Result<(), Box<dyn Error>> {
    println!("\n{WORKERS} workers, each waiting for its turn:");
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for worker in 1..=WORKERS {
        let (order, served) = (order.clone(), Arc::clone(&served));
        workers.spawn(async move {
            let guard = order.acquire().await?;
            served.lock().await.push((worker, guard.fencing_token()));
            // Dropping the guard releases the lock too. This way we learn whether the worker still
            // held it.
            let outcome = guard.release().await;
            Ok::<_, distlock::LockError>(outcome.is_released())
        });
    }
    let mut released = 0;
    while let Some(result) = workers.join_next().await {
        released += usize::from(result??);
    }
    for (worker, token) in served.lock().await.iter() {
        println!("  worker {worker} ran, {}", show(*token));
    }
    println!("  {released} releases were confirmed");
    Ok(())
}

fn show(token: Option<distlock::FencingToken>) -> String {
    token.map_or_else(|| "no fencing token".to_owned(), |token| format!("fencing token {token}"))
}

//! Several workers want the same lock: one runs, the others are told at once; then all wait in line.
//!
//! Memory, unless `DISTLOCK_URL` names a store:
//! `DISTLOCK_URL=redis://127.0.0.1:6379 cargo run -p distlock --features redis --example quickstart`

#![expect(clippy::print_stdout, reason = "an example tells its story on the terminal")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use distlock::{Lock, LockConfig};
use tokio::sync::{Barrier, Mutex};
use tokio::task::JoinSet;

const WORKERS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = LockConfig::from_url("memory:")?.with_env()?;
    println!("store: {config}");
    let locks = config.connect().await?;

    // A `Lock` is a plan: a name and options, which all workers can share.
    let order = locks.lock("quickstart:order:42").ttl(Duration::from_secs(30));
    order.check()?;
    refused_at_once(&order).await?;
    in_line(&order.wait(Duration::from_secs(20))).await
}

/// Without a wait, whoever finds the lock held goes on to something else.
async fn refused_at_once(order: &Lock) -> Result<(), Box<dyn Error>> {
    println!("\n{WORKERS} workers, without waiting:");
    // It stands for work that takes so long that everybody else asks meanwhile.
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

/// With a wait, they go one after another, and each has a larger fencing token than the one before.
async fn in_line(order: &Lock) -> Result<(), Box<dyn Error>> {
    println!("\n{WORKERS} workers, each waiting for its turn:");
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for worker in 1..=WORKERS {
        let (order, served) = (order.clone(), Arc::clone(&served));
        workers.spawn(async move {
            let guard = order.acquire().await?;
            served.lock().await.push((worker, guard.fencing_token()));
            // Dropping the guard would release too; this way we hear whether it held until here.
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

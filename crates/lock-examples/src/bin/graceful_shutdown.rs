//! A program that is told to end finishes what it has begun, begins nothing new, and leaves no lock
//! behind.
//!
//! The order matters: first no new work, then the work that is under way, then the locks.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use distlock::{LockConfig, LockService};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const WORKERS: usize = 4;
/// What an orchestrator gives a program between its request to end and its SIGKILL is often 30 s.
const GRACE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Count {
    begun: AtomicUsize,
    finished: AtomicUsize,
    all_at_work: Notify,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_env()?.default_url("memory:")?.connect().await?;
    let (stop, workers, count) =
        (CancellationToken::new(), TaskTracker::new(), Arc::new(Count::default()));
    for worker in 0..WORKERS {
        let (locks, stop, count) = (locks.clone(), stop.clone(), Arc::clone(&count));
        workers.spawn(async move { work(worker, &locks, &stop, &count).await });
    }
    workers.close();

    // A real program waits for `tokio::signal::ctrl_c()` or SIGTERM; this one until all are at work.
    count.all_at_work.notified().await;
    stop.cancel();
    let in_time = tokio::time::timeout(GRACE / 2, workers.wait()).await.is_ok();
    println!("all workers have ended: {in_time}");

    // What is still held is lost now, and its bodies are dropped; then the locks are released.
    let report = locks.shutdown(GRACE / 2).await;
    let (begun, finished) =
        (count.begun.load(Ordering::Relaxed), count.finished.load(Ordering::Relaxed));
    println!("jobs that were begun and not finished: {}", begun - finished);
    println!("locks lost or left behind: {}", report.lost + report.unknown);
    Ok(())
}

async fn work(worker: usize, locks: &LockService, stop: &CancellationToken, count: &Count) {
    let lock = locks
        .lock(format!("graceful_shutdown:job:{worker}"))
        .ttl(Duration::from_secs(30))
        .wait(Duration::from_secs(5));
    while !stop.is_cancelled() {
        let job = async |_lease| {
            if count.begun.fetch_add(1, Ordering::Relaxed) + 1 == WORKERS {
                count.all_at_work.notify_one();
            }
            // Stands for the job, which is not cut off by the request to end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            count.finished.fetch_add(1, Ordering::Relaxed);
        };
        // A wait for a lock is cut off, because nothing is lost by that; a job is not.
        let guard = match stop.run_until_cancelled(lock.try_acquire()).await {
            Some(Ok(Some(guard))) => guard,
            Some(Ok(None)) => continue,
            Some(Err(error)) => {
                println!("worker {worker} ends: {error}");
                return;
            }
            None => return,
        };
        job(guard.lease()).await;
        guard.release().await;
    }
}

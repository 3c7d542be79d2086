//! Three instances of a service have the same job in their schedulers, and each turn of it is done by
//! one of them.
//!
//! The lock is named after the turn. So an instance whose clock or scheduler is late meets the lock of
//! the turn that it is late for, and not the next one's.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "an example prints what happens")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use distlock::{LockConfig, LockService};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler};

const INSTANCES: usize = 3;
const TURNS: usize = 2;

/// What was done in which turn: stands for what the job leaves behind.
#[derive(Default)]
struct Done {
    by_turn: Mutex<HashMap<u64, usize>>,
    changed: Notify,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let done = Arc::new(Done::default());
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        // By name, so that the instances share it where it is in memory.
        let locks = LockConfig::from_env()?.default_url("memory:scheduler")?.connect().await?;
        let scheduler = JobScheduler::new().await?;
        let job_done = Arc::clone(&done);
        // Every second, so that the example is soon over; `0 0 3 * * *` would be 3 o'clock at night.
        let job = Job::new_async("* * * * * *", move |_id, _scheduler| {
            let (locks, done) = (locks.clone(), Arc::clone(&job_done));
            Box::pin(async move {
                if let Err(error) = turn(&locks, &done).await {
                    // The next turn comes; what this one should have done is for an alert.
                    eprintln!("the report was not written: {error}");
                }
            })
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        instances.push(scheduler);
    }

    done.after(TURNS).await;
    for mut scheduler in instances {
        scheduler.shutdown().await?;
    }
    let by_turn = done.by_turn.lock().unwrap_or_else(PoisonError::into_inner);
    println!("turns that were done: at least {TURNS}");
    println!("turns that were done twice: {}", by_turn.values().filter(|&&runs| runs > 1).count());
    Ok(())
}

/// What each instance does in each turn.
async fn turn(locks: &LockService, done: &Done) -> Result<(), Box<dyn Error>> {
    let second = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    locks
        .lock(format!("scheduler:report:{second}"))
        .ttl(Duration::from_secs(60))
        // The others may be late by less than this: they find the turn taken.
        .min_hold(Duration::from_secs(30))
        .execute(async |_lease| done.enter(second))
        .await?;
    Ok(())
}

impl Done {
    fn enter(&self, second: u64) {
        let mut by_turn = self.by_turn.lock().unwrap_or_else(PoisonError::into_inner);
        *by_turn.entry(second).or_default() += 1;
        self.changed.notify_one();
    }

    /// Ends when so many turns were done.
    async fn after(&self, turns: usize) {
        let count = || self.by_turn.lock().unwrap_or_else(PoisonError::into_inner).len();
        while count() < turns {
            self.changed.notified().await;
        }
    }
}

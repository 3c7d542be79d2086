//! Three instances of a service want to write the same report at midnight, and their clocks differ by a
//! few seconds. Only one of them writes it, even if it is done before the slowest clock shows midnight.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::time::Duration;

use distlock::{LockConfig, LockService};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_env()?.default_url("memory:")?.connect().await?;

    // One after the other: the first has finished before the second begins.
    for instance in 1..=3 {
        match midnight(&locks, instance).await? {
            Some(report) => println!("instance {instance}: wrote {report:?}"),
            None => println!("instance {instance}: left it to another instance"),
        }
    }
    // A real service runs on. This one ends without a shutdown: the lock is to stay taken until its
    // `min_hold` is over.
    Ok(())
}

/// What each instance does when its clock shows midnight.
async fn midnight(locks: &LockService, instance: u32) -> distlock::Result<Option<String>> {
    let report = locks
        .lock("daily_report")
        // If an instance crashes, the lock is free again after this time at most.
        .ttl(Duration::from_secs(60))
        // The report takes one second, and the clocks differ by several. Without this, the second
        // instance would find the lock free and write the report again.
        .min_hold(Duration::from_secs(30));
    // The lease is renewed while the report is written, for an hour at most, so that a task that
    // hangs does not hold it until the next night. Dapr cannot renew a lease: there, the report has
    // to be written within the ttl.
    let report = if locks.capabilities().renew {
        report.keep_alive().max_hold(Duration::from_secs(60 * 60))
    } else {
        report
    };
    report.execute(async |_lease| format!("report of instance {instance}")).await
}

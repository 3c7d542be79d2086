//! Three instances of a service wake up at midnight, by clocks that differ a little. One writes the
//! report, also when it is done before the slowest clock strikes.

#![expect(clippy::print_stdout, reason = "an example tells its story on the terminal")]

use std::error::Error;
use std::time::Duration;

use distlock::{LockConfig, LockService};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_url("memory:")?.with_env()?.connect().await?;

    // One after the other: the first has finished before the second begins.
    for instance in 1..=3 {
        match midnight(&locks, instance).await? {
            Some(report) => println!("instance {instance}: wrote {report:?}"),
            None => println!("instance {instance}: left it to another instance"),
        }
    }
    Ok(())
}

/// What every instance does when its clock strikes.
async fn midnight(locks: &LockService, instance: u32) -> distlock::Result<Option<String>> {
    let report = locks
        .lock("daily_report")
        // An instance that crashes keeps the others out for this long at most.
        .ttl(Duration::from_secs(60))
        // The report takes a second, the clocks differ by several: without this, the second
        // instance would find the lock free and write the report again.
        .min_hold(Duration::from_secs(30));
    // A slow database does not end the lease, but a task that hangs does not hold it until the next
    // night. A Dapr sidecar cannot renew: there the report has to be written within the ttl.
    let report = if locks.capabilities().renew {
        report.keep_alive().max_hold(Duration::from_secs(60 * 60))
    } else {
        report
    };
    report.execute(async |_lease| format!("report of instance {instance}")).await
}

//! Three instances, of which one is the leader: it alone does what must be done once, and when it
//! ends or loses its lease, another one takes over.
//!
//! A leader is whoever holds a lock that is kept alive. So all that leader election needs beside a
//! lock is the loop of [`lead`].

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::time::Duration;

use distlock::{Lease, LockConfig, LockErrorKind, LockService};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How soon others take over from a leader that has died without a word.
const TTL: Duration = Duration::from_secs(10);

/// Runs `body` while this instance is the leader, again each time it becomes the leader, until `stop`
/// is cancelled.
///
/// The body is dropped when the leadership is lost: within the ttl, and before anybody else is the
/// leader. It should write with `lease.fencing_token()`, as whatever is done under a lock.
async fn lead<F>(
    locks: &LockService,
    name: &str,
    stop: &CancellationToken,
    body: impl Fn(Lease) -> F,
) -> distlock::Result<()>
where
    F: Future<Output = ()>,
{
    let lock = locks.lock(name).ttl(TTL).keep_alive().wait(Duration::from_secs(60 * 60));
    loop {
        let turn = stop.run_until_cancelled(lock.execute(&body)).await;
        match turn {
            // It was stopped: the body is dropped, and the lock released, so that another one leads.
            None => return Ok(()),
            // The body has ended by itself, or others have led for an hour: once more.
            Some(Ok(_)) => {}
            // The leadership was lost, or the store could not be asked: stand for it again.
            Some(Err(error)) if error.is_retryable() || error.kind() == LockErrorKind::Lost => {}
            // It would fail again in the same way.
            Some(Err(error)) => return Err(error),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (leads, mut led) = mpsc::channel::<(usize, CancellationToken)>(1);
    let instances = TaskTracker::new();
    for instance in 1..=3 {
        // By name, so that the instances share it where it is in memory.
        let locks = LockConfig::from_env()?.default_url("memory:leaders")?.connect().await?;
        let (leads, stop) = (leads.clone(), CancellationToken::new());
        instances.spawn(async move {
            // Stands for the leader's work: it says that it leads, and goes on until it is stopped.
            let work = async |lease: Lease| {
                leads.send((instance, stop.clone())).await.ok();
                lease.lost().await;
            };
            let ended = lead(&locks, "leader_election:leader", &stop, work).await;
            locks.shutdown(Duration::from_secs(5)).await;
            ended
        });
    }
    drop(leads);
    instances.close();

    let mut leaders = Vec::new();
    while let Some((instance, stop)) = led.recv().await {
        println!("leader number {}", leaders.len() + 1);
        leaders.push(instance);
        // The leader ends, as in a deployment, and the next one takes over at once.
        stop.cancel();
    }
    instances.wait().await;
    leaders.sort_unstable();
    println!("each instance has led: {}", leaders == [1, 2, 3]);
    Ok(())
}

//! A program without an asynchronous main: threads that take turns, and a job that watches its lock.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use distlock::LockConfig;
use distlock::blocking::{self, LockService};

fn main() -> Result<(), Box<dyn Error>> {
    let config = LockConfig::from_url("memory:")?.with_env()?;
    let locks = blocking::connect_with(config)?;

    println!("threads that were inside at once: {}", take_turns(&locks)?);

    let job = locks.lock("blocking:job").ttl(Duration::from_secs(30));
    let sum = job.try_execute(|lease| -> distlock::Result<u32> {
        let mut sum = 0;
        for row in 1..=10 {
            // A thread cannot be stopped from outside, so it looks before each step.
            lease.ensure_held()?;
            sum += row;
        }
        Ok(sum)
    })?;
    println!("the job under its lock: {sum:?}");

    let guard = job.acquire()?;
    println!("while it is held: {:?}", job.execute(|_lease| "run")?);
    println!("the release: {}", guard.release());
    println!("afterwards: {:?}", job.execute(|_lease| "run")?);

    let report = locks.shutdown(Duration::from_secs(5));
    println!("locks that were left behind: {}", report.lost + report.unknown);
    Ok(())
}

/// Eight threads want the same lock; returns how many were inside at most.
fn take_turns(locks: &LockService) -> distlock::Result<u32> {
    let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
    let turn = || -> distlock::Result<()> {
        let lock = locks.lock("blocking:turns").ttl(Duration::from_secs(30));
        let _guard = lock.wait(Duration::from_secs(30)).acquire()?;
        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(turn)).collect();
        for thread in threads {
            if let Ok(ended) = thread.join() {
                ended?;
            }
        }
        Ok(most.load(Ordering::SeqCst))
    })
}

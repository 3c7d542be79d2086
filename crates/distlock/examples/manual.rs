//! Two calls, `try_acquire_lock` and `release_lock`, for programs in which no guard can be kept
//! between them: two callbacks, two requests of one session.

#![expect(clippy::print_stdout, reason = "an example tells its story on the terminal")]

use std::error::Error;
use std::time::Duration;

use distlock::{LockConfig, LockService};

const TTL: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Two services on one store, as two processes would have.
    let config = LockConfig::from_url("memory:manual")?.with_env()?;
    let (ours, theirs) = (config.clone().connect().await?, config.connect().await?);
    let id = "manual:invoice:7";

    println!("we acquire: {}", ours.try_acquire_lock(id, TTL).await?);
    println!("they acquire: {}", theirs.try_acquire_lock(id, TTL).await?);
    // Only the service that holds a lock can release it.
    println!("they release: {}", theirs.release_lock(id).await?);
    println!("we release: {}", ours.release_lock(id).await?);
    println!("we release again: {}", ours.release_lock(id).await?);

    let sum = with_the_pair(&ours, id).await?;
    println!("with the pair: {sum:?}");

    // The same in one call, which cannot forget the release: prefer it.
    let sum = ours.execute_with_lock(id, TTL, async |_lease| add_up().await).await?;
    println!("with execute: {:?}", sum.transpose()?);
    Ok(())
}

/// The work's error is kept until the lock is released: a `?` in between would leave the lock to
/// its ttl.
async fn with_the_pair(locks: &LockService, id: &str) -> Result<Option<u32>, Box<dyn Error>> {
    if !locks.try_acquire_lock(id, TTL).await? {
        return Ok(None);
    }
    let sum = add_up().await;
    // The work is done, so a release that was not confirmed does not make it fail: the lease ends.
    if let Err(error) = locks.release_lock(id).await {
        println!("the release was not confirmed: {error}");
    }
    Ok(Some(sum?))
}

async fn add_up() -> Result<u32, std::io::Error> {
    Ok(20 + 22)
}

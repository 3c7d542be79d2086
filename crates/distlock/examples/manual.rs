//! `try_acquire_lock` and `release_lock`: for programs that cannot keep a guard between the two calls,
//! because they are made in two callbacks, or in two requests of one session.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::time::Duration;

use distlock::{LockConfig, LockService};

const TTL: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Two services on one store, as two processes would have.
    let config = LockConfig::from_env()?.default_url("memory:manual")?;
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

    // Prefer the same in one call, which always releases the lock.
    let sum = ours.execute_with_lock(id, TTL, async |_lease| add_up().await).await?;
    println!("with execute: {:?}", sum.transpose()?);
    Ok(())
}

/// The error of the work is returned after the release: a `?` before it would leave the lock taken
/// until its ttl is over.
async fn with_the_pair(locks: &LockService, id: &str) -> Result<Option<u32>, Box<dyn Error>> {
    if !locks.try_acquire_lock(id, TTL).await? {
        return Ok(None);
    }
    let sum = add_up().await;
    // The work is done, so an unconfirmed release is not a failure: the lease ends by itself.
    if let Err(error) = locks.release_lock(id).await {
        println!("the release was not confirmed: {error}");
    }
    Ok(Some(sum?))
}

async fn add_up() -> Result<u32, std::io::Error> {
    Ok(20 + 22)
}

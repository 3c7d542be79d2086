//! A release has an outcome, not an error: a `?` would turn finished work into a failure.

async fn work(guard: distlock::LockGuard) -> distlock::Result<()> {
    guard.release().await?;
    Ok(())
}

fn main() {}

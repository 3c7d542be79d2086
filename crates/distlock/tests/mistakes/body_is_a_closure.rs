//! A body is a closure, `async |lease| …`, not a future.

async fn work(locks: distlock::LockService) {
    let _done = locks.lock("x").execute(async { 7 }).await;
}

fn main() {}

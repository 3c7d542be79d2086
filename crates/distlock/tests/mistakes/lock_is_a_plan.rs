//! A `Lock` is a plan: it is finished by `try_acquire`, `acquire` or `execute`.

async fn work(locks: distlock::LockService) {
    let _guard = locks.lock("x").await;
}

fn main() {}

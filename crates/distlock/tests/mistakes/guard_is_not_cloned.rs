//! A copy of a guard would hold nothing.

fn copy(guard: distlock::LockGuard) {
    let _copy = guard.clone();
}

fn main() {}

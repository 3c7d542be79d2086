//! A URL is for `connect`; `LockService::new` takes a backend.

fn main() {
    let _locks = distlock::LockService::new("redis://localhost");
}

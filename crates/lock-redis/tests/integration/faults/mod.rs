//! A lock service over real servers that are killed, frozen, flushed, or cut off.

mod cancelled;
mod connection;
mod crowd;
mod holder;
mod plain;
mod server;
mod waiters;

use std::future::Future;
use std::time::Duration;

use lock_core::LockService;
use lock_redis::RedisBackend;

use crate::common::{self, Store};

/// Short, so that the tests are; long enough for a busy machine to answer in.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// So long that no test can mistake an expiry for a release.
const LONG: Duration = Duration::from_secs(3_600);

/// A service that is connected directly. It leaves no lock free for a moment, since some of these
/// tests look at the server right after a release.
fn direct(store: &Store) -> LockService {
    let builder = RedisBackend::builder().url(store.server.url()).look_out_for_pollers(false);
    common::strict(builder.response_timeout(RESPONSE_TIMEOUT).build().unwrap())
}

/// A service behind the proxy.
fn behind_proxy(store: &Store) -> LockService {
    common::strict(store.backend_behind_proxy(RESPONSE_TIMEOUT))
}

/// Ends the service, which waits for everything that is still to be undone, and says what is left
/// on the server.
async fn left_behind(locks: &LockService, store: &mut Store) -> Vec<String> {
    locks.shutdown(Duration::ZERO).await;
    store.keys()
}

/// An answer within the response timeout, with an order of magnitude to spare.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    common::soon(RESPONSE_TIMEOUT * 10, what).await
}

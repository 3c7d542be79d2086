//! Connections that were idle for long.

use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use lock_core::backend::{Clock, LockBackend, ReleaseReply};
use lock_redis::{Mode, RedisBackend};
use lock_testkit::proxy::{Fault, Scope};
use testbed::ServerKind;

crate::on_one_server! {
    a_connection_that_was_forgotten_while_idle_costs_no_call,
}

/// Something on the way forgets both connections, and swallows what is sent over them.
async fn a_connection_that_was_forgotten_while_idle_costs_no_call(kind: &ServerKind) {
    const TIMEOUT: Duration = Duration::from_secs(8);
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(TIMEOUT);
    let plain = RedisBackend::builder().url(store.proxy.url()).response_timeout(TIMEOUT);
    let plain = build(plain.mode(Mode::Plain));
    let (owner, _) = take(&backend, "held", MINUTE * 5).await;
    renew(&backend, "held", owner, MINUTE * 5).await.unwrap();
    Arc::clone(&plain).ping().await.unwrap();
    let connections = store.proxy.stats().accepted;
    store.proxy.set_both(Scope::Existing, Fault::Swallow);
    // No call is sent over them meanwhile.
    Clock::SYSTEM.sleep(Duration::from_secs(11)).await;
    let releasing = release(&backend, "held", owner);
    let acquiring = attempt(&plain, "plain", token(), MINUTE);
    let calls =
        futures_util::future::join3(attempt(&backend, "x", token(), MINUTE), releasing, acquiring);
    let (acquired, released, plain) = soon(TIMEOUT, calls).await;
    fencing(acquired.unwrap());
    assert_eq!(released.unwrap(), ReleaseReply::Released);
    assert!(matches!(plain.unwrap(), lock_core::backend::AcquireReply::Granted(_)));
    assert!(store.proxy.stats().accepted >= connections + 2);
}

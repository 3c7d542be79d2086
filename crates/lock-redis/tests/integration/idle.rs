//! Connections that were idle for long.

use std::time::Duration;

use crate::common::*;
use lock_core::backend::{Clock, ReleaseReply};
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
    let (owner, _) = take(&backend, "held", MINUTE * 5).await;
    renew(&backend, "held", owner, MINUTE * 5).await.unwrap();
    let connections = store.proxy.stats().accepted;
    store.proxy.set_both(Scope::Existing, Fault::Swallow);
    // No call is sent over them meanwhile.
    Clock::SYSTEM.sleep(Duration::from_secs(11)).await;
    let releasing = release(&backend, "held", owner);
    let calls = futures_util::future::join(attempt(&backend, "x", token(), MINUTE), releasing);
    let (acquired, released) = soon(TIMEOUT, calls).await;
    fencing(acquired.unwrap());
    assert_eq!(released.unwrap(), ReleaseReply::Released);
    assert!(store.proxy.stats().accepted > connections);
}

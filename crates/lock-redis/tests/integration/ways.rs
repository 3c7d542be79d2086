//! Which of two connections carries what, when one of them is of no use.

use std::time::Duration;

use crate::common::*;
use lock_core::LockErrorKind;
use lock_core::backend::{ReleaseReply, RenewReply};
use lock_redis::RedisBackend;
use lock_testkit::proxy::{Admission, Direction, Fault, Scope};
use testbed::ServerKind;

crate::on_every_server! {
    a_renewal_goes_over_the_callers_connection_while_the_other_cannot_be_made,
    a_kept_lock_outlives_a_server_without_room_for_a_second_connection,
    what_was_given_up_before_it_was_sent_is_not_sent,
    an_existing_connection_that_has_ended_says_so_for_good,
}

async fn a_renewal_goes_over_the_callers_connection_while_the_other_cannot_be_made(
    kind: &ServerKind,
) {
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(LIMIT);
    let (owner, _) = take(&backend, "x", MINUTE).await;
    for admission in [Admission::Reset, Admission::Serve] {
        store.proxy.admit(admission);
        if admission == Admission::Serve {
            // Nobody answers, and the answer would be waited for for half of the time.
            store.proxy.set_both(Scope::New, Fault::Swallow);
        }
        for _ in 0..3 {
            let renewed = soon(LIMIT, renew(&backend, "x", owner, MINUTE)).await.unwrap();
            assert!(matches!(renewed, RenewReply::Renewed), "{renewed:?}");
        }
    }
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
}

async fn a_kept_lock_outlives_a_server_without_room_for_a_second_connection(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = strict(store.backend());
    let ttl = Duration::from_secs(5);
    drop(locks.lock("first").acquire().await.unwrap());
    // The administrator's, and the callers'.
    store.run::<()>(&["CONFIG", "SET", "maxclients", "2"]);
    let kept = locks.lock("x").ttl(ttl).keep_alive().acquire().await.unwrap();
    let lost = tokio::time::timeout(ttl * 2, kept.lost()).await;
    assert!(lost.is_err(), "{lost:?}");
    assert!(kept.is_held());
    assert!(kept.release().await.is_released());
}

/// A batch is out and not answered while thousands come and go.
async fn what_was_given_up_before_it_was_sent_is_not_sent(kind: &ServerKind) {
    const MANY: usize = 2_000;
    let mut store = Store::start(kind);
    let locks = strict(store.backend_behind_proxy(LIMIT));
    drop(locks.lock("first").acquire().await.unwrap());
    store.proxy.set(Direction::ToClient, Scope::All, Fault::Hold);
    let before = store.calls_of("evalsha");
    for round in 0..5 {
        let mut acquiring: Vec<_> = (0..MANY)
            .map(|task| Box::pin(locks.lock(format!("{round}:{task}")).ttl(MINUTE).acquire()))
            .collect();
        for acquiring in &mut acquiring {
            assert!(futures_util::poll!(acquiring).is_pending());
        }
    }
    store.proxy.heal();
    let guard = soon(LIMIT, locks.lock("wanted").acquire()).await.unwrap();
    assert!(guard.release().await.is_released());
    locks.shutdown(LIMIT).await;
    assert_eq!(store.keys(), Vec::<String>::new());
    // A few were on their way at once, each with its undo.
    let sent = store.calls_of("evalsha") - before;
    assert!(sent < 1_200, "{sent} of {}", 5 * MANY);
}

async fn an_existing_connection_that_has_ended_says_so_for_good(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let client = redis::Client::open(store.server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let backend = build(RedisBackend::builder().connection(connection));
    take(&backend, "x", MINUTE).await;
    store.run::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    // The first may have been on its way when the connection ended.
    attempt(&backend, "y", token(), MINUTE).await.unwrap_err();
    for _ in 0..3 {
        let error = attempt(&backend, "y", token(), MINUTE).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Backend, "{error}");
        assert!(!error.is_retryable() && error.is_not_applied(), "{error}");
        assert!(error.to_string().contains("nothing reopens it"), "{error}");
    }
}

#[cfg(feature = "connection-manager")]
mod managed {
    use super::*;

    crate::on_every_server!(a_connection_manager_that_was_cut_off_takes_locks_again);

    async fn a_connection_manager_that_was_cut_off_takes_locks_again(kind: &ServerKind) {
        let mut store = Store::start(kind);
        let client = redis::Client::open(store.server.url()).unwrap();
        let manager = client.get_connection_manager().await.unwrap();
        let builder = RedisBackend::builder().connection_manager(manager);
        let backend = build(builder.register_process(false));
        let (owner, first) = take(&backend, "x", MINUTE).await;
        store.run::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]);
        let released = loop {
            match release(&backend, "x", owner).await {
                Ok(released) => break released,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        };
        assert_eq!(released, ReleaseReply::Released);
        let (owner, second) = take(&backend, "x", MINUTE).await;
        assert!(second > first);
        release(&backend, "x", owner).await.unwrap();
        assert_eq!(store.keys(), Vec::<String>::new());
    }
}

//! What happens when the network, the server or a runtime fails under the backend.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::common::*;
use lock_core::LockErrorKind;
use lock_core::backend::{Clock, Lane, LockBackend, ReleaseReply, ReleaseRequest, RenewReply};
use lock_redis::RedisBackend;
use lock_testkit::proxy::{Admission, Cut, Direction, Fault, Scope};
use testbed::ServerKind;

/// Short enough to wait for, and long enough for a server on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);

crate::on_every_server! {
    a_half_open_connection_is_replaced_after_one_timeout,
    a_release_never_overtakes_its_acquire_where_many_share_a_write,
    a_refusal_is_told_to_the_one_whom_it_concerns_where_many_share_a_write,
    the_lost_answer_of_a_grant_is_found_by_asking_again,
    the_lost_answer_of_a_release_is_unknown,
    a_lost_idle_connection_is_replaced_before_anything_is_sent,
    a_server_that_comes_later_is_found,
    a_frozen_server_costs_no_more_than_the_response_timeout,
    garbage_is_an_error_and_not_the_end,
    a_caller_who_leaves_does_not_stop_the_connecting_of_others,
    a_connection_outlives_the_runtime_that_made_it_by_being_made_anew,
    a_runtime_that_has_ended_is_no_hindrance,
    a_runtime_that_stands_still_while_it_connects_holds_up_no_other,
    a_release_goes_over_the_background_connection_while_the_other_is_down,
    an_existing_connection_is_used_to_its_end_and_not_replaced,
    a_closed_backend_says_so,
}

/// R20, F3.
async fn a_half_open_connection_is_replaced_after_one_timeout(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(TIMEOUT);
    let (owner, _) = take(&backend, "x", MINUTE).await;
    store.proxy.set_both(Scope::Existing, Fault::Swallow);
    let error = soon(TIMEOUT * 10, attempt(&backend, "y", token(), MINUTE)).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(!error.is_not_applied() && error.is_retryable(), "{error}");
    take(&backend, "y", MINUTE).await;
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
}

/// R3.
async fn a_release_never_overtakes_its_acquire_where_many_share_a_write(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move {
            let name = format!("x{task}");
            for _ in 0..30 {
                let token = token();
                let acquiring = attempt(&backend, &name, token, MINUTE);
                let releasing = release(&backend, &name, token);
                let (acquired, released) = tokio::join!(biased; acquiring, releasing);
                fencing(acquired.unwrap());
                assert_eq!(released.unwrap(), ReleaseReply::Released);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// F18 as well: each of them sends its script again.
async fn a_refusal_is_told_to_the_one_whom_it_concerns_where_many_share_a_write(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    Arc::clone(&backend).ping().await.unwrap();
    for task in (0..64).step_by(3) {
        store.run::<()>(&["LPUSH", &format!("lock:x{task}"), "no lock"]);
    }
    store.run::<()>(&["SCRIPT", "FLUSH"]);
    let attempts = (0..64).map(|task| {
        let backend = &backend;
        async move { (task, attempt(backend, &format!("x{task}"), token(), MINUTE).await) }
    });
    for (task, attempted) in futures_util::future::join_all(attempts).await {
        assert_eq!(attempted.is_err(), task % 3 == 0, "{task}: {attempted:?}");
    }
}

/// F6: the core asks again with the same token.
async fn the_lost_answer_of_a_grant_is_found_by_asking_again(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend_behind_proxy(LIMIT);
    Arc::clone(&backend).ping().await.unwrap();
    store.proxy.arm(Cut::after_bytes(Direction::ToClient, 0));
    let token = token();
    let error = attempt(&backend, "x", token, MINUTE).await.unwrap_err();
    assert!(!error.is_not_applied(), "{error}");
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), owned_by(token));
    fencing(attempt(&backend, "x", token, MINUTE).await.unwrap());
    assert_eq!(release(&backend, "x", token).await.unwrap(), ReleaseReply::Released);
}

/// F7: the second answer is no news of the first release.
async fn the_lost_answer_of_a_release_is_unknown(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(LIMIT);
    let (owner, _) = take(&backend, "x", MINUTE).await;
    store.proxy.arm(Cut::after_bytes(Direction::ToClient, 0));
    let error = release(&backend, "x", owner).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unknown);
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::NotHeld);
}

async fn a_lost_idle_connection_is_replaced_before_anything_is_sent(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    for _ in 0..5 {
        Arc::clone(&backend).ping().await.unwrap();
        assert_eq!(store.connections(), 2);
        store.run::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        // The end of the connection is on its way; whoever comes first may still meet it.
        while let Err(error) = Arc::clone(&backend).ping().await {
            assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
        }
    }
}

/// F27.
async fn a_server_that_comes_later_is_found(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    store.server.kill();
    for _ in 0..3 {
        let error = soon(LIMIT, attempt(&backend, "x", token(), MINUTE)).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable);
        assert!(error.is_not_applied(), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
    store.server.restart().unwrap();
    let (owner, _) = take(&backend, "x", MINUTE).await;
    // And again, with a connection that was up.
    store.server.restart().unwrap();
    let reply = loop {
        match release(&backend, "x", owner).await {
            Ok(reply) => break reply,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    };
    assert_eq!(reply, ReleaseReply::NotHeld);
}

/// F2.
async fn a_frozen_server_costs_no_more_than_the_response_timeout(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend_behind_proxy(TIMEOUT);
    let (owner, _) = take(&backend, "x", MINUTE).await;
    store.server.freeze().unwrap();
    let limit = TIMEOUT * 10;
    let error = soon(limit, attempt(&backend, "y", token(), MINUTE)).await.unwrap_err();
    assert!(!error.is_not_applied(), "{error}");
    // The next connection is accepted by the kernel and greeted by nobody.
    let error = soon(limit, attempt(&backend, "y", token(), MINUTE)).await.unwrap_err();
    assert!(error.is_not_applied(), "{error}");
    let error = soon(limit, renew(&backend, "x", owner, MINUTE)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    store.server.thaw().unwrap();
    while renew(&backend, "x", owner, MINUTE).await.is_err() {}
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    // The first attempt ran when the server woke up, and was refused.
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// F28.
async fn garbage_is_an_error_and_not_the_end(kind: &ServerKind) {
    // A length that was made larger is waited for in vain.
    let timeout = Duration::from_millis(100);
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(timeout);
    for one_in in [1, 7, 60] {
        store.proxy.set(Direction::ToClient, Scope::All, Fault::Corrupt { one_in });
        for _ in 0..3 {
            let limit = timeout * 50;
            drop(soon(limit, attempt(&backend, "x", token(), MINUTE)).await);
            drop(soon(limit, release(&backend, "x", token())).await);
            drop(soon(limit, renew(&backend, "x", token(), MINUTE)).await);
            drop(soon(limit, Arc::clone(&backend).status(key("x"))).await);
        }
        store.proxy.heal();
        // What was corrupted is still on its way through connections that look well.
        while Arc::clone(&backend).status(key("x")).await.is_err() {}
        while renew(&backend, "x", token(), MINUTE).await.is_err() {}
        while attempt(&backend, "x", token(), MINUTE).await.is_err() {}
    }
}

async fn a_caller_who_leaves_does_not_stop_the_connecting_of_others(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(LIMIT);
    store.proxy.set(Direction::ToServer, Scope::All, Fault::Hold);
    let pings = [0, 1].map(|_| {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move { backend.ping().await })
    });
    store.proxy.until(LIMIT, |stats| stats.to_server.held() > 0).await.unwrap();
    let [leaving, staying] = pings;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    store.proxy.heal();
    staying.await.unwrap().unwrap();
    assert_eq!(store.proxy.stats().accepted, 1);
}

async fn a_connection_outlives_the_runtime_that_made_it_by_being_made_anew(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend();
    for round in 0..3 {
        let backend = Arc::clone(&backend);
        let elsewhere = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(take(&backend, &format!("{round}"), MINUTE))
        };
        tokio::task::spawn_blocking(elsewhere).await.unwrap();
    }
    take(&backend, "here", MINUTE).await;
}

/// Polls once in the context of another runtime.
fn poll_in<T>(
    runtime: &tokio::runtime::Handle,
    future: &mut std::pin::Pin<Box<impl Future<Output = T>>>,
) -> Poll<T> {
    let _context = runtime.enter();
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

async fn a_runtime_that_has_ended_is_no_hindrance(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend();
    let ended = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        handle
    };
    let mut attempting = Box::pin(attempt(&backend, "x", token(), MINUTE));
    assert!(poll_in(&ended, &mut attempting).is_pending());
    fencing(attempting.await.unwrap());
    take(&backend, "y", MINUTE).await;
}

async fn a_runtime_that_stands_still_while_it_connects_holds_up_no_other(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(LIMIT * 2);
    let still = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut attempting = Box::pin(attempt(&backend, "x", token(), MINUTE));
    assert!(poll_in(still.handle(), &mut attempting).is_pending());
    soon(LIMIT, take(&backend, "x", MINUTE)).await;
    drop(attempting);
    still.shutdown_background();
}

async fn a_release_goes_over_the_background_connection_while_the_other_is_down(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend_behind_proxy(LIMIT);
    let (owner, _) = take(&backend, "x", MINUTE).await;
    // The second connection is that of the background.
    renew(&backend, "x", owner, MINUTE).await.unwrap();
    assert_eq!(store.proxy.stats().accepted, 2);
    store.proxy.admit(Admission::Reset);
    store.proxy.arm(Cut::after_bytes(Direction::ToServer, 0));
    attempt(&backend, "y", token(), MINUTE).await.unwrap_err();
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    let request = ReleaseRequest::new(key("x"), owner, Clock::SYSTEM).with_lane(Lane::Background);
    assert_eq!(release_with(&backend, request).await.unwrap(), ReleaseReply::NotHeld);
}

/// R26.
async fn an_existing_connection_is_used_to_its_end_and_not_replaced(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let client = redis::Client::open(store.server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let backend = build(RedisBackend::builder().connection(connection));
    let (owner, _) = take(&backend, "x", MINUTE).await;
    assert!(matches!(renew(&backend, "x", owner, MINUTE).await.unwrap(), RenewReply::Renewed));
    assert_eq!(store.connections(), 2);
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    store.run::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    for _ in 0..3 {
        attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
    }
    assert_eq!(store.connections(), 1);
}

async fn a_closed_backend_says_so(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    Arc::clone(&backend).ping().await.unwrap();
    Arc::clone(&backend).close().await;
    let error = attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::ShutDown);
    until(|| store.connections() == 1).await;
}

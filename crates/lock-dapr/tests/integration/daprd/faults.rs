//! F31: sidecars and stores that are killed, frozen, cut off, or not what they should be. What the
//! caller sees, how long it takes, and that nothing stays locked beyond its ttl.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_core::{LockErrorKind, LockService};
use lock_testkit::proxy::{Cut, Direction, Fault, Proxy, Scope};
use testbed::{DaprSidecar, RedisServer, ServerKind};

use crate::common::{LIMIT, MINUTE, Stand, acquire, at, build, redis, soon, take, token, until};

const TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_killed_sidecar_is_unavailable_at_once_and_its_locks_end_with_their_ttl() {
    let mut stand = Stand::start();
    let locks = LockService::new(build(stand.builder()));
    let guard = locks.lock("held").ttl(Duration::from_secs(2)).acquire().await.unwrap();
    stand.sidecar.kill();
    // The broken connection is noticed, and a refused one needs no timeout.
    for connection in ["broken", "refused"] {
        let error = soon(LIMIT, locks.lock("x").try_acquire()).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{connection}: {error}");
        if connection == "refused" {
            assert!(error.to_string().contains("is it running"), "{error}");
            assert!(error.is_not_applied());
        }
    }
    drop(guard);
    // Somebody waits over the outage.
    let lock = locks.lock("held").wait(LIMIT);
    let waiter = tokio::spawn(async move { lock.acquire().await });
    stand.sidecar.restart().unwrap();
    assert!(waiter.await.unwrap().unwrap().release().await.is_released());
    assert_eq!(stand.redis("KEYS *"), "*0\r\n");
}

#[tokio::test]
async fn a_frozen_sidecar_costs_the_timeout_and_leaves_nothing_when_it_goes_on() {
    let mut stand = Stand::start();
    let locks = LockService::new(build(stand.builder().timeout(TIMEOUT)));
    locks.ping().await.unwrap();
    stand.sidecar.freeze().unwrap();
    let began = std::time::Instant::now();
    let error = soon(LIMIT, locks.lock("x").ttl(MINUTE).try_acquire()).await.unwrap_err();
    assert!(began.elapsed() >= TIMEOUT, "{:?}", began.elapsed());
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    stand.sidecar.thaw().unwrap();
    // The request waited at the sidecar's door, and may have been served when it went on.
    locks.lock("x").ttl(MINUTE).wait(LIMIT).acquire().await.unwrap().release().await;
    until(|| stand.owner("x").is_none()).await;
}

#[tokio::test]
async fn a_holder_before_a_frozen_sidecar_is_lost_at_its_deadline() {
    let mut stand = Stand::start();
    let locks = LockService::new(build(stand.builder()));
    let guard = locks.lock("x").ttl(Duration::from_secs(1)).acquire().await.unwrap();
    stand.sidecar.freeze().unwrap();
    soon(LIMIT, guard.lost()).await;
    assert!(!guard.is_held());
    stand.sidecar.thaw().unwrap();
    until(|| stand.owner("x").is_none()).await;
}

#[tokio::test]
async fn a_stopped_redis_is_unavailable_in_time_and_nothing_stays_locked_when_it_goes_on() {
    let mut stand = Stand::start();
    let locks = LockService::new(build(stand.builder().timeout(TIMEOUT)));
    locks.ping().await.unwrap();
    stand.redis.freeze().unwrap();
    let error = soon(LIMIT, locks.lock("x").ttl(MINUTE).try_acquire()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(!error.is_not_applied());
    stand.redis.thaw().unwrap();
    locks.lock("x").ttl(MINUTE).wait(LIMIT).acquire().await.unwrap().release().await;
    until(|| stand.owner("x").is_none()).await;
}

#[tokio::test]
async fn a_killed_redis_is_the_store_s_failure_and_recovers_with_it() {
    let mut stand = Stand::start();
    let locks = LockService::new(build(stand.builder()));
    let guard = locks.lock("held").ttl(MINUTE).acquire().await.unwrap();
    stand.redis.kill();
    let error = soon(LIMIT, locks.lock("x").try_acquire()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("lock store failed"), "{error}");
    let error = soon(LIMIT, locks.ping()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    stand.redis.restart().unwrap();
    // It came back empty: the holder's release says so, or that it cannot know.
    let outcome = soon(LIMIT, guard.release()).await;
    assert!(!outcome.is_released(), "{outcome:?}");
    locks.lock("x").wait(LIMIT).acquire().await.unwrap().release().await;
}

#[tokio::test]
async fn a_wrong_token_is_denied_without_being_shown() {
    let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let sidecar = DaprSidecar::before(redis.address()).api_token("s3cret-right").start().unwrap();
    let with = |token: Option<&str>| {
        let builder = at(sidecar.address());
        LockService::new(build(match token {
            Some(token) => builder.api_token(token),
            None => builder,
        }))
    };
    for wrong in [None, Some("s3cret-wrong")] {
        let locks = with(wrong);
        for error in
            [locks.lock("x").try_acquire().await.unwrap_err(), locks.ping().await.unwrap_err()]
        {
            assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
            assert!(error.to_string().contains("DAPR_API_TOKEN"), "{error}");
            assert!(error.is_not_applied() && !error.is_retryable());
            assert!(!format!("{error} {error:?} {error:#?}").contains("s3cret"));
        }
    }
    let locks = with(Some("s3cret-right"));
    locks.ping().await.unwrap();
    assert!(locks.lock("x").try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_store_that_is_not_there_is_named_with_the_cure() {
    let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    for (settings, cure) in [
        (DaprSidecar::before(redis.address()).store("other"), "has no lock store \"lockstore\""),
        (
            DaprSidecar::before(redis.address()).without_store(),
            "add a component of type lock.redis",
        ),
    ] {
        let sidecar = settings.start().unwrap();
        let locks = LockService::new(build(at(sidecar.address())));
        for error in
            [locks.lock("x").try_acquire().await.unwrap_err(), locks.ping().await.unwrap_err()]
        {
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
            assert!(error.to_string().contains(cure), "{error}");
            assert!(error.is_not_applied());
        }
    }
}

#[tokio::test]
async fn an_api_that_is_not_allowed_is_unsupported_with_the_cure() {
    let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let denied = r#"{"api": {"denied": [
        {"name": "lock", "version": "v1alpha1", "protocol": "grpc"},
        {"name": "unlock", "version": "v1alpha1", "protocol": "grpc"}
    ]}}"#;
    let settings = DaprSidecar::before(redis.address()).configuration(denied);
    let sidecar = settings.start().unwrap();
    let backend = build(at(sidecar.address()));
    let error = acquire(&backend, "x", token(), MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("lock.v1alpha1"), "{error}");
    assert!(error.is_not_applied());
}

#[tokio::test]
async fn a_port_that_is_not_the_grpc_port_is_told() {
    let stand = Stand::start();
    let backend = build(at(stand.sidecar.http_address()).timeout(TIMEOUT));
    let error = soon(LIMIT, backend.ping()).await.unwrap_err();
    assert!(error.to_string().contains("gRPC port"), "{error}");
}

#[tokio::test]
async fn a_refusal_by_one_s_own_request_is_noticed_and_the_lock_given_back() {
    let server = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let sidecar = DaprSidecar::before(proxy.address()).start().unwrap();
    let backend = build(at(sidecar.address()));
    let locks = LockService::new(Arc::clone(&backend));
    // Its connection to Redis is there, and greeted.
    locks.lock("x").ttl(MINUTE).acquire().await.unwrap().release().await;
    proxy.arm(Cut::when(Direction::ToClient, b"+OK\r\n"));
    let error = soon(LIMIT, acquire(&backend, "x", token(), MINUTE)).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("was released"), "{error}");
    assert_eq!(redis(server.address(), "KEYS *"), "*0\r\n");
    // One who waits does not even notice.
    proxy.arm(Cut::when(Direction::ToClient, b"+OK\r\n"));
    let waiting = locks.lock("x").ttl(MINUTE).wait(LIMIT);
    assert!(soon(LIMIT, waiting.acquire()).await.unwrap().release().await.is_released());
}

#[tokio::test]
async fn a_reply_that_is_lost_after_the_grant_is_undone() {
    let stand = Stand::start();
    let proxy = Proxy::start(stand.sidecar.address()).unwrap();
    let locks = LockService::new(build(at(proxy.address()).timeout(TIMEOUT)));
    locks.ping().await.unwrap();
    proxy.set(Direction::ToClient, Scope::Existing, Fault::Swallow);
    let lock = locks.lock("x").ttl(MINUTE);
    let caller = tokio::spawn(async move { lock.try_acquire().await });
    until(|| stand.owner("x").is_some()).await;
    let error = soon(LIMIT, caller).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    until(|| stand.owner("x").is_none()).await;
    // The old connection was given up, and the next call does not wait for it.
    assert!(locks.lock("x").try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_reply_of_a_release_that_is_lost_is_unknown() {
    let stand = Stand::start();
    let proxy = Proxy::start(stand.sidecar.address()).unwrap();
    let backend = build(at(proxy.address()).timeout(TIMEOUT));
    let owner = take(&backend, "x", MINUTE).await;
    proxy.set(Direction::ToClient, Scope::Existing, Fault::Swallow);
    let error = soon(LIMIT, crate::common::release(&backend, "x", owner)).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
    assert_eq!(stand.owner("x"), None);
}

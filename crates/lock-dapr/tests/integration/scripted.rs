//! What the backend makes of answers that a real sidecar cannot be made to give.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{AcquireReply, AcquireRequest, Clock, LockBackend, ReleaseReply};
use lock_core::{LockErrorKind, LockService};
use lock_testkit::proxy::Proxy;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tonic::Code;
use tonic::transport::Server;

use crate::common::{
    LIMIT, MINUTE, acquire, at, build, hex, is_held, key, release, soon, token, until,
};
use crate::fake::{Act, Fake};

/// The statuses of an unlock.
const SUCCESS: i32 = 0;
const DOES_NOT_EXIST: i32 = 1;
const BELONGS_TO_OTHERS: i32 = 2;
const INTERNAL_ERROR: i32 = 3;
const UNKNOWN: i32 = 99;

/// Far more than the fake needs, so that no answer of its own is slow.
const NEVER_SLOW: Duration = LIMIT;
/// Less than what a late answer takes.
const SOON_SLOW: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_quick_refusal_is_believed() {
    let (fake, address) = Fake::start([Act::Lock(false)]).await;
    let backend = build(at(address).verify_refusals_after(NEVER_SLOW));
    assert!(is_held(&acquire(&backend, "x", token(), MINUTE).await.unwrap()));
    assert_eq!(fake.methods(), ["lock"]);
}

#[tokio::test]
async fn a_slow_refusal_is_verified_by_an_unlock_of_the_same_owner() {
    let late = Act::LockLate(false, LATE);
    for (answer, is_refused) in [
        (Act::Unlock(DOES_NOT_EXIST), true),
        (Act::Unlock(BELONGS_TO_OTHERS), true),
        (Act::Unlock(SUCCESS), false),
        (Act::Unlock(INTERNAL_ERROR), false),
        (Act::Unlock(UNKNOWN), false),
        (Act::Refuse(Code::Internal), false),
        (Act::Refuse(Code::Unauthenticated), false),
    ] {
        let (fake, address) = Fake::start([late, answer]).await;
        let backend = build(at(address).verify_refusals_after(SOON_SLOW));
        let owner = token();
        let attempt = acquire(&backend, "x", owner, MINUTE).await;
        match attempt {
            Ok(attempt) => assert!(is_held(&attempt) && is_refused, "{answer:?}"),
            // It may be ours, so the core has to undo it.
            Err(error) => assert!(!is_refused && !error.is_not_applied(), "{answer:?}: {error}"),
        }
        assert_eq!(fake.methods(), ["lock", "unlock"], "{answer:?}");
        assert!(fake.calls().iter().all(|call| call.owner == hex(owner)));
    }
}

#[tokio::test]
async fn a_refusal_after_trouble_is_verified_too() {
    let acts = [Act::Refuse(Code::Unavailable), Act::Lock(false), Act::Unlock(BELONGS_TO_OTHERS)];
    let (fake, address) = Fake::start(acts).await;
    let backend = build(at(address).verify_refusals_after(NEVER_SLOW));
    acquire(&backend, "x", token(), MINUTE).await.unwrap_err();
    assert!(is_held(&acquire(&backend, "x", token(), MINUTE).await.unwrap()));
    // And then all is well again.
    fake.then([Act::Lock(false)]);
    assert!(is_held(&acquire(&backend, "x", token(), MINUTE).await.unwrap()));
    assert_eq!(fake.methods(), ["lock", "lock", "unlock", "lock"]);
}

#[tokio::test]
async fn every_attempt_has_an_owner_of_its_own_and_whole_seconds() {
    let (fake, address) = Fake::start([Act::Lock(false); 100]).await;
    let backend = build(at(address).verify_refusals_after(NEVER_SLOW));
    let locks = LockService::new(Arc::clone(&backend));
    let lock = locks.lock("x").ttl(Duration::from_millis(1_500)).wait_forever();
    let waiting = tokio::spawn(lock.try_acquire());
    until(|| fake.calls().len() > 1).await;
    waiting.abort();
    let calls = fake.calls();
    for (index, call) in calls.iter().enumerate() {
        assert_eq!(call.seconds, Some(2));
        assert!(!call.metadata.contains_key("grpc-timeout"));
        assert!(calls[..index].iter().all(|earlier| earlier.owner != call.owner));
    }
}

#[tokio::test]
async fn the_token_goes_with_both_methods() {
    let (fake, address) = Fake::start([Act::Lock(true), Act::Unlock(SUCCESS)]).await;
    let backend = build(at(address).api_token("t0ken"));
    let owner = token();
    acquire(&backend, "x", owner, MINUTE).await.unwrap();
    release(&backend, "x", owner).await.unwrap();
    let calls = fake.calls();
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(call.metadata.get("dapr-api-token").unwrap(), "t0ken");
    }
}

#[tokio::test]
async fn a_token_comes_from_a_file_and_counts_from_the_next_request_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "f1rst\n").unwrap();
    let (fake, address) = Fake::start([Act::Lock(true), Act::Unlock(SUCCESS)]).await;
    let backend = build(at(address).api_token_file(&file));
    let owner = token();
    acquire(&backend, "x", owner, MINUTE).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = release(&backend, "x", owner).await.unwrap_err();
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    std::fs::write(&file, "s3cond").unwrap();
    release(&backend, "x", owner).await.unwrap();
    let tokens: Vec<_> =
        fake.calls().iter().map(|call| call.metadata.get("dapr-api-token").cloned()).collect();
    assert_eq!(tokens, [Some("f1rst".parse().unwrap()), Some("s3cond".parse().unwrap())]);
    assert!(!format!("{backend:?}").contains("s3cond"));
}

#[tokio::test]
async fn every_status_of_an_unlock_is_an_answer_or_an_error_that_can_be_retried() {
    for (status, reply) in [
        (SUCCESS, Some(ReleaseReply::Released)),
        (DOES_NOT_EXIST, Some(ReleaseReply::NotHeld)),
        (BELONGS_TO_OTHERS, Some(ReleaseReply::HeldByOther)),
        (INTERNAL_ERROR, None),
        (UNKNOWN, None),
    ] {
        let (_fake, address) = Fake::start([Act::Unlock(status)]).await;
        match release(&build(at(address)), "x", token()).await {
            Ok(found) => assert_eq!(Some(found), reply),
            Err(error) => {
                assert_eq!(reply, None, "{status}");
                assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
            }
        }
    }
}

#[tokio::test]
async fn codes_decide_who_has_to_act() {
    use LockErrorKind::{Backend, Denied, InvalidConfig, Unavailable, Unsupported};
    for (code, kind, proves_nothing_happened) in [
        (Code::Unauthenticated, Denied, true),
        (Code::PermissionDenied, Denied, true),
        (Code::InvalidArgument, InvalidConfig, true),
        (Code::FailedPrecondition, InvalidConfig, true),
        (Code::Unimplemented, Unsupported, true),
        (Code::Unavailable, Unavailable, false),
        (Code::DeadlineExceeded, Unavailable, false),
        (Code::Cancelled, Unavailable, false),
        (Code::Unknown, Unavailable, false),
        (Code::Internal, Unavailable, false),
        (Code::ResourceExhausted, Unavailable, false),
        (Code::Aborted, Unavailable, false),
        (Code::DataLoss, Backend, false),
    ] {
        let (_fake, address) = Fake::start([Act::Refuse(code)]).await;
        let error = acquire(&build(at(address)), "x", token(), MINUTE).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code:?}: {error}");
        assert_eq!(error.is_not_applied(), proves_nothing_happened, "{code:?}: {error}");
    }
}

#[tokio::test]
async fn a_silent_sidecar_is_given_up_at_the_deadline_and_its_grant_undone() {
    let acts = [Act::Silence, Act::Unlock(DOES_NOT_EXIST), Act::Unlock(SUCCESS)];
    let (fake, address) = Fake::start(acts).await;
    let timeout = Duration::from_secs(2);
    let locks = LockService::new(build(at(address).timeout(timeout)));
    let error = soon(LIMIT, locks.lock("x").try_acquire()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    // Once now, and once more when the request can no longer be served late.
    until(|| fake.calls().len() == 3).await;
    assert_eq!(fake.methods(), ["lock", "unlock", "unlock"]);
    let owners: Vec<String> = fake.calls().into_iter().map(|call| call.owner).collect();
    assert!(owners.windows(2).all(|pair| pair[0] == pair[1]), "{owners:?}");
}

#[tokio::test]
async fn a_request_that_comes_too_late_is_not_sent() {
    let (fake, address) = Fake::start([Act::Lock(true)]).await;
    let backend = build(at(address));
    let mut request = AcquireRequest::new(key("x").unwrap(), token(), MINUTE, Clock::SYSTEM);
    request.asked_at = request.asked_at - MINUTE;
    let error = Arc::clone(&backend).acquire(request).await.unwrap_err();
    assert!(error.is_not_applied(), "{error}");
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_ping_unlocks_what_nobody_holds() {
    let (fake, address) = Fake::start([Act::Unlock(DOES_NOT_EXIST)]).await;
    build(at(address)).ping().await.unwrap();
    assert_eq!(fake.methods(), ["unlock"]);
}

#[tokio::test]
async fn an_attempt_does_not_overtake_the_release_before_it() {
    let (fake, address) =
        Fake::start([Act::Lock(true), Act::Unlock(SUCCESS), Act::Lock(true)]).await;
    let locks = LockService::new(build(at(address)));
    drop(locks.lock("x").acquire().await.unwrap());
    let guard = locks.lock("x").try_acquire().await.unwrap();
    assert_eq!(fake.methods(), ["lock", "unlock", "lock"]);
    fake.then([Act::Unlock(SUCCESS)]);
    drop(guard);
}

#[tokio::test]
async fn a_sidecar_that_goes_away_answers_what_it_was_asked_and_is_connected_to_anew() {
    let (end, ended) = oneshot::channel::<()>();
    let (fake, next) = Fake::start([Act::Unlock(DOES_NOT_EXIST)]).await;
    let goes_away = async { ended.await.unwrap() };
    let proxy = Proxy::start(fake.serve(Server::builder(), goes_away).await).unwrap();
    let backend = build(at(proxy.address()));
    Arc::clone(&backend).ping().await.unwrap();

    fake.then([Act::LockLate(true, LATE), Act::Unlock(SUCCESS)]);
    let owner = token();
    let asking = tokio::spawn({
        let backend = Arc::clone(&backend);
        async move { acquire(&backend, "x", owner, MINUTE).await }
    });
    until(|| fake.methods() == ["unlock", "lock"]).await;
    proxy.redirect(next).unwrap();
    end.send(()).unwrap();
    let attempt = asking.await.unwrap().unwrap();
    assert!(matches!(attempt, AcquireReply::Granted(_)), "{attempt:?}");

    // The connection ends while nobody asks anything, as one that was idle for too long.
    until(|| proxy.stats().open == 0).await;
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    assert_eq!(proxy.stats().accepted, 2);
}

/// The task that drives the channel stands still while the program drops its last handle.
#[test]
fn a_guard_that_is_dropped_at_the_end_of_a_program_is_released() {
    let elsewhere = Runtime::new().unwrap();
    let acts = [Act::Lock(true), Act::Unlock(SUCCESS), Act::Unlock(DOES_NOT_EXIST)];
    let (fake, address) = elsewhere.block_on(Fake::start(acts));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let locks = LockService::new(build(at(address)));
        let _guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
    });
    assert!(fake.methods().contains(&"unlock"));
}

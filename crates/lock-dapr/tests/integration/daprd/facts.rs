//! What the sidecar itself does, as far as the backend relies on it: asked by the generated client,
//! without the backend between.

use dapr::dapr::proto::runtime::v1::unlock_response::Status as Unlocked;
use dapr::dapr::proto::runtime::v1::{TryLockRequest, UnlockRequest};
use lock_testkit::proxy::{Cut, Direction, Proxy};
use testbed::{DaprSidecar, RedisServer, ServerKind};
use tonic::{Code, Status};

use crate::common::{Client, Stand, client, until};

fn lock(name: &str, owner: &str, seconds: i32) -> TryLockRequest {
    TryLockRequest {
        store_name: "lockstore".into(),
        resource_id: name.into(),
        lock_owner: owner.into(),
        expiry_in_seconds: seconds,
    }
}

async fn try_lock(client: &mut Client, name: &str, owner: &str) -> Result<bool, Status> {
    Ok(client.try_lock_alpha1(lock(name, owner, 60)).await?.into_inner().success)
}

async fn unlock(client: &mut Client, name: &str, owner: &str) -> Result<Unlocked, Status> {
    let request = UnlockRequest {
        store_name: "lockstore".into(),
        resource_id: name.into(),
        lock_owner: owner.into(),
    };
    Ok(client.unlock_alpha1(request).await?.into_inner().status())
}

#[tokio::test]
async fn a_lock_is_the_owner_at_its_key_for_whole_seconds() {
    let stand = Stand::start();
    let mut client = client(stand.sidecar.address());
    assert!(client.try_lock_alpha1(lock("x", "me", 7)).await.unwrap().into_inner().success);
    assert_eq!(stand.redis("GET lock||locktest||x"), "$2\r\nme\r\n");
    let left = stand.redis("PTTL lock||locktest||x");
    let left: u64 = left.trim_start_matches(':').trim_end().parse().unwrap();
    assert!((1..=7_000).contains(&left), "{left}");
}

#[tokio::test]
async fn the_owner_itself_is_refused_too_and_its_lease_stays() {
    let stand = Stand::start();
    let mut client = client(stand.sidecar.address());
    assert!(try_lock(&mut client, "x", "me").await.unwrap());
    stand.redis("PEXPIRE lock||locktest||x 30000");
    assert!(!try_lock(&mut client, "x", "me").await.unwrap());
    assert!(!try_lock(&mut client, "x", "you").await.unwrap());
    let left = stand.redis("PTTL lock||locktest||x");
    assert!(left.trim_start_matches(':').trim_end().parse::<u64>().unwrap() <= 30_000, "{left}");
}

#[tokio::test]
async fn an_unlock_compares_the_owner_and_says_what_it_found() {
    let stand = Stand::start();
    let mut client = client(stand.sidecar.address());
    assert_eq!(unlock(&mut client, "x", "me").await.unwrap(), Unlocked::LockDoesNotExist);
    assert!(try_lock(&mut client, "x", "me").await.unwrap());
    assert_eq!(unlock(&mut client, "x", "you").await.unwrap(), Unlocked::LockBelongsToOthers);
    assert_eq!(unlock(&mut client, "x", "me").await.unwrap(), Unlocked::Success);
    assert_eq!(unlock(&mut client, "x", "me").await.unwrap(), Unlocked::LockDoesNotExist);
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_these_codes() {
    let stand = Stand::start();
    let mut client = client(stand.sidecar.address());
    let elsewhere = TryLockRequest { store_name: "other".into(), ..lock("x", "me", 60) };
    for (request, code, said) in [
        (lock("x", "me", 0), Code::InvalidArgument, "ExpiryInSeconds is not positive"),
        (lock("x", "me", -1), Code::InvalidArgument, "ExpiryInSeconds is not positive"),
        (lock("", "me", 60), Code::InvalidArgument, "ResourceId is empty"),
        (lock("x", "", 60), Code::InvalidArgument, "LockOwner is empty"),
        (elsewhere, Code::InvalidArgument, "lock store other not found"),
        (lock("a||b", "me", 60), Code::Internal, "can't contain '||'"),
        // The lifetime is looked at before everything else.
        (lock("", "", 0), Code::InvalidArgument, "ExpiryInSeconds is not positive"),
    ] {
        let status = client.try_lock_alpha1(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(said), "{status}");
    }
    let status = unlock(&mut client, "a||b", "me").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("failed to release lock"), "{status}");
    let status = unlock(&mut client, "", "me").await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_request_is_sent_again_after_a_broken_line_and_refused_by_itself() {
    let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let proxy = Proxy::start(redis.address()).unwrap();
    let sidecar = DaprSidecar::before(proxy.address()).start().unwrap();
    let mut client = client(sidecar.address());
    // The answer to SET NX is lost with its connection; the sidecar asks once more.
    proxy.arm(Cut::when(Direction::ToClient, b"+OK\r\n").nth(next_ok(&mut client, &proxy).await));
    assert!(!try_lock(&mut client, "x", "me").await.unwrap());
    assert_eq!(crate::common::redis(redis.address(), "GET lock||locktest||x"), "$2\r\nme\r\n");
}

/// Which `+OK` from now on is the answer to the next lock: the sidecar's greeting has some too, so
/// its connection is warmed up first.
async fn next_ok(client: &mut Client, proxy: &Proxy) -> u64 {
    assert!(try_lock(client, "warm", "up").await.unwrap());
    assert_eq!(unlock(client, "warm", "up").await.unwrap(), Unlocked::Success);
    until(|| proxy.stats().to_client.held() == 0).await;
    1
}

#[tokio::test]
async fn locks_outlive_the_sidecar_that_took_them() {
    let mut stand = Stand::start();
    assert!(try_lock(&mut client(stand.sidecar.address()), "x", "me").await.unwrap());
    stand.sidecar.restart().unwrap();
    let mut client = client(stand.sidecar.address());
    assert!(!try_lock(&mut client, "x", "you").await.unwrap());
    assert_eq!(unlock(&mut client, "x", "me").await.unwrap(), Unlocked::Success);
}

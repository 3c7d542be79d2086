//! A store behind the sidecar that refuses.

use lock_core::{LockErrorKind, LockService, ReleaseOutcome};

use crate::common::{LIMIT, MINUTE, Stand, until};

#[tokio::test]
async fn a_store_that_forbids_a_command_or_a_key_is_denied_and_names_it() {
    let stand = Stand::start();
    let locks = LockService::new(stand.backend());
    for (rules, named) in [("-set", "'set'"), ("resetkeys ~other", "a key")] {
        stand.redis(&format!("ACL SETUSER default {rules}"));
        let error = locks.lock("x").wait(LIMIT).try_acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(error.to_string().contains("+set +get +del +eval"), "{error}");
        stand.redis("ACL SETUSER default ~* +@all");
    }
    // What a release needs is seen by a ping, before anything is taken.
    for rules in ["-eval", "-get"] {
        assert!(locks.try_acquire_lock("x", MINUTE).await.unwrap());
        stand.redis(&format!("ACL SETUSER default {rules}"));
        for error in [locks.ping().await.unwrap_err(), locks.release_lock("x").await.unwrap_err()] {
            assert_eq!(error.kind(), LockErrorKind::Denied, "{rules}: {error}");
            assert!(error.to_string().contains(&rules[1..]), "{rules}: {error}");
        }
        stand.redis("ACL SETUSER default +@all");
        until(|| stand.owner("x").is_none()).await;
    }
}

#[tokio::test]
async fn whoever_waits_while_the_store_refuses_for_a_while_gets_the_lock() {
    let stand = Stand::start();
    let locks = LockService::new(stand.backend());
    for (begin, end) in [
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("CONFIG SET maxmemory 100kb", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    ] {
        stand.redis(begin);
        let error = locks.lock("x").try_acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
        let lock = locks.lock("x").ttl(MINUTE).wait(LIMIT);
        let waiting = tokio::spawn(async move { lock.acquire().await });
        stand.redis(end);
        assert_eq!(waiting.await.unwrap().unwrap().release().await, ReleaseOutcome::Released);
    }
}

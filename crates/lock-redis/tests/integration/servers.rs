//! What the backend says of servers that are full, forgetful, replicas, or refuse.

use std::sync::Arc;

use crate::common::*;
use lock_core::LockErrorKind;
use lock_core::backend::{Clock, LockBackend, ReleaseReply, ReleaseRequest, RenewReply};
use lock_redis::RedisBackend;
use testbed::{RedisServer, ServerKind};

crate::on_every_server! {
    forgotten_scripts_are_sent_again,
    a_full_server_refuses_new_locks_and_lets_go_of_old_ones,
    a_server_that_evicts_is_warned_of_once,
    a_replica_is_an_error_for_every_change,
    a_wrong_password_is_denied_and_not_shown,
    a_missing_permission_is_named,
    renewal_and_status_need_the_locks_keys_only,
    a_database_that_does_not_exist_is_an_error,
    a_node_of_a_cluster_is_refused,
    the_counter_lives_in_the_slot_of_its_lock,
}

/// F18.
async fn forgotten_scripts_are_sent_again(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", MINUTE).await;
    store.run::<()>(&["SCRIPT", "FLUSH"]);
    assert!(matches!(renew(&backend, "x", owner, MINUTE).await.unwrap(), RenewReply::Renewed));
    store.run::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    store.run::<()>(&["SCRIPT", "FLUSH"]);
    let evals = store.calls_of("eval");
    take(&backend, "x", MINUTE).await;
    take(&backend, "y", MINUTE).await;
    assert_eq!(store.calls_of("eval"), evals + 1);
}

/// F19.
async fn a_full_server_refuses_new_locks_and_lets_go_of_old_ones(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (rested, _) = take(&backend, "x", MINUTE).await;
    let (freed, _) = take(&backend, "y", MINUTE).await;
    store.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    store.run::<()>(&["CONFIG", "SET", "maxmemory", "100kb"]);
    let error = attempt(&backend, "z", token(), MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(error.is_not_applied() && error.to_string().contains("maxmemory"), "{error}");

    let renewed = renew(&backend, "x", rested, MINUTE * 2).await.unwrap();
    assert!(matches!(renewed, RenewReply::Renewed));
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 60_000);
    let rest = ReleaseRequest::new(key("x"), rested, Clock::SYSTEM).with_min_hold(MINUTE);
    assert_eq!(release_with(&backend, rest).await.unwrap(), ReleaseReply::Released);
    assert_eq!(release(&backend, "y", freed).await.unwrap(), ReleaseReply::Released);
    assert_eq!(store.keys(), ["lock:x"]);
}

/// F20.
async fn a_server_that_evicts_is_warned_of_once(kind: &ServerKind) {
    let arguments = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let store = Store::start_with(kind, &arguments);
    let log = Log::default();
    let uses = async {
        let backend = store.backend();
        let (owner, _) = take(&backend, "x", MINUTE).await;
        // The second connection.
        renew(&backend, "x", owner, MINUTE).await.unwrap();
    };
    log.of(uses);
    let text = log.text();
    assert_eq!(text.matches("noeviction").count(), 1, "{text}");
    assert!(text.contains("allkeys-lru"), "{text}");
}

/// R38, F21.
async fn a_replica_is_an_error_for_every_change(kind: &ServerKind) {
    let master = RedisServer::start(kind).unwrap();
    let mut store = Store::start(kind);
    let backend = store.backend();
    take(&backend, "x", MINUTE).await;
    store.run::<()>(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    for name in ["x", "never taken"] {
        let is_replica = |error: lock_core::LockError| {
            assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
            assert!(error.is_not_applied() && error.to_string().contains("replica"), "{error}");
        };
        is_replica(attempt(&backend, name, token(), MINUTE).await.unwrap_err());
        is_replica(release(&backend, name, token()).await.unwrap_err());
        is_replica(renew(&backend, name, token(), MINUTE).await.unwrap_err());
    }
}

/// F25, F34.
async fn a_wrong_password_is_denied_and_not_shown(kind: &ServerKind) {
    let server = RedisServer::start_with(kind, &["--requirepass", "right"]).unwrap();
    let with = |login: &str| {
        let url = format!("redis://{login}127.0.0.1:{}", server.port());
        build(RedisBackend::builder().url(url))
    };
    for login in [":s3cret@", "nobody:s3cret@", ""] {
        let backend = with(login);
        for _ in 0..3 {
            let denied = soon(LIMIT, attempt(&backend, "x", token(), MINUTE)).await;
            let error = denied.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
            assert!(error.is_not_applied() && error.to_string().contains("password"), "{error}");
            assert!(!format!("{error:?} {error} {backend:?}").contains("s3cret"));
        }
    }
    take(&with(":right@"), "x", MINUTE).await;
}

/// F25.
async fn a_missing_permission_is_named(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let url = format!("redis://app:pw@{}", store.server.address());
    let mut denied_with = async |rules: &[&str]| {
        let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw"];
        store.run::<()>(&[&user, rules].concat());
        let backend = build(RedisBackend::builder().url(url.as_str()));
        let error = attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        assert_eq!(store.keys(), Vec::<String>::new());
        error.to_string()
    };
    let text = denied_with(&["~*", "+@all", "-evalsha"]).await;
    assert!(text.contains("evalsha"), "{text}");
    let text = denied_with(&["~*", "+@all", "-time"]).await;
    assert!(text.contains("time"), "{text}");
    let text = denied_with(&["~lock:*", "+@all"]).await;
    assert!(text.contains("~dl:*"), "{text}");
    let text = denied_with(&["~other:*", "+@all"]).await;
    assert!(text.contains("key"), "{text}");
}

/// R21: whoever may not touch the counters and the lines can do all but acquire and release.
async fn renewal_and_status_need_the_locks_keys_only(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (owner, _) = take(&store.backend(), "x", MINUTE).await;
    let rules = "ACL SETUSER app on >pw ~lock:* +evalsha +eval +script|load +get +getex +set \
                 +del +pttl +pexpire +strlen +time +ping +exists +zadd +zrem +zrange +zrank +zscore";
    store.run::<()>(&rules.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
    let url = format!("redis://app:pw@{}", store.server.address());
    let backend = build(RedisBackend::builder().url(url));
    Arc::clone(&backend).ping().await.unwrap();
    assert!(matches!(renew(&backend, "x", owner, MINUTE).await.unwrap(), RenewReply::Renewed));
    let status = Arc::clone(&backend).status(key("x")).await.unwrap().unwrap();
    assert_eq!(status.waiters, None);
}

/// F25.
async fn a_database_that_does_not_exist_is_an_error(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let backend = build(RedisBackend::builder().url(format!("{}/99", server.url())));
    let error = Arc::clone(&backend).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("database"), "{error}");
    let backend = build(RedisBackend::builder().url(format!("{}/3", server.url())));
    take(&backend, "x", MINUTE).await;
    let mut admin = admin_of(&server);
    redis::cmd("SELECT").arg(3).exec(&mut admin).unwrap();
    assert!(redis::cmd("EXISTS").arg("lock:x").query::<bool>(&mut admin).unwrap());
}

async fn a_node_of_a_cluster_is_refused(kind: &ServerKind) {
    let server = RedisServer::start_with(kind, &["--cluster-enabled", "yes"]).unwrap();
    let backend = build(RedisBackend::builder().url(server.url()));
    let error = Arc::clone(&backend).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("cluster"), "{error}");
}

/// R15, by the server's own reckoning.
async fn the_counter_lives_in_the_slot_of_its_lock(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let cluster = RedisServer::start_with(kind, &["--cluster-enabled", "yes"]).unwrap();
    let mut cluster = admin_of(&cluster);
    let mut slot_of = |key: &str| -> u16 {
        redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(&mut cluster).unwrap()
    };
    let backend = build(RedisBackend::builder().url(store.server.url()).key_prefix(""));
    let mut random = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..300 {
        use proptest::strategy::{Strategy, ValueTree};
        let name = "[{}a-c:\u{e9}]{1,12}".new_tree(&mut random).unwrap().current();
        store.run::<()>(&["FLUSHALL"]);
        take(&backend, &name, MINUTE).await;
        let counters: Vec<String> = store.run(&["KEYS", "dl:f:*"]);
        assert_eq!(slot_of(&counters[0]), slot_of(&name), "{name}");
    }
}

//! Which programs exclude each other: how the sidecar spells the keys of its locks.

use lock_core::LockService;
use testbed::{DaprSettings, DaprSidecar, RedisServer, ServerKind};

use crate::common::{MINUTE, acquire, at, build, is_held, redis, take, token};

#[tokio::test]
async fn the_prefix_strategy_decides_the_key() {
    let server = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let before = || DaprSidecar::before(server.address()).app_id("app");
    for (settings, key) in [
        (before(), "lock||app||x"),
        (before().key_prefix("appid"), "lock||app||x"),
        (before().key_prefix("name"), "lock||lockstore||x"),
        (before().key_prefix("none"), "lock||x"),
        (before().key_prefix("shop"), "lock||shop||x"),
    ] {
        let sidecar = settings.start().unwrap();
        assert_eq!(sidecar.redis_key("x"), key);
        let backend = build(at(sidecar.address()));
        let owner = take(&backend, "x", MINUTE).await;
        let expected = format!("$32\r\n{}\r\n", crate::common::hex(owner));
        assert_eq!(redis(server.address(), &format!("GET {key}")), expected);
        redis(server.address(), "FLUSHALL");
    }
}

#[tokio::test]
async fn apps_exclude_each_other_only_where_their_keys_are_the_same() {
    let server = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let start = |settings: DaprSettings, app: &str| settings.app_id(app).start().unwrap();
    for (prefix, exclude) in [("appid", false), ("name", true), ("none", true)] {
        let before = || DaprSidecar::before(server.address()).key_prefix(prefix);
        let [one, other] = ["one", "other"].map(|app| start(before(), app));
        let [one, other] = [one, other].map(|sidecar| {
            let backend = build(at(sidecar.address()));
            (sidecar, backend)
        });
        take(&one.1, "x", MINUTE).await;
        let theirs = acquire(&other.1, "x", token(), MINUTE).await.unwrap();
        assert_eq!(is_held(&theirs), exclude, "{prefix}");
        redis(server.address(), "FLUSHALL");
    }
}

#[tokio::test]
async fn a_namespace_stands_before_the_name_and_after_dapr_s_own_prefix() {
    let server = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let sidecar = DaprSidecar::start(&server).unwrap();
    let backend = build(at(sidecar.address()));
    let locks = LockService::builder(backend).namespace("shop:").build();
    let guard = locks.lock("order:1 ü\n").acquire().await.unwrap();
    let keys = redis(server.address(), "KEYS *");
    assert_eq!(keys, "*1\r\n$32\r\nlock||locktest||shop:order:1 ü\n\r\n");
    assert!(guard.release().await.is_released());
}

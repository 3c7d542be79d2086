//! What `connect` says to and of real servers.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::time::{Duration, Instant};

use distlock::redis::RedisBackend;
use distlock::{LockErrorKind, LockService, connect};
use testbed::{RedisServer, ServerKind};

macro_rules! on_servers {
    ($($module:ident = $kind:ident),+ $(,)?) => {$(
        mod $module {
            use super::*;

            const KIND: ServerKind = ServerKind::$kind;

            #[tokio::test]
            async fn locks_exclude_each_other_by_namespace_and_key_prefix() {
                exclude_each_other(&KIND).await;
            }

            #[tokio::test]
            async fn a_password_is_decoded_and_a_wrong_one_denied_without_being_shown() {
                passwords(&KIND).await;
            }

            #[tokio::test]
            async fn a_database_that_the_server_does_not_have_is_refused() {
                databases(&KIND).await;
            }

            #[tokio::test]
            async fn a_unix_socket_is_a_server_too() {
                unix_socket(&KIND).await;
            }

            #[cfg(feature = "quorum")]
            #[tokio::test]
            async fn three_servers_are_a_quorum_each_with_its_own_password_or_all_with_one() {
                quorums(&KIND).await;
            }

            #[tokio::test]
            async fn a_server_that_does_not_answer_is_unavailable_in_time() {
                no_answer(&KIND).await;
            }
        }
    )+};
}

on_servers! {
    redis_6_2 = REDIS_6_2,
    redis_7_0 = REDIS_7_0,
    redis_8_2 = REDIS_8_2,
    valkey_9_1 = VALKEY_9_1,
}

async fn exclude_each_other(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let shop = connect(format!("{}?namespace=shop:", server.url())).await.unwrap();
    let _guard = shop.lock("x").acquire().await.unwrap();
    // The same key, spelt by the key prefix, by the namespace, and by the name.
    let named_valkey =
        connect(server.url().replace("redis:", "valkey:") + "?namespace=shop:").await;
    assert!(named_valkey.unwrap().lock("x").try_acquire().await.unwrap().is_none());
    for (query, name, is_held) in [
        ("?key_prefix=lock:shop:", "x", true),
        ("?namespace=sh", "op:x", true),
        ("?key_prefix=", "lock:shop:x", true),
        ("?key_prefix=lock%3A", "shop:x", true),
        ("", "x", false),
        ("/1?namespace=shop:", "x", false),
    ] {
        let locks = connect(server.url() + query).await.unwrap();
        let refused = locks.lock(name).try_acquire().await.unwrap().is_none();
        assert_eq!(refused, is_held, "{query}");
    }
    let backend = RedisBackend::builder().url(server.url()).build().unwrap();
    let by_hand = LockService::builder(backend).namespace("shop:").build();
    assert!(by_hand.lock("x").try_acquire().await.unwrap().is_none());
}

async fn passwords(kind: &ServerKind) {
    let server = RedisServer::start_with(kind, &["--requirepass", "p@s/s%?#:+ é"]).unwrap();
    let at = server.address();
    let right = format!("redis://:p%40s%2Fs%25%3F%23%3A+%20%C3%A9@{at}");
    connect(&right).await.unwrap();
    connect(right.replace("redis://:", "redis://default:")).await.unwrap();

    for wrong in [format!("redis://:s3cret@{at}"), format!("redis://s3cret:s3cret@{at}")] {
        let error = connect(&wrong).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        let cause =
            format!("connect: could not connect to Redis at {at}: the server refused the user");
        assert!(error.to_string().starts_with(&cause), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        connect(wrong + "?lazy=true").await.unwrap();
    }
    let error = connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied);
    assert!(error.to_string().contains("requires a password"), "{error}");
}

async fn databases(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    connect(server.url() + "/15").await.unwrap();
    let error = connect(server.url() + "/16").await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error:?}");
    assert!(error.to_string().contains("database"), "{error}");
}

async fn unix_socket(kind: &ServerKind) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s@cket");
    let path = path.to_str().unwrap();
    let arguments = ["--unixsocket", path, "--requirepass", "p&s+ s"];
    let server = RedisServer::start_with(kind, &arguments).unwrap();

    let url = format!("redis+unix://{}?pass=p%26s+%20s&db=1", path.replace('@', "%40"));
    let locks = connect(&url).await.unwrap();
    let _guard = locks.lock("x").acquire().await.unwrap();
    let by_port = connect(format!("redis://:p%26s+%20s@{}/1", server.address())).await.unwrap();
    assert!(by_port.lock("x").try_acquire().await.unwrap().is_none());
    for scheme in ["valkey+unix", "unix"] {
        let locks = connect(url.replace("redis+unix", scheme)).await.unwrap();
        assert!(locks.lock("x").try_acquire().await.unwrap().is_none(), "{scheme}");
    }
    assert_eq!(connect(url.replace("p%26s", "x")).await.unwrap_err().kind(), LockErrorKind::Denied);
}

#[cfg(feature = "quorum")]
async fn quorums(kind: &ServerKind) {
    let with = |password| RedisServer::start_with(kind, &["--requirepass", password]).unwrap();
    let mut servers = ["one", "two", "two"].map(with);
    let [a, b, c] = servers.each_ref().map(RedisServer::address);
    let own = format!("redis://:one@{a} redis://:two@{b} redis://:two@{c}/0");
    let locks = connect(&own).await.unwrap();
    let guard = locks.lock("x").acquire().await.unwrap();
    // With one password for all, one member refuses it, and the others are a majority.
    let shared = format!("redis+quorum://:two@{a},{b},{c}");
    let others = connect(&shared).await.unwrap();
    assert!(others.lock("x").try_acquire().await.unwrap().is_none());
    guard.release().await;
    assert!(others.lock("x").try_acquire().await.unwrap().is_some());

    let wrong = shared.replace("two", "s3cret");
    let error = connect(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
    assert!(error.to_string().starts_with("connect: 2 of the 3 members"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    servers[1].kill();
    connect(&own).await.unwrap();
    servers[2].kill();
    let error = connect(&own).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&b.to_string()), "{error}");
    assert!(error.to_string().contains(&c.to_string()), "{error}");
}

async fn no_answer(kind: &ServerKind) {
    let mut server = RedisServer::start(kind).unwrap();
    let url = format!("{}?response_timeout=300ms", server.url());
    server.freeze().unwrap();
    let began = Instant::now();
    let error = connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let unreachable = format!("connect: could not connect to Redis at {}: ", server.address());
    assert!(error.to_string().starts_with(&unreachable), "{error}");
    let lazy = connect(server.url() + "?lazy=true").await.unwrap();
    server.thaw().unwrap();
    assert!(lazy.lock("x").try_acquire().await.unwrap().is_some());

    server.kill();
    let error = connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().starts_with(&unreachable), "{error}");
}

//! Servers that have lost commands to `rename-command`.

use std::sync::Arc;

use lock_core::backend::LockBackend;
use lock_core::{LockErrorKind, LockService};
use lock_redis::RedisBackend;
use testbed::{RedisServer, ServerKind};

use crate::common::*;
use crate::on_every_server;

on_every_server!(
    a_command_that_is_needed_is_asked_for_and_missed_by_its_name,
    without_pushes_waiters_poll_and_one_warning_says_why,
    commands_that_are_of_no_use_are_not_missed,
    a_server_without_hello_is_refused_without_showing_the_password,
);

fn server_without(kind: &ServerKind, commands: &[&str]) -> RedisServer {
    let arguments: Vec<&str> =
        commands.iter().flat_map(|command| ["--rename-command", *command, ""]).collect();
    RedisServer::start_with(kind, &arguments).unwrap()
}

async fn a_command_that_is_needed_is_asked_for_and_missed_by_its_name(kind: &ServerKind) {
    for command in ["EVALSHA", "EVAL", "GETEX", "TIME", "ZADD"] {
        let server = server_without(kind, &[command]);
        let backend = build(RedisBackend::builder().url(server.url()));
        let error = Arc::clone(&backend).ping().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{command}: {error}");
        let missing = format!("does not know the command {}", command.to_lowercase());
        assert!(error.to_string().contains(&missing), "{command}: {error}");
        assert!(error.to_string().contains("rename-command"), "{command}: {error}");
        assert!(error.is_not_applied() && !error.is_retryable(), "{command}: {error}");
        // So no lock is taken that could not be released.
        let owner = token();
        attempt(&backend, "x", owner, MINUTE).await.unwrap_err();
        let mut admin = admin_of(&server);
        assert!(!redis::cmd("EXISTS").arg("lock:x").query::<bool>(&mut admin).unwrap());
    }
}

async fn without_pushes_waiters_poll_and_one_warning_says_why(kind: &ServerKind) {
    let Words { subscribe, publish, .. } = words(kind);
    for command in [subscribe, publish, "pubsub"] {
        let server = server_without(kind, &[command]);
        let backend = || build(RedisBackend::builder().url(server.url()));
        let log = Log::default();
        let [holder, waiter] = [LockService::new(backend()), LockService::new(backend())];
        let waits = async {
            let guard = holder.lock("x").ttl(MINUTE).acquire().await.unwrap();
            let lock = waiter.lock("x").ttl(MINUTE).wait(LIMIT);
            // Only whoever has to wait asks for pushes, and then warns.
            let release = async {
                while !log.text().contains("WARN") {
                    tokio::task::yield_now().await;
                }
                guard.release().await
            };
            let (got, released) = tokio::join!(lock.acquire(), release);
            assert!(released.is_released(), "{command}: {released}");
            assert!(got.unwrap().release().await.is_released());
            // And again, on the same connection.
            waiter.lock("x").wait(LIMIT).acquire().await.unwrap().release().await;
        };
        log.of(waits);
        let text = log.text();
        assert_eq!(text.matches("WARN").count(), 1, "{text}");
        let missing = format!("does not know the command {command}");
        assert_eq!(text.matches(&missing).count(), 1, "{text}");
    }
}

async fn commands_that_are_of_no_use_are_not_missed(kind: &ServerKind) {
    let server = server_without(kind, &["CONFIG", "INFO", "CLIENT", "SCRIPT", "KEYS", "FLUSHALL"]);
    let log = Log::default();
    let locks = LockService::new(build(RedisBackend::builder().url(server.url())));
    let used = async {
        locks.ping().await.unwrap();
        let guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
        guard.extend(MINUTE).await.unwrap();
        assert!(guard.release().await.is_released());
    };
    log.of(used);
    assert_eq!(log.text().matches("WARN").count(), 0, "{}", log.text());
}

async fn a_server_without_hello_is_refused_without_showing_the_password(kind: &ServerKind) {
    let server = server_without(kind, &["HELLO"]);
    let url = format!("redis://user:s3cret@{}", server.address());
    let error = build(RedisBackend::builder().url(url)).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("RESP3"), "{error}");
    assert!(error.to_string().contains("HELLO if it was renamed"), "{error}");
    assert!(!format!("{error} {error:?} {error:#?}").contains("s3cret"));
}

//! Refusals that pass by themselves: nothing was applied, and whoever waits gets the lock.

use std::io::Write;
use std::net::TcpStream;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_core::{LockErrorKind, LockService};
use lock_redis::RedisBackend;
use testbed::{RedisServer, ServerKind};

use crate::common::*;
use crate::on_every_server;

on_every_server!(
    whoever_waits_while_too_few_replicas_keep_up_gets_the_lock_when_they_do,
    whoever_waits_while_the_server_cannot_save_gets_the_lock_when_it_can,
    whoever_waits_while_the_server_is_full_gets_the_lock_when_it_is_not,
    whoever_waits_while_a_script_runs_gets_the_lock_after_it,
    whoever_waits_at_a_replica_gets_the_lock_when_it_is_a_master,
    whoever_waits_at_a_replica_without_a_master_gets_the_lock_when_it_is_one,
    whoever_waits_for_a_connection_gets_the_lock_when_there_is_one,
    no_lock_passes_by_replicas_that_do_not_keep_up,
);

/// An acquire that is still waiting after this long has been refused more than once.
const A_WHILE: Duration = Duration::from_millis(400);

/// A refusal, from its beginning to its end.
struct Refusal<B, E> {
    /// What the error says.
    cause: &'static str,
    begin: B,
    end: E,
}

impl<B: FnOnce(&mut Store), E: FnOnce(&mut Store)> Refusal<B, E> {
    /// What is asked of a server meanwhile is refused and changes nothing, over a connection that
    /// was there before and over one that was not; a wait is longer than the refusal.
    async fn passes(self, store: &mut Store) {
        let builder = || RedisBackend::builder().url(store.server.url());
        let [connected, fresh] = [build(builder()), build(builder())];
        Arc::clone(&connected).ping().await.unwrap();
        (self.begin)(store);
        for backend in [&connected, &fresh] {
            let error = attempt(backend, "z", token(), MINUTE).await.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
            assert!(error.is_not_applied() && error.is_retryable(), "{error}");
            assert!(error.to_string().contains(self.cause), "{error}");
        }
        let locks = [connected, fresh].map(LockService::new);
        let mut first = pin!(locks[0].lock("x").ttl(MINUTE).wait(LIMIT).acquire());
        let mut second = pin!(locks[1].lock("y").ttl(MINUTE).wait(LIMIT).acquire());
        assert!(tokio::time::timeout(A_WHILE, &mut first).await.is_err());
        assert!(tokio::time::timeout(A_WHILE, &mut second).await.is_err());
        (self.end)(store);
        for guard in [first.await.unwrap(), second.await.unwrap()] {
            assert!(guard.release().await.is_released());
        }
        assert_eq!(store.keys(), Vec::<String>::new());
    }
}

async fn whoever_waits_while_too_few_replicas_keep_up_gets_the_lock_when_they_do(
    kind: &ServerKind,
) {
    // Redis 6.2 does not look at this before a script, so a script must not be asked alone; the
    // backend finds that out when it connects.
    let mut store = Store::start_with(kind, &["--min-replicas-to-write", "1"]);
    let refusal = Refusal {
        cause: "min-replicas-to-write",
        begin: |_: &mut Store| {},
        end: |store: &mut Store| store.run(&["CONFIG", "SET", "min-replicas-to-write", "0"]),
    };
    refusal.passes(&mut store).await;
    store.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
}

async fn whoever_waits_while_the_server_cannot_save_gets_the_lock_when_it_can(kind: &ServerKind) {
    fn save(store: &mut Store, status: &str) {
        store.run::<()>(&["BGSAVE"]);
        let status = format!("rdb_last_bgsave_status:{status}");
        while !store.run::<String>(&["INFO", "persistence"]).contains(&status) {}
    }
    let mut store = Store::start(kind);
    store.run::<()>(&["CONFIG", "SET", "save", "3600 1000000"]);
    let directory: (String, String) = store.run(&["CONFIG", "GET", "dir"]);
    // The file that the server would write is a directory, and not an empty one.
    let in_the_way = std::path::Path::new(&directory.1).join("dump.rdb");
    let refusal = Refusal {
        cause: "cannot save its data",
        begin: |store: &mut Store| {
            std::fs::create_dir_all(in_the_way.join("something")).unwrap();
            save(store, "err");
        },
        end: |store: &mut Store| {
            std::fs::remove_dir_all(&in_the_way).unwrap();
            save(store, "ok");
            std::fs::remove_file(&in_the_way).unwrap();
        },
    };
    refusal.passes(&mut store).await;
}

async fn whoever_waits_while_the_server_is_full_gets_the_lock_when_it_is_not(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let refusal = Refusal {
        cause: "no memory left",
        begin: |store: &mut Store| store.run(&["CONFIG", "SET", "maxmemory", "100kb"]),
        end: |store: &mut Store| store.run(&["CONFIG", "SET", "maxmemory", "0"]),
    };
    refusal.passes(&mut store).await;
}

async fn whoever_waits_while_a_script_runs_gets_the_lock_after_it(kind: &ServerKind) {
    let mut store = Store::start(kind);
    store.run::<()>(&["CONFIG", "SET", "lua-time-limit", "1"]);
    let mut busy = TcpStream::connect(store.server.address()).unwrap();
    let refusal = Refusal {
        cause: "long-running script",
        begin: |store: &mut Store| {
            busy.write_all(b"EVAL \"while true do end\" 0\r\n").unwrap();
            while store.try_run::<String>(&["PING"]).is_ok() {}
        },
        end: |store: &mut Store| store.run(&["SCRIPT", "KILL"]),
    };
    refusal.passes(&mut store).await;
}

async fn whoever_waits_at_a_replica_gets_the_lock_when_it_is_a_master(kind: &ServerKind) {
    let master = RedisServer::start(kind).unwrap();
    let mut store = Store::start(kind);
    let port = master.port().to_string();
    let refusal = Refusal {
        cause: "read-only replica",
        begin: |store: &mut Store| store.run(&["REPLICAOF", "127.0.0.1", &port]),
        end: |store: &mut Store| store.run(&["REPLICAOF", "NO", "ONE"]),
    };
    refusal.passes(&mut store).await;
}

async fn whoever_waits_at_a_replica_without_a_master_gets_the_lock_when_it_is_one(
    kind: &ServerKind,
) {
    let mut master = RedisServer::start(kind).unwrap();
    master.kill();
    let mut store = Store::start_with(kind, &["--replica-serve-stale-data", "no"]);
    let port = master.port().to_string();
    // What a script may write is said in its first line, and looked at first.
    let is_old = *kind == ServerKind::REDIS_6_2;
    let refusal = Refusal {
        cause: if is_old { "lost its master" } else { "read-only replica" },
        begin: |store: &mut Store| store.run(&["REPLICAOF", "127.0.0.1", &port]),
        end: |store: &mut Store| store.run(&["REPLICAOF", "NO", "ONE"]),
    };
    refusal.passes(&mut store).await;
}

/// A server that has too many clients says so before it closes the connection.
async fn whoever_waits_for_a_connection_gets_the_lock_when_there_is_one(kind: &ServerKind) {
    let mut store = Store::start(kind);
    store.run::<()>(&["CONFIG", "SET", "maxclients", "1"]);
    let url = format!("{}/3", store.server.url());
    for url in [store.server.url(), url] {
        for _ in 0..25 {
            let backend = build(RedisBackend::builder().url(url.as_str()));
            let error = attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
            assert!(error.is_not_applied(), "{error}");
            assert!(error.to_string().contains("max number of clients reached"), "{error}");
        }
    }
    let locks = LockService::new(store.backend());
    let mut acquiring = pin!(locks.lock("x").wait(LIMIT).acquire());
    assert!(tokio::time::timeout(A_WHILE, &mut acquiring).await.is_err());
    store.run::<()>(&["CONFIG", "SET", "maxclients", "100"]);
    assert!(acquiring.await.unwrap().release().await.is_released());
}

/// What is granted to the next in a queue would be granted by a script.
async fn no_lock_passes_by_replicas_that_do_not_keep_up(kind: &ServerKind) {
    let is_old = *kind == ServerKind::REDIS_6_2;
    let mut store = Store::start_with(kind, &["--min-replicas-to-write", "1"]);
    store.run::<()>(&["CONFIG", "SET", "min-replicas-max-lag", "1"]);
    let mut replica = RedisServer::start(kind).unwrap();
    let mut admin = admin_of(&replica);
    let port = store.server.port().to_string();
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(&port).exec(&mut admin).unwrap();
    while store.try_run::<()>(&["SET", "free", "to write"]).is_err() {}
    store.run::<()>(&["DEL", "free"]);

    let log = Log::default();
    log.of(async {
        let [holder, waiter] = [(); 2].map(|()| LockService::new(store.backend()));
        let guard = holder.lock("x").ttl(MINUTE).acquire().await.unwrap();
        let lock = waiter.lock("x").ttl(MINUTE).wait(LIMIT);
        let mut waiting = pin!(lock.acquire());
        assert!(tokio::time::timeout(A_WHILE, &mut waiting).await.is_err());
        replica.kill();
        while store.try_run::<()>(&["SET", "free", "to write"]).is_ok() {}
        guard.release().await;
        assert!(tokio::time::timeout(A_WHILE, &mut waiting).await.is_err());
        assert_eq!(store.run::<bool>(&["EXISTS", "lock:x"]), !is_old);
        store.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        assert!(waiting.await.unwrap().release().await.is_released());
    });
    let is_warned = log.text().contains("Redis 6.2 does not apply its min-replicas-to-write");
    assert_eq!(is_warned, is_old, "{}", log.text());
}

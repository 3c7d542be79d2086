//! The master that Sentinels name: finding it, and what remains of locks when it changes.

mod conformance;
mod failover;
mod finding;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_redis::RedisBackend;
use testbed::{RedisServer, SentinelServer, SentinelSet, SentinelSettings, ServerKind};

use crate::common::*;

/// Short, so that the tests are; long enough for a busy machine to answer in.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes one test for the oldest and the newest server of each function.
#[macro_export]
macro_rules! on_oldest_and_newest {
    ($($test:ident),+ $(,)?) => {
        $crate::on_every_server!(@ redis_6_2 REDIS_6_2 $($test)+);
        $crate::on_every_server!(@ redis_8_2 REDIS_8_2 $($test)+);
        $crate::on_every_server!(@ valkey_9_1 VALKEY_9_1 $($test)+);
    };
}

fn backend_of(set: &SentinelSet) -> Arc<RedisBackend> {
    build(RedisBackend::builder().url(set.url()).response_timeout(RESPONSE_TIMEOUT))
}

/// A backend with one Sentinel, which is told by hand which server is the master.
fn backend_behind(sentinel: &SentinelServer) -> Arc<RedisBackend> {
    let url = format!("redis+sentinel://{}/{}", sentinel.address(), SentinelSet::MASTER);
    build(RedisBackend::builder().url(url).response_timeout(RESPONSE_TIMEOUT))
}

/// A Sentinel that takes nobody to be down.
fn patient_sentinel(kind: &ServerKind) -> (SentinelSettings, SentinelServer) {
    let settings = SentinelSettings::default().down_after(MINUTE);
    let sentinel = SentinelServer::start(kind, &settings).unwrap();
    (settings, sentinel)
}

/// Runs a command of these words.
fn run<T: redis::FromRedisValue>(server: &RedisServer, words: &[&str]) -> T {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query(&mut admin_of(server)).unwrap()
}

async fn ping_error(backend: &Arc<RedisBackend>) -> lock_core::LockError {
    soon(LIMIT, backend.ping()).await.unwrap_err()
}

/// Waits until the replicas have everything that the master has: what is lost otherwise is no
/// promise of anybody's.
fn await_replicas(set: &SentinelSet, master: usize) {
    // A write of this very connection is what `WAIT` waits for.
    let mut admin = admin_of(&set.servers[master]);
    redis::cmd("SET").arg("written").arg(1).exec(&mut admin).unwrap();
    let count: u64 = redis::cmd("WAIT").arg(2).arg(0).query(&mut admin).unwrap();
    assert_eq!(count, 2);
}

/// Waits until the Sentinels name another master.
async fn new_master(set: &SentinelSet, old: usize) -> usize {
    let found = async {
        loop {
            match set.master() {
                Ok(master) if master != old => return master,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(LIMIT * 2, found).await.unwrap()
}

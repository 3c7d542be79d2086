//! A cluster: which node has a lock, and what remains of locks when that changes.

mod conformance;
mod cost;
mod failover;
mod finding;
mod listing;
mod migrating;
mod moved;
mod naming;
mod replicas;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::OwnerToken;
use lock_redis::RedisBackend;
use testbed::{ClusterSet, ClusterSettings, RedisServer, ServerKind};

use crate::common::*;

/// Short, so that the tests are; long enough for a busy machine to answer in.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(3_600);

/// A backend that sends nothing of its own accord.
fn backend_of(set: &ClusterSet) -> Arc<RedisBackend> {
    backend_with(set, RESPONSE_TIMEOUT)
}

fn backend_with(set: &ClusterSet, response_timeout: Duration) -> Arc<RedisBackend> {
    let builder = RedisBackend::builder().url(set.url()).response_timeout(response_timeout);
    build(builder.register_process(false))
}

/// Some masters without replicas, which do not take each other to be down.
fn masters(kind: &ServerKind, count: usize) -> ClusterSet {
    let settings = ClusterSettings::default().masters(count).without_replicas();
    ClusterSet::start_with(kind, &settings.node_timeout(MINUTE)).unwrap()
}

/// Three masters without replicas, of which the last has so many slots.
fn masters_of_whom_the_last_has(kind: &ServerKind, slots: usize) -> ClusterSet {
    let settings = ClusterSettings::default().without_replicas().last_has(slots);
    ClusterSet::start_with(kind, &settings.node_timeout(MINUTE)).unwrap()
}

/// Runs a command of these words.
fn run<T: redis::FromRedisValue>(server: &RedisServer, words: &[&str]) -> T {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command.query(&mut admin_of(server)).unwrap()
}

/// The slot of a lock.
fn slot_of(set: &ClusterSet, name: &str) -> u16 {
    let running = set.servers.iter().find(|server| server.pid().is_some()).unwrap();
    run(running, &["CLUSTER", "KEYSLOT", &format!("lock:{name}")])
}

/// The first name of this kind whose lock is at this server.
fn name_at(set: &ClusterSet, kind: &str, server: usize) -> String {
    let mut names = (0..).map(|number| format!("{kind}{number}"));
    names.find(|name| set.owner(slot_of(set, name)).unwrap() == server).unwrap()
}

fn exists(server: &RedisServer, name: &str) -> bool {
    // Not a command with a key: another node may have it.
    let keys: Vec<String> = run(server, &["KEYS", &format!("lock:{name}")]);
    !keys.is_empty()
}

/// How many requests the server has sent elsewhere.
fn sent_elsewhere(server: &RedisServer) -> u64 {
    let info: String = run(server, &["INFO", "errorstats"]);
    let line = info.lines().find_map(|line| line.strip_prefix("errorstat_MOVED:count="));
    line.map_or(0, |count| count.parse().unwrap())
}

/// How often a command has run at this server.
fn calls_of(server: &RedisServer, command: &str) -> u64 {
    let info: String = run(server, &["INFO", "commandstats"]);
    let begin = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&begin));
    line.and_then(|line| line.split(',').next()).map_or(0, |count| count.parse().unwrap())
}

/// The commands that the server has logged as slow, each as words; none of one that is not text.
fn slow_commands_of(server: &RedisServer) -> Vec<Vec<String>> {
    let entries: Vec<Vec<redis::Value>> = run(server, &["SLOWLOG", "GET", "1000000"]);
    let words =
        |entry: &Vec<redis::Value>| redis::from_redis_value(entry[3].clone()).unwrap_or_default();
    entries.iter().map(words).collect()
}

/// The key of the counter of a slot that holds one.
fn counter_of(server: &RedisServer) -> String {
    let counters: Vec<String> = run(server, &["KEYS", "dl:f:*"]);
    counters.into_iter().next().unwrap()
}

/// Takes a lock, gives it back, and returns its number.
async fn number_of(backend: &Arc<RedisBackend>, name: &str) -> u64 {
    let (owner, number) = take(backend, name, LONG).await;
    release(backend, name, owner).await.unwrap();
    number.get()
}

/// Takes these locks.
async fn take_all(backend: &Arc<RedisBackend>, names: &[String]) -> Vec<OwnerToken> {
    let mut owners = Vec::new();
    for name in names {
        owners.push(take(backend, name, LONG).await.0);
    }
    owners
}

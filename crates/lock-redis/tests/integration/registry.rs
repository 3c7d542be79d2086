//! Who holds a lock, and who waits for it: what processes say of themselves on the server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lock_core::backend::Clock;
use lock_core::backend::{InstanceId, LockBackend, OwnerToken, ReleaseRequest, this_process};
use lock_core::{LockErrorKind, LockService, LockStatus, ProcessInfo, Who};
use lock_redis::RedisBackend;
use testbed::ServerKind;

use crate::common::*;
use crate::on_every_server;
use crate::queue::queue;

on_every_server!(
    a_status_names_processes_that_hold_and_wait,
    a_program_that_waits_in_vain_is_told_who_holds,
    what_is_no_process_of_ours_is_shown_as_what_it_is,
    a_process_that_may_not_register_takes_locks_and_is_not_known,
);
/// What is the same on every server, and takes long.
mod on_one {
    use super::*;

    crate::on_one_server!(
        a_process_is_registered_for_a_minute_and_every_20_seconds_until_its_backend_is_gone,
        registering_makes_no_connection_of_its_own,
    );
}

/// Another process, which is killed when this is dropped.
pub(crate) struct Other(Child);

impl Other {
    fn wants(url: &str, name: &str) -> Self {
        let mut command = Command::new(example("waiter"));
        command.args([url, name, "60000", "--then-hold"]).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    pub(crate) fn holds(url: &str, name: &str) -> Self {
        let mut other = Self::wants(url, name);
        let mut line = String::new();
        BufReader::new(other.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("held "), "{line}");
        other
    }

    /// Whether it is this process that is named.
    pub(crate) fn is(&self, who: &Who) -> bool {
        let Who::Process(ProcessInfo { program, host, pid, started, .. }) = who else {
            return false;
        };
        assert_eq!((&**program, host), ("waiter", &this_process().host));
        assert!(*started <= Some(SystemTime::now()) && *started > Some(SystemTime::UNIX_EPOCH));
        *pid == self.0.id()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A backend that registers this process.
fn registering(store: &Store) -> Arc<RedisBackend> {
    build(RedisBackend::builder().url(store.server.url()))
}

async fn status(backend: &impl LockBackend, name: &str) -> LockStatus {
    backend.status(key(name)).await.unwrap().unwrap()
}

/// Asks until the status is such a one.
async fn shows(
    backend: &impl LockBackend,
    name: &str,
    is_such: impl Fn(&LockStatus) -> bool,
) -> LockStatus {
    let asking = async {
        loop {
            let status = status(backend, name).await;
            if is_such(&status) {
                return status;
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap()
}

async fn a_status_names_processes_that_hold_and_wait(kind: &ServerKind) {
    let store = Store::start(kind);
    let (backend, before) = (store.backend(), SystemTime::now() - Duration::from_millis(1));
    let holder = Other::holds(&store.server.url(), "x");
    let waiter = Other::wants(&store.server.url(), "x");
    shows(&backend, "x", |status| status.waiters == Some(1)).await;
    let own = OwnerToken::fresh().unwrap();
    let _waiting = queue(&backend, "x", own, None).await;
    let is_known = |status: &LockStatus| {
        let [first, second] = status.queue.as_slice() else { return false };
        assert!(second.is_this_process && second.who == Who::Process(this_process()));
        waiter.is(&first.who) && holder.is(&status.holder.as_ref().unwrap().who)
    };
    let seen = shows(&backend, "x", is_known).await;
    let (named, first) = (seen.holder.clone().unwrap(), &seen.queue[0]);
    assert!(!named.is_this_process && !named.has_released && !first.is_this_process);
    assert!(before <= named.since.unwrap() && named.since <= first.since);
    assert!(first.since.unwrap() <= SystemTime::now());
    // Whoever was killed is known for a while, and what it holds stays taken for its lease.
    drop(holder);
    assert_eq!(status(&backend, "x").await.holder, Some(named));
    assert!(!format!("{seen:?}").contains(&own.to_string()));
}

async fn a_program_that_waits_in_vain_is_told_who_holds(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend();
    let locks = LockService::new(backend.clone());
    let holder = Other::holds(&store.server.url(), "x");
    shows(&backend, "x", |status| holder.is(&status.holder.as_ref().unwrap().who)).await;
    // Nobody waits for the name for long, and a machine that is busy may say it too late.
    let error = loop {
        let error = locks.lock("x").wait(Duration::from_millis(50)).acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Timeout);
        if error.holder().is_some() {
            break error;
        }
    };
    let named = error.holder().unwrap();
    assert!(holder.is(&named.who));
    let (pid, host) = (holder.0.id(), this_process().host);
    let text =
        format!("; it is held by waiter (pid {pid} on host {host}), which asked for it at 2");
    assert!(error.to_string().contains(&text), "{error}");
}

async fn what_is_no_process_of_ours_is_shown_as_what_it_is(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    store.run::<()>(&["SET", "lock:x", "ADDED:2026-11-26@node-7\u{1b}", "PX", "60000"]);
    let named = status(&backend, "x").await.holder.unwrap();
    assert_eq!(named.who, Who::Other("ADDED:2026-11-26@node-7\\u{1b}".to_owned()));
    assert_eq!((named.since, named.is_this_process), (None, false));
    // Of a process that is not registered, and of one whose entry nobody can read.
    let digits = "0123456789abcdef0123456789abcdef";
    for entry in [None, Some("2 program=a host=b pid=1"), Some("junk")] {
        if let Some(entry) = entry {
            store.run::<()>(&["SET", "dl:p:0123456789abcdef", entry]);
        }
        store.run::<()>(&["SET", "lock:x", &owned_by(digits), "PX", "60000"]);
        let named = status(&backend, "x").await.holder.unwrap();
        assert_eq!(named.who, Who::Unregistered);
        assert!(named.since.is_some());
    }
    store.run::<()>(&["SET", "dl:p:0123456789abcdef", "1 program=a host=b pid=1"]);
    let named = status(&backend, "x").await.holder.unwrap();
    assert_eq!(named.who, Who::Process(ProcessInfo::new("a", "b", 1)));
    // An entry of another type is nobody's, and costs nothing else.
    store.run::<()>(&["DEL", "dl:p:0123456789abcdef"]);
    store.run::<()>(&["LPUSH", "dl:p:0123456789abcdef", "a"]);
    assert_eq!(status(&backend, "x").await.holder.unwrap().who, Who::Unregistered);
    // A key that is no string is no lock.
    store.run::<()>(&["DEL", "lock:x"]);
    store.run::<()>(&["LPUSH", "lock:x", "a"]);
    let error = backend.status(key("x")).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Backend, "{error}");

    let owner = OwnerToken::fresh().unwrap();
    attempt(&backend, "y", owner, MINUTE).await.unwrap();
    let rest = ReleaseRequest::new(key("y"), owner, Clock::SYSTEM).with_min_hold(MINUTE);
    release_with(&backend, rest).await.unwrap();
    let named = status(&backend, "y").await.holder.unwrap();
    assert!(named.has_released && named.is_this_process, "{named:?}");
}

async fn a_process_that_may_not_register_takes_locks_and_is_not_known(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let rules = ["~lock:*", "~dl:f:*", "~dl:q:*", "~dl:m:*", "&*", "+@all"];
    let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw"];
    store.run::<()>(&[&user[..], &rules[..]].concat());
    let url = format!("redis://app:pw@{}", store.server.address());
    let holder = Other::holds(&url, "x");
    let tries = |store: &mut Store| {
        let refused: Vec<redis::Value> = store.run(&["ACL", "LOG"]);
        refused.iter().filter(|refused| format!("{refused:?}").contains("\"dl:p:")).count()
    };
    until(|| tries(&mut store) == 1).await;
    let backend = store.backend();
    let named = status(&backend, "x").await.holder.unwrap();
    assert_eq!(named.who, Who::Unregistered);
    assert!(named.since.is_some());
    assert!(store.run::<Vec<String>>(&["KEYS", "dl:p:*"]).is_empty());
    // Nor may such a one read the entries of others.
    let theirs = build(RedisBackend::builder().url(url));
    assert_eq!(status(&theirs, "x").await.holder.unwrap().who, Who::Unregistered);
    drop(holder);
}

fn own_key() -> String {
    format!("dl:p:{}", InstanceId::current().unwrap())
}

async fn a_process_is_registered_for_a_minute_and_every_20_seconds_until_its_backend_is_gone(
    kind: &ServerKind,
) {
    let stores = [(); 3].map(|()| Store::start(kind));
    let [mut dropped, mut closed, mut kept] = stores;
    let is_there = |store: &mut Store| store.run::<u64>(&["EXISTS", &own_key()]) == 1;
    for store in [&mut dropped, &mut closed] {
        let backend = registering(store);
        take(&backend, "x", MINUTE).await;
        until(|| is_there(store)).await;
        let left: i64 = store.run(&["PTTL", &own_key()]);
        assert!((50_000..=60_000).contains(&left), "{left}");
    }
    // The backend of the first was dropped, that of the second is closed.
    let backend = registering(&closed);
    take(&backend, "y", MINUTE).await;
    backend.close().await;
    let backend = registering(&kept);
    take(&backend, "x", MINUTE).await;
    until(|| is_there(&mut kept)).await;
    for store in [&mut dropped, &mut closed, &mut kept] {
        store.run::<()>(&["DEL", &own_key()]);
    }
    let began = Instant::now();
    while !is_there(&mut kept) {
        assert!(began.elapsed() < LIMIT * 2, "it is not registered again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A machine that stalls makes it later, and nothing makes it earlier.
    assert!(began.elapsed() > Duration::from_secs(15), "{:?}", began.elapsed());
    // Both had begun before.
    assert!(!is_there(&mut dropped) && !is_there(&mut closed));
}

async fn registering_makes_no_connection_of_its_own(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = registering(&store);
    // Whoever is refused and does not wait need not be known.
    store.run::<()>(&["SET", "lock:x", "theirs"]);
    assert!(is_held(&attempt(&backend, "x", token(), MINUTE).await.unwrap()));
    take(&backend, "y", MINUTE).await;
    until(|| store.run::<u64>(&["EXISTS", &own_key()]) == 1).await;
    assert_eq!(store.connections(), 2);
    let line: String = store.run(&["GET", &own_key()]);
    let ProcessInfo { program, host, pid, .. } = this_process();
    let begins = format!("1 program={program} host={host} pid={pid} started=2");
    assert!(line.starts_with(&begins), "{line}");
}

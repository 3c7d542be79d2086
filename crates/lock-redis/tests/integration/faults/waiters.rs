//! What becomes of those who stand in line when somebody among them, or the server, fails.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use lock_core::{FencingToken, LockGuard, LockService, LossReason};
use lock_testkit::proxy::{Cut, Direction, Fault, Scope};
use testbed::ServerKind;
use tokio::task::JoinSet;

use super::{LONG, behind_proxy, direct, left_behind};
use crate::common::{LIMIT, Store, example, owned_by, owner_at, soon, until};
use crate::on_every_server;

on_every_server!(
    those_whose_connection_is_reset_are_all_served,
    those_whose_connection_is_half_open_are_all_served,
    those_whose_pushes_are_dropped_are_all_served,
    a_place_whose_answer_was_lost_is_left,
    a_first_that_is_killed_holds_nobody_up,
    a_first_that_is_frozen_holds_the_others_up_for_a_window,
    a_holder_that_is_killed_is_followed_when_its_lease_ends,
    those_who_wait_are_served_after_a_flush,
    those_who_wait_are_served_after_a_restart,
);

const WAITERS: usize = 16;
/// The longest pause until somebody in line asks again, and what a busy machine adds.
const FALLBACK: Duration = Duration::from_secs(15);

/// So many wait for the lock `x`, one after the other.
fn wait_for_it(locks: &LockService) -> JoinSet<LockGuard> {
    let mut waiting = JoinSet::new();
    for _ in 0..WAITERS {
        let lock = locks.lock("x").ttl(LONG).wait(LONG);
        waiting.spawn(async move { lock.acquire().await.unwrap() });
    }
    waiting
}

async fn until_in_line(locks: &LockService, waiters: usize) {
    loop {
        match locks.status("x").await {
            Ok(Some(status)) if status.waiters == Some(waiters as u64) => return,
            Ok(_) => {}
            // The machine may be busy.
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

/// All of them get it, one after the other, and their tokens rise, also above that of the holder
/// before them.
async fn are_served(mut waiting: JoinSet<LockGuard>, mut last: Option<FencingToken>) {
    while let Some(guard) = soon(FALLBACK, waiting.join_next()).await {
        let guard = guard.unwrap();
        let token = guard.fencing_token();
        assert!(token > last, "{token:?} after {last:?}");
        last = token;
        assert!(guard.release().await.is_released());
    }
}

/// F8.
async fn those_whose_connection_is_reset_are_all_served(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), behind_proxy(&store));
    let guard = holder.lock("x").ttl(LONG).acquire().await.unwrap();
    let waiting = wait_for_it(&locks);
    until_in_line(&holder, WAITERS).await;
    assert_eq!(store.proxy.reset(Scope::Existing), 1);
    let before = guard.fencing_token();
    assert!(guard.release().await.is_released());
    are_served(waiting, before).await;
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

/// F3, F9: pushes vanish, and so does every answer, until the connection is given up.
async fn those_whose_connection_is_half_open_are_all_served(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), behind_proxy(&store));
    let guard = holder.lock("x").ttl(LONG).acquire().await.unwrap();
    let waiting = wait_for_it(&locks);
    until_in_line(&holder, WAITERS).await;
    store.proxy.set(Direction::ToClient, Scope::Existing, Fault::Swallow);
    let before = guard.fencing_token();
    assert!(guard.release().await.is_released());
    are_served(waiting, before).await;
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

/// F9: the connection is well, and only what is pushed over it is lost.
async fn those_whose_pushes_are_dropped_are_all_served(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), behind_proxy(&store));
    // Short enough for those who watch the holder not to wait for the fallback, and long enough for
    // the holder not to lose it on a busy machine: somebody in line would have it then.
    let lock = holder.lock("x").ttl(Duration::from_secs(10)).keep_alive();
    let guard = lock.acquire().await.unwrap();
    let waiting = wait_for_it(&locks);
    until_in_line(&holder, WAITERS).await;
    let pushes = store.proxy.watch(Direction::ToClient, "message\r\n");
    store.proxy.set(Direction::ToClient, Scope::All, Fault::SwallowPushes);
    let before = guard.fencing_token();
    assert!(guard.release().await.is_released());
    are_served(waiting, before).await;
    let stats = store.proxy.stats();
    assert!(stats.seen(pushes) > 0 && stats.forwarded(pushes) == 0, "{stats}");
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

/// F6, in line.
async fn a_place_whose_answer_was_lost_is_left(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), behind_proxy(&store));
    let guard = holder.lock("x").ttl(LONG).acquire().await.unwrap();
    // Makes the connection, and subscribes.
    drop(locks.lock("before").acquire().await.unwrap());
    for bytes in [0, 1, 20, 60] {
        store.proxy.arm(Cut::after_bytes(Direction::ToClient, bytes));
        let waiting = tokio::spawn(locks.lock("x").ttl(LONG).wait(LONG).acquire());
        until_in_line(&holder, 1).await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        until_in_line(&holder, 0).await;
    }
    left_behind(&locks, &mut store).await;
    assert!(guard.release().await.is_released());
    assert_eq!(left_behind(&holder, &mut store).await, Vec::<String>::new());
}

/// A process that waits for the lock `x`.
struct Waiter {
    process: Child,
    says: BufReader<ChildStdout>,
}

impl Waiter {
    fn start(store: &Store, ttl: Duration, flags: &[&str]) -> Self {
        let mut command = Command::new(example("waiter"));
        command.args([&store.server.url(), "x", &ttl.as_millis().to_string()]).args(flags);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        Self { process, says }
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Reads the fencing token of its next grant.
    fn held(&mut self) -> u64 {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line.trim_end().strip_prefix("held ").unwrap().parse().unwrap()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The tokens and the channels of those who stand in line for the lock `x`, the first first.
fn those_in_line(store: &mut Store) -> Vec<(String, String)> {
    let lines: Vec<String> = store.run(&["KEYS", "dl:q:*"]);
    let entries: Vec<String> = store.run(&["ZRANGE", &lines[0], "0", "-1"]);
    let word = |entry: &str, place| entry.split(' ').nth(place).unwrap().to_owned();
    entries.iter().map(|entry| (word(entry, 1), word(entry, 2))).collect()
}

/// F10.
async fn a_first_that_is_killed_holds_nobody_up(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), direct(&store));
    let guard = holder.lock("x").ttl(LONG).acquire().await.unwrap();
    let first = Waiter::start(&store, LONG, &[]);
    until_in_line(&holder, 1).await;
    let waiting = tokio::spawn(locks.lock("x").ttl(LONG).wait(LONG).acquire());
    until_in_line(&holder, 2).await;
    let in_line = those_in_line(&mut store);
    let [(_, channel), (second, _)] = &in_line[..] else { panic!("{in_line:?}") };
    drop(first);
    // The kernel has closed its connection; the server may not have looked yet.
    until(|| store.subscribers(channel) == 0).await;
    assert!(guard.release().await.is_released());
    // At once: by the very release.
    assert_eq!(owner_at(&mut store), Some(owned_by(second)));
    let next = soon(LIMIT, waiting).await.unwrap().unwrap();
    assert!(next.release().await.is_released());
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

/// F11.
async fn a_first_that_is_frozen_holds_the_others_up_for_a_window(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), direct(&store));
    let guard = holder.lock("x").ttl(LONG).acquire().await.unwrap();
    let window = Duration::from_secs(1);
    let mut first = Waiter::start(&store, window, &[]);
    until_in_line(&holder, 1).await;
    let waiting = tokio::spawn(locks.lock("x").ttl(LONG).wait(LONG).acquire());
    until_in_line(&holder, 2).await;
    let (frozen, _) = those_in_line(&mut store).remove(0);
    first.signal("-STOP");
    assert!(guard.release().await.is_released());
    assert_eq!(owner_at(&mut store), Some(owned_by(&frozen)));
    // Long before the next would have asked by itself.
    let next = soon(window * 6, waiting).await.unwrap().unwrap();
    // It wakes up with a grant in its hands that is over, and comes back into the line.
    first.signal("-CONT");
    until_in_line(&holder, 1).await;
    let token = next.fencing_token().unwrap().get();
    assert!(next.is_held());
    assert!(next.release().await.is_released());
    assert!(tokio::task::spawn_blocking(move || first.held()).await.unwrap() > token);
}

/// F12.
async fn a_holder_that_is_killed_is_followed_when_its_lease_ends(kind: &ServerKind) {
    // A busy machine adds to it, and nothing makes it less: the least of some rounds counts.
    let mut least = Duration::MAX;
    for _ in 0..10 {
        least = least.min(served_after_the_expiry(&mut Store::start(kind)).await);
        // Whoever does not watch the holder asks half a second too late.
        if least < Duration::from_millis(500) {
            return println!("served {least:?} after the expiry");
        }
    }
    panic!("{least:?} after the expiry, at best");
}

/// How long after the end of a killed holder's lease whoever waits is served.
async fn served_after_the_expiry(store: &mut Store) -> Duration {
    let locks = direct(store);
    let mut holder = Waiter::start(store, Duration::from_secs(2), &["--then-hold"]);
    let (holder, before) = tokio::task::spawn_blocking(move || {
        let token = holder.held();
        (holder, token)
    })
    .await
    .unwrap();
    // So late that the first pause of those who do not watch the holder ends behind its lease.
    until(|| store.run::<i64>(&["PTTL", "lock:x"]) < 400).await;
    let waiting = tokio::spawn(locks.lock("x").ttl(LONG).wait(LONG).acquire());
    let asked = Instant::now();
    // Nothing is left where the machine stood still meanwhile.
    let left: i64 = store.run(&["PTTL", "lock:x"]);
    let expiry = asked + Duration::from_millis(left.try_into().unwrap_or(0));
    drop(holder);
    let guard = soon(LIMIT, waiting).await.unwrap().unwrap();
    let served = Instant::now();
    assert!(guard.fencing_token().unwrap().get() > before);
    // The server counts in whole milliseconds.
    assert!(served + Duration::from_millis(2) >= expiry, "{:?} too early", expiry - served);
    served.saturating_duration_since(expiry)
}

/// F17.
async fn those_who_wait_are_served_after_a_flush(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), direct(&store));
    let lock = holder.lock("x").ttl(Duration::from_millis(1_500)).keep_alive();
    let guard = lock.acquire().await.unwrap();
    let waiting = wait_for_it(&locks);
    until_in_line(&holder, WAITERS).await;
    let before = guard.fencing_token();
    store.run::<()>(&["FLUSHALL"]);
    assert_eq!(soon(LIMIT, guard.lost()).await, Some(LossReason::Removed));
    are_served(waiting, before).await;
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

/// F1, in line.
async fn those_who_wait_are_served_after_a_restart(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, locks) = (direct(&store), direct(&store));
    let guard = holder.lock("x").ttl(LONG).acquire().await.unwrap();
    let waiting = wait_for_it(&locks);
    until_in_line(&holder, WAITERS).await;
    store.server.kill();
    store.server.restart().unwrap();
    are_served(waiting, guard.fencing_token()).await;
    guard.release().await;
}

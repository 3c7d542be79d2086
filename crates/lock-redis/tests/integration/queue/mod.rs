//! Waiting in line: what the scripts do with it, and what comes back of it.

mod channels;
mod cost;
mod grants;
mod model;
mod places;
mod pollers;
mod pushes;
mod service;
mod side_by_side;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, Grant, LockBackend, OwnerToken, Ticket, Waiting, Wake,
};
use lock_core::{LockStatus, Result};
use lock_redis::RedisBackend;

use crate::common::{LIMIT, Store, key};

/// So long that no test can mistake an expiry for a release.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// The longest lease that a pushed grant begins with.
const WINDOW: Duration = Duration::from_secs(2);

/// Asks for a lock, to stand in line if it is held.
pub(crate) async fn ask(
    backend: &Arc<RedisBackend>,
    name: &str,
    token: OwnerToken,
    ticket: Option<Ticket>,
) -> Result<AcquireReply> {
    ask_for(backend, name, token, HOUR, ticket).await
}

/// As [`ask`], with this lease.
async fn ask_for(
    backend: &Arc<RedisBackend>,
    name: &str,
    token: OwnerToken,
    ttl: Duration,
    ticket: Option<Ticket>,
) -> Result<AcquireReply> {
    let request = AcquireRequest::new(key(name), token, ttl, Clock::SYSTEM).with_queue(ticket);
    Arc::clone(backend).acquire(request).await
}

/// Stands in line for a lock that is held.
pub(crate) async fn queue(
    backend: &Arc<RedisBackend>,
    name: &str,
    token: OwnerToken,
    ticket: Option<Ticket>,
) -> Waiting {
    match ask(backend, name, token, ticket).await.unwrap() {
        AcquireReply::Queued(waiting) => waiting,
        other => panic!("not in line: {other:?}"),
    }
}

/// Waits for the push alone, without ever asking again.
pub(crate) async fn pushed(waiting: Waiting) -> Grant {
    match news(waiting).await {
        Wake::Granted(grant) => grant,
        news => panic!("the grant was not pushed: {news:?}"),
    }
}

/// Waits for any news.
async fn news(waiting: Waiting) -> Wake {
    tokio::time::timeout(LIMIT, waiting.wake).await.unwrap()
}

async fn status(backend: &Arc<RedisBackend>, name: &str) -> Option<LockStatus> {
    Arc::clone(backend).status(key(name)).await.unwrap()
}

/// The key of the line for the lock `x`, which has been taken before: by the tag of its counter.
pub(crate) fn line_key(store: &mut Store) -> String {
    let counters: Vec<String> = store.run(&["KEYS", "dl:f:*"]);
    format!("{}:lock:x", counters[0].replacen("dl:f:", "dl:q:", 1))
}

/// The entries of the line for the lock `x`, the first first.
fn entries(store: &mut Store) -> Vec<String> {
    let line = line_key(store);
    store.run(&["ZRANGE", &line, "0", "-1"])
}

/// Puts an entry of somebody else's into the line for the lock `x`, and says so in its key.
fn stand(store: &mut Store, ticket: u64, entry: &str) {
    let line = line_key(store);
    store.run::<()>(&["ZADD", &line, &ticket.to_string(), entry]);
    say(store, "dl+");
}

/// Puts this before the token of whoever of ours holds the lock `x`.
fn say(store: &mut Store, mark: &str) {
    let script = "local owner = redis.call('GET', KEYS[1]) \
                  if owner and string.find(owner, '^dl[:+*]') then \
                    redis.call('SET', KEYS[1], ARGV[1] .. string.sub(owner, 4), 'KEEPTTL') \
                  end";
    store.run::<()>(&["EVAL", script, "1", "lock:x", mark]);
}

/// Is subscribed to a channel for as long as it lives, as a client of another kind.
struct Subscriber(BufReader<TcpStream>);

impl Subscriber {
    fn start(store: &Store, channel: &str) -> Self {
        let mut stream = TcpStream::connect(store.server.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "{} {channel}\r\n", store.words().subscribe).unwrap();
        let mut subscriber = Self(BufReader::new(stream));
        assert_eq!(subscriber.next_line_of(6), ":1");
        subscriber
    }

    /// The next message.
    fn next_message(&mut self) -> String {
        self.next_line_of(7)
    }

    /// The last line of an array of so many lines.
    fn next_line_of(&mut self, lines: usize) -> String {
        let mut last = String::new();
        for _ in 0..lines {
            last.clear();
            self.0.read_line(&mut last).unwrap();
        }
        last.trim_end().to_owned()
    }
}

//! The server under measurement, and what it says of its own work.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::Clock;
use testbed::{RedisServer, ServerKind};

use crate::failure::Failure;

/// What clients send and no script of any contender calls.
const NEVER_IN_SCRIPTS: [&str; 10] = [
    "auth",
    "client|setinfo",
    "eval",
    "evalsha",
    "hello",
    "ping",
    "script|load",
    "ssubscribe",
    "subscribe",
    "unsubscribe",
];
/// What is sent where nobody waits in a queue, and what the small scripts, which look and delete, do
/// not call.
///
/// The library's large scripts call them, too, so they count as sent only where those scripts are
/// rare. It sends `TIME`, and `SPUBLISH` and `PUBSUB` or what is in their place on Redis 6.2, as well,
/// once a connection.
const SENT_BY_PLAIN_CLIENTS: [&str; 5] = ["set", "incr", "mget", "delifeq", "pttl"];
/// What the library's large scripts call, once each that asks for a lock.
const CALLED_BY_LARGE_SCRIPTS: &str = "time";
/// Where such scripts are so many times less than commands, they are rare.
const RARE: f64 = 10.0;
/// What this program asks.
const OURS: [&str; 4] = ["info", "config|resetstat", "flushall", "command"];

pub(crate) struct Stats {
    /// To each server; there is one, at least.
    connections: Vec<Mutex<redis::Connection>>,
}

/// Starts the server, which ends with the run.
pub(crate) fn start(name: &str) -> Result<(RedisServer, Stats), Failure> {
    let kind = ServerKind::named(name.to_owned());
    let server = RedisServer::start(&kind)?;
    let stats = Stats::of([&server])?;
    Ok((server, stats))
}

impl Stats {
    /// Of these servers together, of which one is worked with at a time, or some that are a cluster.
    pub(crate) fn of<'a>(
        servers: impl IntoIterator<Item = &'a RedisServer>,
    ) -> Result<Self, Failure> {
        let connections = servers.into_iter().map(|server| {
            let connection = redis::Client::open(server.url())?.get_connection()?;
            Ok::<_, Failure>(Mutex::new(connection))
        });
        Ok(Self { connections: connections.collect::<Result<_, _>>()? })
    }

    /// What the servers have done so far.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Failure> {
        let mut all: BTreeMap<String, Work> = BTreeMap::new();
        for connection in self.connections() {
            let info: String = redis::cmd("INFO").arg("commandstats").query(&mut *connection?)?;
            let commands = info.lines().filter_map(|line| {
                let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
                let field = |key: &str| {
                    rest.split(',').find_map(|pair| pair.strip_prefix(key)?.parse::<f64>().ok())
                };
                Some((name, field("calls=")?, field("usec=")?))
            });
            for (name, calls, micros) in commands {
                let work = all.entry(name.to_owned()).or_default();
                work.calls += calls;
                work.micros += micros;
            }
        }
        Ok(Snapshot(all))
    }

    /// When this key of the first server will be gone, to a millisecond.
    pub(crate) fn expiry(&self, key: &str) -> Result<Instant, Failure> {
        let left: i64 = redis::cmd("PTTL").arg(key).query(&mut *self.first()?)?;
        let left = u64::try_from(left).map_err(|_| format!("the key {key} is not there"))?;
        Ok(Clock::SYSTEM.now() + Duration::from_millis(left))
    }

    /// Throws all keys away.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        self.connections()
            .try_for_each(|connection| Ok(redis::cmd("FLUSHALL").query(&mut *connection?)?))
    }

    fn first(&self) -> Result<MutexGuard<'_, redis::Connection>, Failure> {
        self.connections().next().ok_or("no server is looked at")?
    }

    fn connections(
        &self,
    ) -> impl Iterator<Item = Result<MutexGuard<'_, redis::Connection>, Failure>> {
        self.connections
            .iter()
            .map(|connection| Ok(connection.lock().map_err(|error| error.to_string())?))
    }
}

/// How often each command has run, and how long in all, over all servers.
pub(crate) struct Snapshot(BTreeMap<String, Work>);

#[derive(Clone, Copy, Default)]
struct Work {
    calls: f64,
    micros: f64,
}

impl Snapshot {
    /// What was done from `before` until this one.
    pub(crate) fn since(&self, before: &Self) -> Traffic {
        let work = |name: &str| {
            let (now, then) = (self.of(name), before.of(name));
            Work { calls: now.calls - then.calls, micros: now.micros - then.micros }
        };
        let calls = |names: &[&str]| names.iter().map(|name| work(name).calls).sum::<f64>();
        let is_plain = work(CALLED_BY_LARGE_SCRIPTS).calls * RARE <= work("set").calls;
        let plain: &[&str] = if is_plain { &SENT_BY_PLAIN_CLIENTS } else { &[] };
        let sent: Vec<&str> = NEVER_IN_SCRIPTS.iter().chain(plain).copied().collect();
        let all: f64 = self.0.keys().map(|name| work(name).calls).sum();
        Traffic {
            sent: calls(&sent),
            micros: sent.iter().map(|name| work(name).micros).sum(),
            total: all - calls(&OURS),
            uploads: calls(&["script|load", "eval"]),
        }
    }

    fn of(&self, name: &str) -> Work {
        self.0.get(name).copied().unwrap_or_default()
    }
}

/// What a server did for the clients for a while.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Commands that clients sent; those that scripts call do not count.
    pub(crate) sent: f64,
    /// All commands that ran, also inside scripts.
    pub(crate) total: f64,
    /// The server's time for what was sent.
    pub(crate) micros: f64,
    /// How often the text of a script was sent.
    pub(crate) uploads: f64,
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpStream;

    use futures_util::future::join_all;

    use super::*;
    use crate::contenders::rivals::Rival;
    use crate::contenders::stint::Stint;

    const LAST: &str = "the last that counts";

    /// What clients sent until the last word, by the server's own listening: it marks what scripts
    /// call.
    fn seen_by_monitor(monitor: TcpStream) -> usize {
        let lines = BufReader::new(monitor).lines().map(Result::unwrap);
        let lines = lines.take_while(|line| !line.contains(LAST));
        lines.filter(|line| !line.contains(" lua] ") && !line.contains("\"INFO\"")).count()
    }

    #[test]
    fn commands_sent_are_those_that_the_server_monitors_from_outside_of_scripts() {
        let runtime = crate::runtime::runtime(0).unwrap();
        let (server, stats) = start("redis-7.0").unwrap();
        let exclusion = tempfile::NamedTempFile::new().unwrap();
        for (rival, tasks) in
            [(Rival::Raw, 4), (Rival::Rslock10, 4), (Rival::Distlock, 4), (Rival::Distlock, 1)]
        {
            runtime.block_on(async {
                let turns = rival.connect(&server.url(), &format!("of {tasks}")).await.unwrap();
                let stint = Stint::new(Duration::from_micros(300), exclusion.path()).unwrap();
                let sections = || join_all((0..tasks).map(|_| turns.section(&stint)));
                // So that it is connected, and listens.
                sections().await;
                let before = stats.snapshot().unwrap();
                let mut monitor = TcpStream::connect(server.address()).unwrap();
                monitor.write_all(b"MONITOR\r\n").unwrap();
                BufReader::new(&monitor).lines().next();
                for _ in 0..5 {
                    sections().await;
                }
                let sent = stats.snapshot().unwrap().since(&before).sent;
                let mut connection = stats.first().unwrap();
                redis::cmd("ECHO").arg(LAST).exec(&mut connection).unwrap();
                assert_eq!(
                    sent,
                    crate::measure::figures::count(seen_by_monitor(monitor)),
                    "{rival:?}, {tasks} tasks"
                );
            });
        }
    }
}

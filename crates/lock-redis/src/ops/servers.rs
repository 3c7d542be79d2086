//! What the servers say of themselves, for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use lock_core::backend::Lane;
use lock_core::duration_text::rounded;
use lock_core::{Instant, ServerInfo};
use redis::{Pipeline, Value};

use crate::ops::parts::Parts;
use crate::topology::home::Server;
use crate::wire::failure::Failure;
use crate::wire::hello::{self, info_field};

/// Clocks that differ by less are alike.
const ALIKE_MICROS: u64 = 1_000;

/// Asks all servers that have keys; fails if none answers.
pub(crate) async fn servers(parts: &Parts, deadline: Instant) -> Result<Vec<ServerInfo>, Failure> {
    let servers = parts.topology.servers(true, deadline).await?;
    let asked = join_all(servers.iter().map(|server| about(server, deadline))).await;
    let mut all = Vec::with_capacity(servers.len());
    let mut last = None;
    let mut has_answer = false;
    for (server, answer) in servers.iter().zip(asked) {
        let address = match &*server.name {
            "" => parts.topology.address(),
            name => name,
        };
        let info = ServerInfo::new(address);
        all.push(match answer {
            Ok(facts) => {
                has_answer = true;
                facts.into_iter().fold(info, |info, (name, what)| info.with_fact(name, what))
            }
            Err(failure) => {
                let info = info.with_fact("error", failure.message().to_owned());
                last = Some(failure);
                info
            }
        });
    }
    match last {
        Some(failure) if !has_answer => Err(failure),
        _ => Ok(all),
    }
}

type Facts = Vec<(&'static str, String)>;

async fn about(server: &Server<'_>, deadline: Instant) -> Result<Facts, Failure> {
    let connection = server.home.route(Lane::Caller).connection(deadline).await?;
    let mut asking = Pipeline::with_capacity(2);
    // Without the name of a section: Redis 6.2 takes one at most.
    asking.cmd("INFO").cmd("TIME");
    let began = now_micros();
    let mut answers = connection.send_all(&asking, deadline).await?.into_iter();
    let ended = now_micros();
    // What the server's user may not ask for is left out.
    let mut facts = match answers.next() {
        Some(Ok(info)) => of_info(&info),
        _ => Facts::new(),
    };
    if let Some(Ok(time)) = answers.next()
        && let Ok(time) = hello::time(&time)
    {
        facts.push(("clock", clock(time, began, ended)));
    }
    Ok(facts)
}

/// What is in the answer to `INFO`.
fn of_info(info: &Value) -> Facts {
    let mut facts = Facts::new();
    let field = |name| info_field(info, name);
    if let Some(version) = field("valkey_version") {
        facts.push(("version", format!("Valkey {version}")));
    } else if let Some(version) = field("redis_version") {
        facts.push(("version", format!("Redis {version}")));
    }
    // The second is that of Valkey.
    let mode = field("redis_mode").or_else(|| field("server_mode"));
    if let Some(role) = field("role") {
        facts.push(("role", as_role(role, mode, field("connected_slaves"))));
    }
    if let Some(policy) = field("maxmemory_policy") {
        let limit = field("maxmemory_human").filter(|_| field("maxmemory") != Some("0"));
        facts.push((
            "eviction",
            match (policy, limit) {
                (_, None) => "never: maxmemory is not set".to_owned(),
                ("noeviction", Some(limit)) => format!("never: noeviction, maxmemory {limit}"),
                (policy, Some(limit)) => format!("{policy}, maxmemory {limit}"),
            },
        ));
    }
    if let Some(is_on) = field("aof_enabled") {
        let what = if is_on == "1" {
            "append-only file"
        } else {
            "no append-only file: locks may be gone after a restart"
        };
        facts.push(("persistence", what.to_owned()));
    }
    facts
}

fn as_role(role: &str, mode: Option<&str>, replicas: Option<&str>) -> String {
    let role = match (role, replicas) {
        ("master", None | Some("0")) => "master without replicas".to_owned(),
        ("master", Some("1")) => "master with 1 replica".to_owned(),
        ("master", Some(count)) => format!("master with {count} replicas"),
        ("slave", _) => "replica".to_owned(),
        (other, _) => other.to_owned(),
    };
    match mode {
        Some("cluster") => format!("{role}, in a cluster"),
        _ => role,
    }
}

/// How the server's clock differs from this machine's, which was read before and after it.
fn clock(server: u64, began: u64, ended: u64) -> String {
    let (earliest, latest) = (began.saturating_sub(ALIKE_MICROS), ended + ALIKE_MICROS);
    let (off, which) = if server < earliest {
        (earliest - server, "behind")
    } else if server > latest {
        (server - latest, "ahead of")
    } else {
        return "as that of this machine".to_owned();
    };
    format!("at least {} {which} that of this machine", rounded(Duration::from_micros(off)))
}

fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(info: &str) -> Vec<String> {
        let info = Value::BulkString(info.as_bytes().to_vec());
        of_info(&info).into_iter().map(|(name, what)| format!("{name}: {what}")).collect()
    }

    #[test]
    fn what_a_server_tells_is_said_in_words() {
        assert_eq!(
            facts(
                "# Server\r\nredis_version:6.2.5\r\nredis_mode:standalone\r\n# Memory\r\n\
                 maxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n\
                 # Persistence\r\naof_enabled:0\r\n# Replication\r\nrole:master\r\n\
                 connected_slaves:0\r\n"
            ),
            [
                "version: Redis 6.2.5",
                "role: master without replicas",
                "eviction: never: maxmemory is not set",
                "persistence: no append-only file: locks may be gone after a restart",
            ]
        );
        assert_eq!(
            facts(
                "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n\
                 server_mode:cluster\r\nmaxmemory:1048576\r\nmaxmemory_human:1.00M\r\n\
                 maxmemory_policy:allkeys-lru\r\naof_enabled:1\r\nrole:master\r\n\
                 connected_slaves:2\r\n"
            ),
            [
                "version: Valkey 9.1.2",
                "role: master with 2 replicas, in a cluster",
                "eviction: allkeys-lru, maxmemory 1.00M",
                "persistence: append-only file",
            ]
        );
        assert!(facts("# Nothing\r\n").is_empty());
    }

    #[test]
    fn clocks_are_alike_as_far_as_can_be_told() {
        let at = |server| clock(server, 10_000_000, 10_002_000);
        for server in [9_999_000, 10_001_000, 10_003_000] {
            assert_eq!(at(server), "as that of this machine");
        }
        assert_eq!(at(9_994_000), "at least 5ms behind that of this machine");
        assert_eq!(at(12_503_000), "at least 2.5s ahead of that of this machine");
    }
}

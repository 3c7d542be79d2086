//! The verbs that look at locks and at the store.

use std::process::Stdio;

use testbed::{RedisServer, ServerKind};

use super::{redis, server};
use crate::harness::{Running, distlock, end_of, run};

#[test]
fn status_shows_what_is_held_and_what_is_free() {
    let server = server();
    let url = server.url();
    let mut command = run(&url, "--ttl 60s", "x", "echo ready; read line");
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    let ended = end_of(distlock(["status", "x", "free one"]).env("DISTLOCK_URL", &url));
    let lines: Vec<Vec<&str>> =
        ended.output.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..2], ["NAME", "STATE"]);
    assert_eq!(lines[1][..2], ["x", "held"]);
    let ends_in: f64 = lines[1][2].trim_end_matches('s').parse().unwrap();
    assert!(30.0 < ends_in && ends_in <= 60.0, "{ended:?}");
    assert_eq!(lines[2], ["free", "one", "free"]);
    let ended = end_of(distlock(["status", "--json", "x", "y"]).env("DISTLOCK_URL", &url));
    assert!(ended.output.starts_with("[{\"name\":\"x\",\"held\":true,\"remaining_ms\":"));
    assert!(ended.output.contains("{\"name\":\"y\",\"held\":false,\"remaining_ms\":null,"));
    running.write(b"\n");
    assert_eq!(running.end().silent(), 0);
}

#[test]
fn wait_ends_when_the_lock_is_free_and_takes_nothing() {
    let server = server();
    let url = server.url();
    let wait = |wait: &str| distlock(["wait", "--url", &url, "--wait", wait, "x"]);
    assert_eq!(end_of(&mut wait("0s")).silent(), 0);
    let mut command = run(&url, "", "x", "echo ready; read line");
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    end_of(&mut wait("200ms")).says(124, &["\"x\" is still held after", "its lease ends in"]);
    let waiting = Running::start(&mut wait("forever"));
    running.write(b"\n");
    assert_eq!(running.end().silent(), 0);
    assert_eq!(waiting.end().silent(), 0);
}

#[test]
fn check_finds_what_is_to_be_changed() {
    let server = server();
    let check = |url: &str, require: &str| {
        end_of(distlock(["check", "--require", require]).env("DISTLOCK_URL", url))
    };
    let all = "renewal,fencing,queue,status";
    let well = check(&server.url(), all);
    assert_eq!((well.code, &*well.errors), (0, ""), "{well:?}");
    assert!(well.output.contains("round trip") && !well.output.contains("to be changed"));
    let plain = check(&format!("{}?mode=plain", server.url()), all);
    assert_eq!(plain.code, 1, "{plain:?}");
    assert!(plain.output.contains("to be changed: queue is required"), "{plain:?}");

    let evicts = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let server = RedisServer::start_with(&ServerKind::REDIS_8_2, &evicts).unwrap();
    let ended = check(&server.url(), all);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.output.contains("set maxmemory-policy to noeviction"), "{ended:?}");
}

#[test]
fn check_finds_a_permission_that_is_missing() {
    let server = server();
    let rule = "ACL SETUSER u on >p ~* &* +@all -evalsha";
    assert_eq!(redis(&server, rule), "+OK");
    let url = server.url().replace("redis://", "redis://u:p@");
    let ended = end_of(distlock(["check"]).env("DISTLOCK_URL", url));
    ended.says(122, &["evalsha"]);
}

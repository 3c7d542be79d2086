//! The verbs that look at locks and at the store.

use std::process::Stdio;

use testbed::{RedisServer, ServerKind};

use super::{redis, server};
use crate::harness::{LIMIT, Running, distlock, end_of, refused, run};

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

/// Waits for all of this, which the backgrounds of commands write.
fn until_said(url: &str, said: &[&str]) -> String {
    let began = std::time::Instant::now();
    loop {
        let output = end_of(distlock(["status", "x"]).env("DISTLOCK_URL", url)).output;
        if said.iter().all(|said| output.contains(said)) {
            return output;
        }
        assert!(began.elapsed() < LIMIT, "{output}");
    }
}

#[test]
fn status_names_the_command_that_holds_and_those_that_wait() {
    let server = server();
    let url = server.url();
    let mut command = run(&url, "--ttl 60s", "x", "echo ready; read line");
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    let mut command = run(&url, "", "x", "true");
    let environment = [("DISTLOCK_PROGRAM", "night job"), ("DISTLOCK_PROGRAM_VERSION", "7")];
    let waiting = Running::start(command.envs(environment).env("DISTLOCK_PROGRAM_HOST", "node-7"));
    let output = until_said(&url, &["waits", "night job", "run sh"]);
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines[1].contains("Z  distlock run sh (pid ") && lines[1].contains(" on host "));
    assert!(lines[2].contains("waits ") && lines[2].contains("Z  night job 7 (pid "), "{output}");
    assert!(lines[2].ends_with(" on host node-7)"), "{output}");
    let ended = end_of(distlock(["status", "--json", "x"]).env("DISTLOCK_URL", &url));
    let holder = "\"holder\":{\"program\":\"distlock run sh\",\"version\":null,\"host\":\"";
    assert!(ended.output.contains(holder), "{ended:?}");
    assert!(ended.output.contains("\"queue\":[{\"program\":\"night job\",\"version\":\"7\""));
    // Whoever gets it not is told who has it.
    for command in
        [&mut run(&url, "--no-wait", "x", ""), &mut distlock(["wait", "--wait", "0s", "x"])]
    {
        let command = command.env("DISTLOCK_URL", &url);
        refused(command, &["distlock run sh (pid ", ", which asked for it at 2"]);
    }
    running.write(b"\n");
    assert_eq!(running.end().silent(), 0);
    assert_eq!(waiting.end().silent(), 0);
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
    for part in ["Redis 8.2.", "master without replicas", "append-only file", "never: maxmemory"] {
        assert!(well.output.contains(part), "{part}: {well:?}");
    }
    // Pushes that are forbidden leave no queue.
    assert_eq!(redis(&server, "ACL SETUSER u on >p ~* &* +@all -ssubscribe"), "+OK");
    let polls = check(&server.url().replace("redis://", "redis://u:p@"), all);
    assert_eq!(polls.code, 1, "{polls:?}");
    assert!(polls.output.contains("to be changed: queue is required"), "{polls:?}");

    let evicts = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let server = RedisServer::start_with(&ServerKind::REDIS_8_2, &evicts).unwrap();
    let ended = check(&server.url(), all);
    assert_eq!(ended.code, 1, "{ended:?}");
    let told = ended.output.lines().filter(|line| line.starts_with("to be changed: "));
    let told: Vec<&str> = told.collect();
    assert!(told.len() == 1 && told[0].contains("set maxmemory-policy to noeviction"), "{ended:?}");
}

#[test]
fn check_takes_its_locks_however_long_commands_hold_theirs() {
    let server = server();
    let mut command = distlock(["check"]);
    command.env("DISTLOCK_URL", server.url()).env("DISTLOCK_TTL", "10m");
    let ended = end_of(command.env("DISTLOCK_MIN_HOLD", "20s").env("DISTLOCK_MAX_HOLD", "1h"));
    assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
    assert_eq!(redis(&server, "KEYS lock:*"), "*0");
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

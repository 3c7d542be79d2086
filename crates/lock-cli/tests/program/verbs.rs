//! The verbs beside `run`, and what is said of a wrong command line.

use crate::harness::{distlock, end_of};

fn error_of<'a>(arguments: impl IntoIterator<Item = &'a str>, code: i32, parts: &[&str]) {
    let ended = end_of(&mut distlock(arguments));
    ended.says(code, parts);
    assert_eq!(ended.output, "");
}

#[test]
fn a_wrong_command_line_is_125_and_says_what_is_right() {
    let store = "--url=memory:";
    error_of(["run", store, "x"], 125, &["<COMMAND>...", "distlock run [OPTIONS] NAME -- COMMAND"]);
    error_of(["run", store, "--ttl", "30", "x", "true"], 125, &["it has no unit; write \"30s\""]);
    error_of(["run", store, "--wait", "5", "x", "true"], 125, &["write \"5s\", or `forever`"]);
    error_of(["run", store, "--no-wait", "--wait=1s", "x", "true"], 125, &["cannot be used with"]);
    error_of(["run", store, "--tll", "1s", "x", "true"], 125, &["--ttl"]);
    error_of(["run", "-q", store, "", "true"], 125, &["name"]);
    error_of(["run", "-q", store, "--min-hold=2m", "x", "true"], 125, &["min_hold", "ttl"]);
    error_of(["run", "-q", store, "--max-hold=1s", "x", "true"], 125, &["max_hold", "ttl"]);
    error_of(["run", "x", "true"], 125, &["set the environment variable DISTLOCK_URL", "--url"]);
    error_of(["status", "--url=nowhere:", "x"], 125, &["nowhere", "redis://"]);
}

#[test]
fn a_misspelt_variable_is_refused_and_a_password_is_never_shown() {
    let ended =
        end_of(distlock(["check"]).env("DISTLOCK_URL", "memory:").env("DISTLOCK_TLL", "1s"));
    ended.says(125, &["DISTLOCK_TLL is not known", "DISTLOCK_TTL"]);
    for url in ["redis://me:s3cret@127.0.0.1:1", "redis://me:s3cret@[::1"] {
        let ended = end_of(distlock(["check"]).env("DISTLOCK_URL", url));
        assert!(ended.code == 122 || ended.code == 125, "{ended:?}");
        assert!(!ended.errors.contains("s3cret") && !ended.output.contains("s3cret"), "{ended:?}");
    }
}

#[test]
fn check_says_of_memory_that_it_excludes_nobody() {
    let ended = end_of(&mut distlock(["check", "--url=memory:"]));
    assert_eq!((ended.code, &*ended.errors), (1, ""));
    assert!(ended.output.contains("to be changed: the store is the memory of one process"));
}

#[test]
fn help_version_completions_and_manual_are_printed() {
    for (arguments, parts) in [
        (&["--help"][..], &["DISTLOCK_URL", "status", "completions"][..]),
        (&["run", "--help"], &["--kill-after", "--no-wait", "128 + its number", "DISTLOCK_NAME"]),
        (&["--version"], &["distlock 0."]),
        (&["completions", "bash"], &["complete -F _distlock", "--kill-after"]),
        (&["completions", "zsh"], &["#compdef distlock"]),
        (&["completions", "fish"], &["complete -c distlock"]),
        (&["man"], &[".TH", "DISTLOCK RUN", "kill\\-after", "127  the command was not found"]),
    ] {
        let ended = end_of(&mut distlock(arguments.iter().copied()));
        assert_eq!((ended.code, &*ended.errors), (0, ""), "{arguments:?}");
        for part in parts {
            assert!(ended.output.contains(part), "{arguments:?}: {part}: {}", ended.output);
        }
    }
}

#[cfg(feature = "redis")]
mod on_a_server {
    use std::process::Stdio;

    use testbed::{RedisServer, ServerKind};

    use super::*;
    use crate::harness::{Running, run};
    use crate::others::server;

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
        assert_eq!(crate::others::redis(&server, rule), "+OK");
        let url = server.url().replace("redis://", "redis://u:p@");
        let ended = end_of(distlock(["check"]).env("DISTLOCK_URL", url));
        ended.says(122, &["evalsha"]);
    }
}

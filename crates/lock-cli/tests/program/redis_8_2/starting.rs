//! Before the command runs: the store is not there, or refuses.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{redis, server};
use crate::harness::{Running, end_of, run};

const WAITS: [&str; 3] = ["", "--wait forever", "--wait 60s"];

#[test]
fn a_store_that_comes_up_within_the_wait_is_waited_for() {
    let mut server = server();
    let url = server.url();
    for wait in WAITS {
        server.kill();
        // Whoever connects here finds no store, and has begun to wait.
        let nobody = TcpListener::bind(server.address()).unwrap();
        let running = Running::start(&mut run(&url, wait, "x", "echo mine"));
        drop(nobody.accept().unwrap());
        drop(nobody);
        server.restart().unwrap();
        let ended = running.end();
        ended.says(0, &["warning: the lock store redis (127.0.0.1:", "is unavailable: "]);
        assert_eq!((&*ended.output, ended.errors.lines().count()), ("mine\n", 1), "{ended:?}");
    }
}

#[test]
fn a_store_that_stays_away_is_an_error_when_the_wait_is_over() {
    let mut server = server();
    let url = server.url();
    server.kill();
    let cause = "lock \"x\": could not connect to Redis at 127.0.0.1:";
    let began = Instant::now();
    let ended = end_of(&mut run(&url, "--wait 1s", "x", "echo no"));
    ended.says(122, &[cause, "Connection refused"]);
    assert_eq!(ended.output, "");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn whoever_does_not_wait_is_told_at_once_that_the_store_is_not_there() {
    let mut server = server();
    let url = server.url();
    server.kill();
    for options in ["--no-wait", "--wait 0s"] {
        let ended = end_of(&mut run(&url, options, "x", "echo no"));
        ended.says(122, &["distlock: could not connect to Redis at 127.0.0.1:"]);
        assert_eq!(ended.output, "");
    }
}

#[test]
fn what_a_store_refuses_is_an_error_at_once_however_long_the_wait() {
    let server = server();
    assert_eq!(redis(&server, "ACL SETUSER strict on >p ~other:* &* +@all"), "+OK");
    assert_eq!(redis(&server, "ACL SETUSER weak on >p ~* &* +@all -evalsha"), "+OK");
    let url = |login: &str| server.url().replace("redis://", &format!("redis://{login}@"));
    for (login, cause) in [
        ("weak:wrong", "refused the user name or the password"),
        ("nobody:p", "refused the user name or the password"),
        ("strict:p", "lock:x"),
        ("weak:p", "evalsha"),
    ] {
        for wait in WAITS {
            let ended = end_of(&mut run(&url(login), wait, "x", "echo no"));
            ended.says(122, &["distlock: ", cause]);
            assert_eq!(ended.output, "", "{login}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_is_said_to_hold_a_lock_whose_store_is_not_there() {
    let mut server = server();
    let url = server.url();
    server.kill();
    let mut terminal = crate::terminal::Terminal::new();
    let line = format!("\"$PROGRAM\" run --wait 2s --url {url} x -- true; echo \"code $?\"\n");
    terminal.types(&line);
    terminal.shows("is unavailable: ");
    let rest = terminal.shows("code 122");
    assert!(!rest.contains("waiting for lock"), "{rest}");
}

//! Several programs on one server.

use std::process::Stdio;

use rustix::process::Signal;

use super::{redis, server};
use crate::harness::{Running, distlock, end_of, refused, run, until};

#[test]
fn programs_exclude_each_other_and_each_gets_its_turn() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    // A folder can be made once only.
    let script = "mkdir \"$TAKEN\" || exit 99; echo in; rmdir \"$TAKEN\"";
    let all: Vec<Running> = (0..6)
        .map(|_| Running::start(run(&server.url(), "", "x", script).env("TAKEN", &taken)))
        .collect();
    for running in all {
        let ended = running.end();
        assert_eq!((&*ended.output, &*ended.errors, ended.code), ("in\n", "", 0));
    }
    assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
}

#[test]
fn the_lock_is_held_while_the_command_runs_and_free_after_it() {
    let server = server();
    let url = server.url();
    let script = "echo ready; read -r line";
    let mut first = {
        let mut command = run(&url, "", "x", script);
        Running::until_ready(command.stdin(Stdio::piped()))
    };
    // Only what took less than a tenth of a second is told without the time that it took.
    let says = ["distlock: somebody else holds lock \"x\": ", "; --wait sets how long"];
    let held = refused(&mut run(&url, "--no-wait", "x", "echo no"), &says);
    assert_eq!(held.output, "");
    let held = end_of(&mut run(&url, "--wait 300ms", "x", "echo no"));
    held.says(124, &["somebody else held lock \"x\" at the end of the wait of "]);
    // For cron: another machine does the work, and there is nothing to tell.
    assert_eq!(end_of(&mut run(&url, "--no-wait -q -E 0", "x", "echo no")).silent(), 0);
    assert_eq!(end_of(&mut run(&url, "--no-wait", "y", "exit 3")).silent(), 3);

    let waiting = Running::start(&mut run(&url, "", "x", "echo mine"));
    first.write(b"\n");
    assert_eq!(first.end().silent(), 0);
    let ended = waiting.end();
    assert_eq!((&*ended.output, &*ended.errors, ended.code), ("mine\n", "", 0));
}

#[test]
fn the_command_line_counts_more_than_the_environment_and_that_more_than_the_url() {
    let (one, other) = (server(), server());
    let url = format!("{}?namespace=url:", one.url());
    let mut command = distlock(["run", "--url", &url, "x", "--", "sh", "-c", "echo ready; read l"]);
    command.env("DISTLOCK_URL", other.url()).env("DISTLOCK_NAMESPACE", "env:");
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    assert_eq!(redis(&one, "EXISTS lock:env:x lock:url:x"), ":1");
    assert_eq!(redis(&one, "EXISTS lock:env:x"), ":1");
    assert_eq!(redis(&other, "DBSIZE"), ":0");
    running.write(b"\n");
    assert_eq!(running.end().code, 0);
    let mut command = run(&one.url(), "--wait 1ms", "x", "echo ready; read l");
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    let mut patient = run(&one.url(), "--no-wait", "x", "true");
    assert_eq!(end_of(patient.env("DISTLOCK_WAIT", "forever")).code, 124);
    assert_eq!(end_of(run(&one.url(), "", "x", "true").env("DISTLOCK_WAIT", "0s")).code, 124);
    running.write(b"\n");
    assert_eq!(running.end().code, 0);
}

#[test]
fn a_minimal_hold_keeps_the_name_taken_after_the_command() {
    let server = server();
    let url = server.url();
    assert_eq!(end_of(&mut run(&url, "--min-hold 60s", "x", "true")).silent(), 0);
    assert_eq!(end_of(&mut run(&url, "--no-wait -q", "x", "true")).silent(), 124);
}

#[test]
fn nobody_is_said_to_hold_a_name_that_stays_taken() {
    let server = server();
    let url = server.url();
    let mut command = run(&url, "--min-hold 60s", "x", "echo ready; read line");
    let mut first = Running::until_ready(command.stdin(Stdio::piped()));
    let says = |parts: [&str; 2]| {
        let ended = end_of(&mut run(&url, "--no-wait", "x", "true"));
        assert!(ended.code == 124 || ended.code == 122, "{ended:?}");
        parts.iter().all(|part| ended.errors.contains(part))
    };
    // Who holds it is told by the background of the holder, and asked for a moment only.
    until(|| says(["somebody else holds lock \"x\"", ": distlock run sh (pid "]));
    first.write(b"\n");
    assert_eq!(first.end().code, 0);
    until(|| {
        says([
            "lock \"x\" was released, and stays taken for the rest of its min_hold: ",
            "distlock run sh",
        ])
    });
}

#[test]
fn a_wait_that_is_ended_by_a_signal_leaves_the_queue() {
    let server = server();
    let url = server.url();
    let mut command = run(&url, "", "x", "echo ready; read line");
    let mut first = Running::until_ready(command.stdin(Stdio::piped()));
    let second = Running::start(&mut run(&url, "", "x", "echo no"));
    let waiters = || {
        let ended = end_of(distlock(["status", "--json", "x"]).env("DISTLOCK_URL", &url));
        ended.output.split("waiters\":").nth(1).unwrap().starts_with('1')
    };
    until(waiters);
    second.signal(Signal::TERM);
    let ended = second.end();
    assert_eq!((ended.signal, ended.silent()), (Some(15), 143));
    assert!(!waiters());
    first.write(b"\n");
    assert_eq!(first.end().silent(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_sits_before_a_terminal_is_told_what_is_waited_for() {
    let server = server();
    let url = server.url();
    let mut command = run(&url, "", "x", "echo ready; read line");
    let mut first = Running::until_ready(command.stdin(Stdio::piped()));
    let mut terminal = crate::terminal::Terminal::new();
    terminal.types(&format!("\"$PROGRAM\" run --url {url} x -- echo mine\n"));
    terminal.shows("distlock: waiting for lock \"x\", which is held by distlock run sh (pid ");
    first.write(b"\n");
    assert_eq!(first.end().silent(), 0);
    terminal.shows("mine");
}

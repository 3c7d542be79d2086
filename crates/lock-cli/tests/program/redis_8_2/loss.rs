//! The lock is lost while the command runs.

use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use super::{redis, server};
use crate::harness::{LIMIT, Running, end_of, run};

/// A grandchild that keeps the output open.
const GRANDCHILD: &str = "sh -c 'echo ready; sleep 600' & wait";
/// Neither the child nor the grandchild listens.
const STUBBORN: &str = "trap '' TERM; sh -c 'trap \"\" TERM; echo ready; sleep 600; sleep 600' & wait; wait; sleep 600";

#[test]
fn when_the_server_is_killed_the_command_and_its_children_are_ended() {
    let mut server = server();
    let mut command = run(&server.url(), "--ttl 2s", "x", GRANDCHILD);
    let running = Running::until_ready(&mut command);
    server.kill();
    let ended = running.end();
    ended.says(123, &["lock \"x\" was lost: no renewal was confirmed within its ttl of 2s"]);
    // The cause that it was, and no other.
    assert!(!ended.errors.contains("--ttl") && !ended.errors.contains("deleted"), "{ended:?}");
    assert_eq!(ended.signal, None);
}

#[test]
fn who_does_not_end_is_killed_after_the_grace_with_all_children() {
    let mut server = server();
    let mut command = run(&server.url(), "--ttl 2s --kill-after 300ms", "x", STUBBORN);
    let running = Running::until_ready(&mut command);
    server.kill();
    running.end().says(123, &["killed after 300ms", "did not end in time and was killed"]);
}

/// A pager that is not read, or a terminal that was stopped by Ctrl-S: whatever is written waits.
#[test]
#[cfg(target_os = "linux")]
fn whoever_cannot_be_told_of_the_loss_does_not_keep_the_command_running() {
    let (_unread, mut errors) = std::io::pipe().unwrap();
    let size = rustix::pipe::fcntl_getpipe_size(&errors).unwrap();
    errors.write_all(&vec![b'x'; size]).unwrap();
    let mut server = server();
    let mut command = run(&server.url(), "--ttl 2s --kill-after 300ms", "x", STUBBORN);
    let running = Running::until_ready_with_errors(&mut command, errors);
    server.kill();
    assert_eq!(running.end().code, 123);
}

#[test]
fn a_grandchild_that_cleans_up_has_its_grace_after_the_command_has_ended() {
    let mut server = server();
    // The shell dies at once; its child goes on for longer than a look takes.
    let script = "exec 3<&0; sh -c 'trap \"sleep 0.3; echo clean; exit\" TERM; echo ready; read first' <&3 & \
                  wait";
    let mut command = run(&server.url(), "--ttl 2s --kill-after 20s", "x", script);
    let running = Running::until_ready(command.stdin(Stdio::piped()));
    let began = Instant::now();
    server.kill();
    let ended = running.end();
    ended.says(123, &[]);
    assert_eq!(ended.output, "clean\n");
    assert!(began.elapsed() < LIMIT);
}

#[test]
fn a_lock_that_was_deleted_is_a_loss() {
    let server = server();
    let running = Running::until_ready(&mut run(&server.url(), "--ttl 5s", "x", GRANDCHILD));
    assert_eq!(redis(&server, "DEL lock:x"), ":1");
    running.end().says(123, &["the store no longer has the lock", "deleted"]);
}

#[test]
fn the_longest_hold_ends_the_command() {
    let server = server();
    let options = "--ttl 2s --max-hold 3s";
    let ended = end_of(&mut run(&server.url(), options, "x", GRANDCHILD));
    ended.says(123, &["as long as max_hold allows; --max-hold sets that"]);
}

#[test]
fn a_lease_that_is_not_renewed_limits_the_command() {
    let server = server();
    let mut command = run(&server.url(), "--ttl 500ms", "x", GRANDCHILD);
    let ended = end_of(command.env("DISTLOCK_KEEP_ALIVE", "false"));
    let warning = "warning: the lease is not renewed, since keep_alive is set to false: the command is \
                   ended if it takes longer than ";
    ended.says(
        123,
        &[warning, "was lost: its ttl ran out, and this lease is not renewed; --ttl sets"],
    );
    let mut quiet = run(&server.url(), "-q --ttl 60s", "x", "true");
    assert_eq!(end_of(quiet.env("DISTLOCK_KEEP_ALIVE", "false")).silent(), 0);
    // The lease of the others is renewed: the command takes longer than its ttl.
    let ended = end_of(&mut run(&server.url(), "--ttl 5s", "y", "sleep 6; echo done"));
    assert_eq!((&*ended.output, &*ended.errors, ended.code), ("done\n", "", 0));
}

#[test]
fn a_loss_is_told_even_if_the_command_ends_well() {
    let server = server();
    let script = "trap 'exit 0' TERM; sleep 600 & echo ready; wait";
    let running = Running::until_ready(&mut run(&server.url(), "--ttl 5s", "x", script));
    assert_eq!(redis(&server, "DEL lock:x"), ":1");
    running.end().says(123, &[]);
    // Here only the release finds out.
    let script = "echo ready; read line";
    let mut command = run(&server.url(), "--ttl 60s", "x", script);
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    assert_eq!(redis(&server, "DEL lock:x"), ":1");
    running.write(b"\n");
    running.end().says(123, &["noticed only after its end"]);
}

#[test]
fn a_server_that_is_gone_at_the_end_is_warned_of_and_the_command_counts() {
    let mut server = server();
    let mut command = run(&server.url(), "--ttl 60s", "x", "echo ready; read line; exit 4");
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    server.kill();
    running.write(b"\n");
    running.end().says(4, &["did not confirm the release of lock \"x\""]);
}

//! Signals to `distlock`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{redis, server};
use crate::harness::{LIMIT, Running, end_of, run, until};

#[test]
fn a_signal_reaches_the_command_and_its_children_and_then_the_lock_is_released() {
    let server = server();
    for (signal, number) in
        [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1), (Signal::USR1, 10)]
    {
        let script = "sh -c 'echo ready; read line'; exit";
        let mut command = run(&server.url(), "", "x", script);
        let running = Running::until_ready(command.stdin(Stdio::piped()));
        running.signal(signal);
        let ended = running.end();
        assert_eq!((ended.signal, ended.silent()), (Some(number), 128 + number));
        assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
    }
}

#[test]
fn the_command_decides_how_it_ends_and_the_lock_is_held_until_then() {
    let server = server();
    let script = "trap 'echo heard; read line; exit 5' TERM; echo ready; read first";
    let mut command = run(&server.url(), "", "x", script);
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    running.signal(Signal::TERM);
    assert_eq!(running.line(), "heard");
    assert_eq!(redis(&server, "EXISTS lock:x"), ":1");
    running.write(b"\n");
    assert_eq!(running.end().silent(), 5);
    assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
}

#[test]
fn the_lock_is_held_until_the_children_have_cleaned_up() {
    let server = server();
    // The shell dies at once, its child does not.
    let script = "exec 3<&0; sh -c 'trap \"echo heard; read line; exit\" TERM; echo ready; read first' \
                  <&3 & wait";
    let mut command = run(&server.url(), "--kill-after 20s", "x", script);
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    running.signal(Signal::TERM);
    assert_eq!(running.line(), "heard");
    assert_eq!(redis(&server, "EXISTS lock:x"), ":1");
    running.write(b"\n");
    assert_eq!(running.end().silent(), 143);
    assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
}

#[cfg(target_os = "linux")]
#[test]
fn the_command_is_ended_when_distlock_is_killed_and_the_lock_ends_with_its_ttl() {
    let server = server();
    let url = server.url();
    let script = "trap 'echo told; exit' TERM; echo ready; read first";
    let mut command = run(&url, "--ttl 2s", "x", script);
    let running = Running::until_ready(command.stdin(Stdio::piped()));
    let began = Instant::now();
    running.signal(Signal::KILL);
    let ended = running.end();
    // The kernel may tell it more than once: each time that a thread of the parent ends.
    assert!(ended.output.starts_with("told\n"), "{ended:?}");
    assert_eq!(ended.signal, Some(9));
    let ended = end_of(&mut run(&url, "", "x", "echo mine"));
    assert_eq!((&*ended.output, ended.code), ("mine\n", 0));
    assert!(began.elapsed() < LIMIT);
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_command_has_started_goes_on_when_distlock_is_killed() {
    let server = server();
    // What it writes to is closed, so that its end is not waited for here.
    let script = "sh -c 'echo $$ ready; exec sleep 600 >&- 2>&-' & wait";
    let mut running = Running::start(&mut run(&server.url(), "--ttl 60s", "x", script));
    let line = running.line();
    let child = Pid::from_raw(line.strip_suffix(" ready").unwrap().parse().unwrap()).unwrap();
    running.signal(Signal::KILL);
    assert_eq!(running.end().signal, Some(9));
    kill_process(child, Signal::KILL).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_stop_stops_the_command_too_and_both_go_on_together() {
    use crate::harness::state;

    let server = server();
    let mut command = run(&server.url(), "", "x", "echo $$; read line; exit 6");
    let mut running = Running::start(command.stdin(Stdio::piped()));
    let command = running.line();
    let program = running.pid().as_raw_nonzero().to_string();
    let both = |wanted: fn(char) -> bool| {
        until(|| [&command, &program].iter().all(|pid| state(pid).is_some_and(wanted)));
    };
    running.signal(Signal::TSTP);
    both(|state| state == 'T');
    assert_eq!(redis(&server, "EXISTS lock:x"), ":1");
    running.signal(Signal::CONT);
    both(|state| state != 'T');
    running.write(b"\n");
    assert_eq!(running.end().silent(), 6);
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_that_lost_its_lock_while_it_was_stopped_does_not_go_on() {
    use crate::harness::state;

    let server = server();
    let script = "trap 'exit 0' TERM; trap 'echo gone on' CONT; sleep 600 & echo $$; wait; wait";
    let mut running = Running::start(&mut run(&server.url(), "--ttl 2s", "x", script));
    let command = running.line();
    running.signal(Signal::TSTP);
    until(|| state(&command) == Some('T'));
    until(|| redis(&server, "EXISTS lock:x") == ":0");
    running.signal(Signal::CONT);
    let ended = running.end();
    ended.says(123, &["lock \"x\" was lost"]);
    // It heard of its end although it stood still.
    assert!(!ended.errors.contains("was killed"), "{ended:?}");
    assert_eq!(ended.output, "");
}

#[test]
fn other_signals_reach_the_command_and_do_not_end_it_by_themselves() {
    let server = server();
    let script = "for s in USR1 USR2 WINCH QUIT; do trap \"echo $s\" $s; done; echo ready; \
                  while :; do sleep 600 & wait; done";
    let mut running = Running::until_ready(&mut run(&server.url(), "", "x", script));
    for (signal, name) in [
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
        (Signal::QUIT, "QUIT"),
    ] {
        running.signal(signal);
        assert_eq!(running.line(), name);
    }
    assert_eq!(redis(&server, "EXISTS lock:x"), ":1");
    running.signal(Signal::TERM);
    assert_eq!(running.end().silent(), 143);
}

#[test]
fn children_that_do_not_hear_a_signal_are_waited_for_as_long_as_the_grace_and_left_alone() {
    let server = server();
    // What it writes to is closed, so that its end is not waited for here.
    let child = "sh -c 'trap \"\" TERM; echo $$ ready; exec sleep 600 >&- 2>&-'";
    let mut command = run(&server.url(), "--kill-after 300ms", "x", &format!("{child} & wait"));
    let mut running = Running::start(&mut command);
    let line = running.line();
    let child = line.strip_suffix(" ready").unwrap();
    let began = Instant::now();
    running.signal(Signal::TERM);
    assert_eq!(running.end().silent(), 143);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
    let child = Pid::from_raw(child.parse().unwrap()).unwrap();
    kill_process(child, Signal::KILL).unwrap();
}

#[test]
fn what_a_command_leaves_in_the_background_does_not_hold_the_lock() {
    let server = server();
    let script = "sleep 600 >&- 2>&- & echo $!";
    let ended = end_of(&mut run(&server.url(), "", "x", script));
    assert_eq!(ended.code, 0);
    assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
    let child = Pid::from_raw(ended.output.trim().parse().unwrap()).unwrap();
    kill_process(child, Signal::KILL).unwrap();
}

//! Signals to `distlock`.

use std::time::Instant;

use rustix::process::Signal;

use crate::harness::{LIMIT, Running, end_of, run, until};
use crate::others::{redis, server};

#[test]
fn a_signal_reaches_the_command_and_its_children_and_then_the_lock_is_released() {
    let server = server();
    for (signal, number) in
        [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1), (Signal::USR1, 10)]
    {
        // A shell starts what is in the background with INT ignored, unless it controls jobs.
        let script = "sh -c 'echo ready; exec sleep 600'; exit";
        let running = Running::until_ready(&mut run(&server.url(), "", "x", script));
        running.signal(signal);
        let ended = running.end();
        assert_eq!((ended.signal, ended.silent()), (Some(number), 128 + number));
        assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
    }
}

#[test]
fn the_command_decides_how_it_ends_and_the_lock_is_held_until_then() {
    let server = server();
    let script = "trap 'echo heard; read line; exit 5' TERM; echo ready; sleep 600 & wait";
    let mut command = run(&server.url(), "", "x", script);
    let mut running = Running::until_ready(command.stdin(std::process::Stdio::piped()));
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
    let script = "sh -c 'trap \"echo heard; read line; exit\" TERM; echo ready; sleep 600 & wait' \
                  </dev/stdin & wait";
    let mut command = run(&server.url(), "--kill-after 20s", "x", script);
    let mut running = Running::until_ready(command.stdin(std::process::Stdio::piped()));
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
    let script = "trap 'echo told; exit' TERM; echo ready; sleep 600 >&- 2>&- & wait";
    let running = Running::until_ready(&mut run(&url, "--ttl 2s", "x", script));
    let began = Instant::now();
    running.signal(Signal::KILL);
    let ended = running.end();
    assert_eq!((&*ended.output, ended.signal), ("told\n", Some(9)));
    let ended = end_of(&mut run(&url, "", "x", "echo mine"));
    assert_eq!((&*ended.output, ended.code), ("mine\n", 0));
    assert!(began.elapsed() < LIMIT);
}

#[cfg(target_os = "linux")]
#[test]
fn a_stop_stops_the_command_too_and_both_go_on_together() {
    use crate::harness::state;

    let server = server();
    let mut command = run(&server.url(), "", "x", "echo $$; read line; exit 6");
    let mut running = Running::start(command.stdin(std::process::Stdio::piped()));
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
    let script = "trap 'exit 0' TERM; echo $$; sleep 600 & wait; echo gone on; sleep 600";
    let mut running = Running::start(&mut run(&server.url(), "--ttl 500ms", "x", script));
    let command = running.line();
    running.signal(Signal::TSTP);
    until(|| state(&command) == Some('T'));
    until(|| redis(&server, "EXISTS lock:x") == ":0");
    running.signal(Signal::CONT);
    let ended = running.end();
    ended.says(123, &["lock \"x\" was lost"]);
    assert_eq!(ended.output, "");
}

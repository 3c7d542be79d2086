//! `distlock bench`.

use rustix::process::Signal;
use testbed::RedisServer;

use super::{redis, server};
use crate::harness::{Running, distlock, end_of, until};

fn bench(url: &str, options: &str) -> std::process::Command {
    let mut command = distlock(["bench"].into_iter().chain(options.split_whitespace()));
    command.env("DISTLOCK_URL", url);
    command
}

/// Nothing that anybody could wait for, or wait in.
fn is_clean(server: &RedisServer) -> bool {
    ["lock:*", "dl:q:*"].iter().all(|keys| redis(server, &format!("KEYS {keys}")) == "*0")
}

/// In the order of their names; the server has none.
fn counters(server: &RedisServer) -> Vec<String> {
    let keys = redis(server, "KEYS dl:f:*");
    let mut counters: Vec<String> = keys.lines().map(str::to_owned).collect();
    counters.sort();
    counters
}

#[test]
fn a_load_gives_figures_and_leaves_nothing_behind() {
    let server = server();
    let ended = end_of(&mut bench(&server.url(), "--tasks 8 --names 2 --seconds 1"));
    assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
    let lines: Vec<&str> = ended.output.lines().collect();
    let what = format!("8 tasks in 4 services, 2 locks, redis://{}", server.address());
    assert_eq!((lines[0], lines[2]), (&*what, "held twice: 0 times"), "{ended:?}");
    assert!(lines[1].contains(" pairs in ") && lines[1].ends_with(" pairs/s"), "{ended:?}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[4]), ["COUNT", "P50", "P99", "MAX"]);
    for (line, name) in lines[5..8].iter().zip(["acquire", "release", "hand-over"]) {
        let row = words(line);
        assert_eq!((&*row[0], row.len()), (name, 5), "{ended:?}");
        assert!(row[1].parse::<u64>().unwrap() > 10, "{ended:?}");
    }
    assert_eq!(lines[9], "how long it took to acquire");
    assert!(lines[10..].iter().any(|line| line.ends_with(&"#".repeat(40))), "{ended:?}");
    assert!(is_clean(&server), "{}", redis(&server, "KEYS *"));
    // One more load needs no more counters.
    let before = counters(&server);
    assert_eq!(end_of(&mut bench(&server.url(), "--names 2 --seconds 1")).code, 0);
    assert_eq!(counters(&server), before);
}

#[test]
fn how_long_commands_hold_their_locks_is_not_for_a_load() {
    let server = server();
    let mut command = bench(&server.url(), "--tasks 2 --names 1 --seconds 1");
    let ended = end_of(command.env("DISTLOCK_MIN_HOLD", "20s").env("DISTLOCK_MAX_HOLD", "2m"));
    assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
    assert!(is_clean(&server), "{}", redis(&server, "KEYS *"));
}

#[test]
fn a_load_that_is_interrupted_leaves_nothing_behind_and_tells_what_it_has() {
    let server = server();
    for signal in [Signal::INT, Signal::TERM] {
        let running = Running::start(&mut bench(&server.url(), "--seconds 60"));
        until(|| redis(&server, "KEYS dl:q:*") != "*0");
        running.signal(signal);
        let ended = running.end();
        assert_eq!((ended.signal, &*ended.errors), (Some(signal.as_raw()), ""), "{ended:?}");
        assert!(ended.output.contains("held twice: 0 times"), "{ended:?}");
        assert!(is_clean(&server), "{}", redis(&server, "KEYS *"));
    }
}

#[test]
fn whoever_interrupts_once_more_waits_for_no_store_that_stands_still() {
    let mut server = server();
    // However busy the machine is, the store is given up after the signals only.
    let url = server.url();
    let start = || {
        let mut command = bench(&url, "--seconds 60");
        Running::start(command.env("DISTLOCK_RESPONSE_TIMEOUT", "60s"))
    };
    let running = start();
    until(|| redis(&server, "KEYS dl:q:*") != "*0");
    server.freeze().unwrap();
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!((ended.signal, &*ended.output), (Some(Signal::TERM.as_raw()), ""), "{ended:?}");
    // It can be interrupted while it connects, too.
    let running = start();
    until(|| running.holds_back(Signal::INT));
    running.signal(Signal::INT);
    assert_eq!(running.end().signal, Some(Signal::INT.as_raw()));
}

#[test]
fn a_store_that_fails_ends_the_load() {
    let mut server = server();
    let running = Running::start(&mut bench(&server.url(), "--seconds 60"));
    until(|| redis(&server, "KEYS dl:q:*") != "*0");
    server.kill();
    let ended = running.end();
    ended.says(122, &["distlock: "]);
    assert_eq!(ended.output, "");
}

#[test]
fn a_store_that_others_may_use_is_put_under_load_only_if_that_is_meant() {
    let url = "redis://me:s3cret@redis.invalid:6379";
    let ended = end_of(&mut bench(url, "--seconds 1"));
    ended.says(125, &["@redis.invalid:6379", "others may use", "use --yes to run it anyway"]);
    assert!(!ended.errors.contains("s3cret"), "{ended:?}");
    end_of(&mut bench(url, "--seconds 1 --yes")).says(122, &["redis.invalid"]);
    end_of(&mut bench(url, "--seconds 61")).says(125, &["--seconds", "61"]);
    end_of(&mut bench(url, "--tasks 0")).says(125, &["--tasks", "0"]);
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_a_bar_shows_how_far_it_is() {
    let server = server();
    let url = server.url();
    let mut terminal = crate::terminal::Terminal::new();
    terminal.types(&format!("\"$PROGRAM\" bench --url {url} --seconds 1 | cat; echo done$?\n"));
    terminal.shows("\r[");
    terminal.shows("####");
    let shown = terminal.shows("\r\u{1b}[K");
    assert!(!shown.contains("held twice"), "{shown}");
    terminal.shows("held twice: 0 times");
    terminal.shows("done0");
}

//! `distlock release --force`.

use std::process::Stdio;

use super::{redis, server};
use crate::harness::{Running, distlock, end_of, run, until};

fn force(url: &str, options: &str, name: &str) -> std::process::Command {
    let options = options.split_whitespace();
    let mut command = distlock(["release", "--force"].into_iter().chain(options).chain([name]));
    command.env("DISTLOCK_URL", url);
    command
}

#[test]
fn a_lock_is_taken_from_its_holder_and_given_to_the_next() {
    let server = server();
    let url = server.url();
    let mut command = run(&url, "--ttl 15s -k 0s", "x", "echo ready; sleep 600");
    let holder = Running::until_ready(command.stdin(Stdio::piped()));
    let mut next = Running::start(&mut run(&url, "", "x", "echo mine $DISTLOCK_FENCING_TOKEN"));
    until(|| redis(&server, "EXISTS lock:x").ends_with('1') && is_awaited(&url));
    let ended = end_of(&mut force(&url, "--yes", "x"));
    ended.says(0, &["  distlock run sh (pid ", "lock \"x\" was taken from the holder"]);
    assert_eq!(ended.output, "");
    assert!(next.line().starts_with("mine "));
    assert_eq!(next.end().silent(), 0);
    // The holder learns of it, if it still runs.
    holder.end().says(123, &["lock \"x\""]);
    end_of(&mut force(&url, "--yes", "x")).says(0, &["nobody holds lock \"x\""]);
}

/// Whether one has the lock and another one waits for it, and both have said who they are.
fn is_awaited(url: &str) -> bool {
    let output = end_of(distlock(["status", "x"]).env("DISTLOCK_URL", url)).output;
    let named = output.matches("distlock run sh (pid ").count();
    output.contains("waits") && output.contains("held") && named == 2
}

#[test]
fn without_a_terminal_nothing_is_asked_and_nothing_is_done() {
    let server = server();
    let url = server.url();
    assert_eq!(redis(&server, "SET lock:x theirs"), "+OK");
    let ended = end_of(&mut force(&url, "", "x"));
    ended.says(125, &["there is no terminal; use --yes to skip the question"]);
    let ended = end_of(distlock(["release", "--yes", "x"]).env("DISTLOCK_URL", &url));
    ended.says(125, &["--force", "distlock release --force [--yes] NAME"]);
    assert_eq!(redis(&server, "EXISTS lock:x"), ":1");
    // Of another program, which is told by nobody.
    let ended = end_of(&mut force(&url, "-y", "x"));
    ended.says(0, &["another program, which stored \"theirs\"", "was taken from the holder"]);
    assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
}

#[cfg(target_os = "linux")]
#[test]
fn it_asks_at_a_terminal_and_releases_what_it_has_shown_only() {
    let server = server();
    let url = server.url();
    let mut terminal = crate::terminal::Terminal::new();
    let line = format!("\"$PROGRAM\" release --url {url} --force x; echo \"code $?\"\n");
    assert_eq!(redis(&server, "SET lock:x one"), "+OK");
    for answer in ["n", "", "maybe"] {
        terminal.types(&line);
        let shown = terminal.shows("Take lock \"x\" from it? [y/N] ");
        assert!(shown.contains("which stored \"one\""), "{shown}");
        terminal.types(&format!("{answer}\n"));
        terminal.shows("lock \"x\" was not released");
        terminal.shows("code 1");
    }
    // Between the question and the answer, somebody else takes it.
    terminal.types(&line);
    terminal.shows("[y/N] ");
    assert_eq!(redis(&server, "SET lock:x two"), "+OK");
    terminal.types("y\n");
    terminal.shows("somebody else holds lock \"x\" by now; nothing was done");
    terminal.shows("code 1");
    assert_eq!(redis(&server, "EXISTS lock:x"), ":1");
    terminal.types(&line);
    terminal.shows("[y/N] ");
    assert_eq!(redis(&server, "DEL lock:x"), ":1");
    terminal.types("y\n");
    terminal.shows("nobody holds lock \"x\" any more; nothing was done");
    terminal.shows("code 0");
    assert_eq!(redis(&server, "SET lock:x two"), "+OK");
    terminal.types(&line);
    terminal.shows("[y/N] ");
    terminal.types("Yes\n");
    terminal.shows("was taken from the holder that was shown");
    terminal.shows("code 0");
    assert_eq!(redis(&server, "EXISTS lock:x"), ":0");
}

//! `distlock watch`, on a terminal and without one.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use rustix::process::Signal;

use super::{redis, server};
use crate::harness::{LIMIT, Running, distlock, run, until};
use crate::terminal::{CTRL_C, CTRL_Z, Terminal};

/// Waits for a picture that has this, and returns its lines as a terminal would show them.
fn picture(terminal: &mut Terminal, has: &str) -> Vec<String> {
    picture_that(terminal, |lines| lines.iter().any(|line| line.contains(has)))
}

fn picture_that(terminal: &mut Terminal, is_it: impl Fn(&[String]) -> bool) -> Vec<String> {
    let began = Instant::now();
    loop {
        let shown = terminal.shows("\u{1b}[?2026l");
        let frame = shown.split("\u{1b}[?2026h\u{1b}[H").nth(1).unwrap();
        assert!(!shown.split("\u{1b}[?2026h").nth(1).unwrap().contains("\u{1b}[2J"), "it flickers");
        let frame = frame.trim_end_matches("\u{1b}[?2026l").trim_end_matches("\u{1b}[J");
        // The terminal makes two characters of the last one of a line.
        let lines = frame.split("\r\r\n").map(|line| {
            assert!(line.ends_with("\u{1b}[K"), "what was there before is left: {line:?}");
            ["\u{1b}[1m", "\u{1b}[m", "\u{1b}[K"]
                .iter()
                .fold(line.to_owned(), |line, code| line.replace(code, ""))
        });
        let lines: Vec<String> = lines.collect();
        assert!(!lines.iter().any(|line| line.contains('\u{1b}')), "{lines:?}");
        if is_it(&lines) {
            return lines;
        }
        assert!(began.elapsed() < LIMIT, "{lines:?}");
    }
}

/// Ends when the terminal is as a program finds it: with its own screen, a cursor, and broken lines.
fn is_left(terminal: &mut Terminal) {
    terminal.shows("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l");
}

#[test]
fn on_a_terminal_it_shows_what_is_held_and_who_waits_and_keeps_it_up_to_date() {
    let server = server();
    let url = server.url();
    let mut terminal = Terminal::new();
    terminal.types(&format!("\"$PROGRAM\" watch --url {url} --every 100ms; echo \"code $?\"\n"));
    terminal.shows("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l");
    let lines = picture(&mut terminal, "0 held, 0 waiting, 2");
    assert!(lines[0].contains(&format!("redis://{}", server.address())), "{lines:?}");
    let mut command = run(&url, "--ttl 60s", "x", "echo ready; read line");
    let mut running = Running::until_ready(command.stdin(Stdio::piped()));
    let waiting = Running::start(&mut run(&url, "", "x", "true"));
    terminal.resize(24, 100);
    let lines = picture(&mut terminal, " waits ");
    assert!(lines[0].starts_with("1 held, 1 waiting, "), "{lines:?}");
    let words: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(words, ["NAME", "STATE", "FOR", "ENDS", "IN", "WAITING", "WHO"]);
    assert!(lines[3].starts_with("x     held   "), "{lines:?}");
    // Each of the two says in the background who it is.
    let named = "distlock run sh (pid ";
    let lines = picture_that(&mut terminal, |lines| {
        lines.iter().filter(|line| line.contains(named)).count() == 2
    });
    assert!(lines[3].contains(named) && lines[4].contains(named), "{lines:?}");
    // A terminal that becomes smaller shows less, and no line is broken.
    terminal.resize(4, 25);
    let lines = picture(&mut terminal, "... and 2 lines more");
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.chars().count() <= 24), "{lines:?}");
    running.write(b"\n");
    assert_eq!(running.end().silent(), 0);
    assert_eq!(waiting.end().silent(), 0);
    picture(&mut terminal, "0 held, 0 waiting, 2");
    terminal.types("q");
    is_left(&mut terminal);
    terminal.shows("code 0");
}

#[test]
fn ctrl_c_and_other_signals_leave_the_terminal_as_it_was() {
    let server = server();
    let url = server.url();
    let mut terminal = Terminal::new();
    terminal.types("stty echo; before=$(stty -g); stty -a | grep -o ' icanon'\n");
    terminal.shows(" icanon\r\n");
    for (ends, code) in [(CTRL_C, 130), ("\u{1c}", 131)] {
        terminal.types(&format!("\"$PROGRAM\" watch --url {url} --every 100ms x y\n"));
        let lines = picture(&mut terminal, "free");
        assert_eq!([&*lines[3], &*lines[4]], ["x     free", "y     free"]);
        terminal.types(ends);
        is_left(&mut terminal);
        terminal.shows("$ ");
        terminal.types("echo \"code $?, $(test \"$(stty -g)\" = \"$before\" && echo sane)\"\n");
        terminal.shows(&format!("code {code}, sane"));
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_fg_goes_on() {
    let server = server();
    let url = server.url();
    let mut terminal = Terminal::new();
    terminal.types(&format!("\"$PROGRAM\" watch --url {url} --every 100ms x\n"));
    picture(&mut terminal, "free");
    terminal.types(CTRL_Z);
    is_left(&mut terminal);
    terminal.shows("Stopped");
    terminal.shows("$ ");
    terminal.types("stty -a | grep -o ' icanon'\n");
    terminal.shows(" icanon\r\n");
    assert_eq!(redis(&server, "SET lock:x theirs"), "+OK");
    terminal.types("fg\n");
    terminal.shows("\u{1b}[?1049h");
    picture(&mut terminal, "another program, which stored \"theirs\"");
    terminal.types("q");
    is_left(&mut terminal);
    // The prompt: what is typed before it may still be for the program.
    terminal.shows("$ ");
    terminal.types("echo back$((1 + 1))\n");
    terminal.shows("back2");
}

#[test]
fn a_store_that_does_not_answer_is_told_on_the_screen_and_asked_again() {
    let mut server = server();
    let url = server.url();
    let mut terminal = Terminal::new();
    terminal.resize(24, 300);
    terminal.types(&format!("\"$PROGRAM\" watch --url {url} --every 100ms x; echo \"code $?\"\n"));
    picture(&mut terminal, "free");
    server.kill();
    let lines = picture_that(&mut terminal, |lines| !lines[1].is_empty());
    assert!(
        lines[1].starts_with("lock \"x\": could not connect to Redis") && lines[3] == "x     free",
        "{lines:?}"
    );
    server.restart().unwrap();
    picture_that(&mut terminal, |lines| lines[1].is_empty());
    terminal.types("q");
    terminal.shows("code 0");
}

#[test]
fn without_a_terminal_each_change_is_a_line() {
    let server = server();
    let url = server.url();
    let mut watching = Running::start(&mut distlock(["watch", "--url", &url, "--every", "100ms"]));
    let mut of_two = {
        let names = ["watch", "--url", &url, "--every", "100ms", "x", "b y"];
        Running::start(&mut distlock(names))
    };
    let says = |running: &mut Running, ends: &str| {
        let line = running.line();
        let (time, change) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.starts_with('2'), "{line}");
        assert_eq!(change, ends);
    };
    says(&mut of_two, "x is free");
    says(&mut of_two, "b y is free");
    assert_eq!(redis(&server, "SET lock:x theirs"), "+OK");
    let by = "is held by another program, which stored";
    for running in [&mut watching, &mut of_two] {
        says(running, &format!("x {by} \"theirs\", 0 waiting"));
    }
    let waiting = Running::start(&mut run(&url, "", "x", "echo ready; sleep 600"));
    for running in [&mut watching, &mut of_two] {
        says(running, "x has 1 waiting");
    }
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.end().silent(), 143);
    for running in [&mut watching, &mut of_two] {
        says(running, "x has 0 waiting");
    }
    assert_eq!(redis(&server, "SET lock:x others"), "+OK");
    for running in [&mut watching, &mut of_two] {
        says(running, &format!("x {by} \"others\", 0 waiting"));
    }
    assert_eq!(redis(&server, "DEL lock:x"), ":1");
    for running in [&mut watching, &mut of_two] {
        says(running, "x is free");
    }
    for running in [watching, of_two] {
        running.signal(Signal::INT);
        assert_eq!(running.end().silent(), 130);
    }
}

#[test]
fn without_a_reader_it_ends_though_nothing_changes() {
    let server = server();
    let url = server.url();
    let (reader, output) = std::io::pipe().unwrap();
    let mut command = distlock(["watch", "--url", &url, "--every", "100ms", "x"]);
    let mut watching = command.stdout(output).spawn().unwrap();
    drop(command);
    let mut first = String::new();
    BufReader::new(reader).read_line(&mut first).unwrap();
    assert!(first.ends_with("x is free\n"), "{first}");
    // The reader is gone by now.
    until(|| watching.try_wait().unwrap().is_some_and(|status| status.success()));
}

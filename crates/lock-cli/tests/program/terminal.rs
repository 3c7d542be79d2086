//! `distlock run` below a shell with job control, on a terminal with somebody who types.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::{LIMIT, program, until};

pub(crate) const CTRL_C: &str = "\u{3}";
pub(crate) const CTRL_Z: &str = "\u{1a}";

/// An interactive shell on a terminal of its own.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Receiver<String>,
    /// What was shown and not yet expected.
    shown: String,
    shell: Child,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let keyboard = File::from(master);
        let screen = read_all(keyboard.try_clone().unwrap());
        let shell = shell(&name).spawn().unwrap();
        let mut terminal = Self { keyboard, screen, shown: String::new(), shell };
        terminal.shows("$ ");
        // What is typed is not shown, so that nothing but output is.
        terminal.types("stty -echo; echo silent$((1 + 1))\n");
        terminal.shows("silent2");
        terminal.shows("$ ");
        terminal.types(
            "lock() { name=$1; shift; \"$PROGRAM\" run -q --url memory: $name -- \"$@\"; }\n",
        );
        terminal
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal so many lines and columns, as whoever pulls at the corner of its window.
    pub(crate) fn resize(&self, lines: u16, columns: u16) {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// Asks `distlock` to stop, without a key, as soon as its command has shown its process id.
    fn stops_program(&mut self) {
        self.shows("program ");
        let shown = self.shows(" here");
        let program: i32 = shown.trim_end_matches(" here").parse().unwrap();
        kill_process(Pid::from_raw(program).unwrap(), Signal::TSTP).unwrap();
    }

    /// Waits for this text, behind what was expected before. Returns what was shown up to its end.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let left = LIMIT.saturating_sub(begin.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(more) => self.shown.push_str(&more),
                Err(_) => panic!("{text:?} is not shown; {:?} is", self.shown),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The terminal hangs up behind it, which ends what else runs there.
        self.shell.kill().ok();
        self.shell.wait().ok();
    }
}

/// The first terminal that the leader of a session opens becomes the session's terminal.
fn shell(terminal: &CStr) -> Command {
    let mut command = program("setsid");
    command.args(["sh", "-c", "exec sh -i <>\"$0\" >&0 2>&0"]).arg(terminal.to_str().unwrap());
    command.env("PROGRAM", env!("CARGO_BIN_EXE_distlock")).env("PS1", "$ ").env_remove("ENV");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn read_all(mut from: File) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Reading fails when nobody has the terminal any more.
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Reads a line and shows it, after it has said that it is there.
const READER: &str = "sh -c 'echo ready; read line; echo \"read $line\"'";

#[test]
fn the_command_reads_from_the_terminal_and_the_shell_has_it_back_afterwards() {
    let mut terminal = Terminal::new();
    terminal.types(&format!("lock x {READER}; echo \"code $?\"\n"));
    terminal.shows("ready");
    terminal.types("a line\n");
    terminal.shows("read a line");
    terminal.shows("code 0");
    terminal.types("echo back$((1 + 1))\n");
    terminal.shows("back2");
}

#[test]
fn the_command_is_in_the_foreground() {
    let mut terminal = Terminal::new();
    // The fifth field is the group of a process, and the eighth that in the foreground.
    terminal.types(
        "lock x sh -c 'set -- $(cat /proc/$$/stat); test \"$5\" = \"$8\"; echo foreground $?'\n",
    );
    terminal.shows("foreground 0");
}

#[test]
fn ctrl_c_ends_the_command_and_distlock_and_not_the_shell() {
    let mut terminal = Terminal::new();
    terminal.types("lock x sh -c 'echo ready; read line'\n");
    terminal.shows("ready");
    terminal.types(CTRL_C);
    // The prompt: what is typed before it may still be for the command.
    terminal.shows("$ ");
    terminal.types("echo \"code $?\"\n");
    terminal.shows("code 130");
}

#[test]
fn ctrl_c_ends_the_script_around_it_too() {
    let mut terminal = Terminal::new();
    let script = "for i in 1 2 3; do \"$PROGRAM\" run -q --url memory: x -- \
                  sh -c \"echo ready; read line\"; done; echo went on";
    for shell in ["sh", "bash"] {
        terminal.types(&format!("{shell} -c '{script}'\n"));
        terminal.shows("ready");
        terminal.types(CTRL_C);
        assert!(!terminal.shows("$ ").contains("went on"));
        terminal.types("echo \"code $?\"\n");
        terminal.shows("code 130");
        terminal.shows("$ ");
    }
}

#[test]
fn a_command_that_handles_ctrl_c_decides_itself() {
    let mut terminal = Terminal::new();
    terminal.types("lock x sh -c 'trap \"echo heard\" INT; echo ready; read l; read l; exit 4'\n");
    terminal.shows("ready");
    terminal.types(CTRL_C);
    terminal.shows("heard");
    terminal.types("\n\n");
    terminal.types("echo \"code $?\"\n");
    terminal.shows("code 4");
}

#[test]
fn ctrl_z_gives_the_shell_back_and_fg_goes_on_where_it_was() {
    let mut terminal = Terminal::new();
    terminal.types(&format!("lock x {READER}\n"));
    terminal.shows("ready");
    terminal.types(CTRL_Z);
    terminal.shows("Stopped");
    terminal.types("jobs; echo shell$((1 + 1))\n");
    terminal.shows("shell2");
    terminal.types("fg\n");
    terminal.types("after\n");
    terminal.shows("read after");
    terminal.types("echo \"code $?\"\n");
    terminal.shows("code 0");
}

#[test]
fn a_command_in_the_background_stops_when_it_reads_and_goes_on_in_the_foreground() {
    let mut terminal = Terminal::new();
    terminal.types(&format!("lock x {READER} &\n"));
    terminal.shows("ready");
    // A shell tells before each prompt what became of its jobs.
    until(|| {
        terminal.types("echo turn$((1 + 1))\n");
        terminal.shows("turn2").contains("Stopped")
    });
    terminal.types("fg\n");
    terminal.types("now\n");
    terminal.shows("read now");
}

#[test]
fn a_pager_behind_a_pipe_keeps_the_terminal() {
    let mut terminal = Terminal::new();
    terminal.types("lock x sh -c 'echo data; sleep 1; echo more' | sh -c 'read a; echo pager; read key </dev/tty; echo \"key $key\"; cat'\n");
    terminal.shows("pager");
    terminal.types("q\n");
    terminal.shows("key q");
    terminal.shows("more");
}

#[test]
fn a_command_with_a_pipe_gets_the_terminal_when_it_asks() {
    let mut terminal = Terminal::new();
    terminal
        .types("echo data | lock x sh -c 'echo ready; read line </dev/tty; echo \"read $line\"'\n");
    terminal.shows("ready");
    terminal.types("a password\n");
    terminal.shows("read a password");
    terminal.types("echo \"code $?\"\n");
    terminal.shows("code 0");
}

#[test]
fn a_pipeline_that_was_stopped_goes_on_and_its_pager_still_has_the_terminal() {
    let mut terminal = Terminal::new();
    terminal.types(
        "lock x sh -c 'echo data; read line </dev/null; sleep 600' | \
         sh -c 'read a; echo pager; read key </dev/tty; echo \"key $key\"; kill 0'\n",
    );
    terminal.shows("pager");
    terminal.types(CTRL_Z);
    terminal.shows("Stopped");
    terminal.shows("$ ");
    terminal.types("fg\n");
    terminal.types("q\n");
    terminal.shows("key q");
}

#[test]
fn a_job_can_be_stopped_from_elsewhere_and_then_by_a_key() {
    let mut terminal = Terminal::new();
    let script = "trap \"echo went on\" CONT; echo \"program $PPID here\"; \
                  until read line; do :; done; echo \"read $line\"";
    terminal.types(&format!("lock x sh -c '{script}'\n"));
    terminal.stops_program();
    terminal.shows("Stopped");
    terminal.shows("$ ");
    terminal.types("fg\n");
    terminal.shows("went on");
    terminal.types(CTRL_Z);
    terminal.shows("Stopped");
    terminal.shows("$ ");
    terminal.types("fg\n");
    terminal.types("after\n");
    terminal.shows("read after");
}

#[test]
fn a_command_that_is_stopped_from_elsewhere_has_time_to_put_its_screen_in_order() {
    let mut terminal = Terminal::new();
    let script = "trap \"sleep 0.1; echo in order; kill -STOP \\$\\$\" TSTP; \
                  echo \"program $PPID here\"; until read line; do :; done; echo \"read $line\"";
    terminal.types(&format!("lock x sh -c '{script}'\n"));
    terminal.stops_program();
    assert!(terminal.shows("Stopped").contains("in order"));
    terminal.shows("$ ");
    terminal.types("fg\n");
    terminal.types("after\n");
    terminal.shows("read after");
}

#[test]
fn a_command_that_ignores_a_stop_does_not_keep_the_shell_waiting() {
    let mut terminal = Terminal::new();
    let script = "trap \"\" TSTP; echo \"program $PPID here\"; read line; echo \"read $line\"";
    terminal.types(&format!("lock x sh -c '{script}'\n"));
    terminal.stops_program();
    terminal.shows("Stopped");
}

//! The signals of this process: blocked in all threads, and read by one.
//!
//! They are blocked rather than handled. So a signal that was ignored when the program started, such
//! as `SIGHUP` below `nohup`, stays ignored for the command; the program can end by a signal, since
//! the default action is still in place; and giving the terminal to another process group does not
//! stop the program, since `SIGTTOU` is blocked too.

use std::fs;
use std::io;

use nix::sys::signal::{SigSet, Signal as Number, raise};
use rustix::process::{Resource, Rlimit, Signal, kill_current_process_group, setrlimit};

use crate::exit;

/// What is passed on to the command, or stops and continues this program with it.
const READ: [Number; 9] = [
    Number::SIGHUP,
    Number::SIGINT,
    Number::SIGQUIT,
    Number::SIGTERM,
    Number::SIGUSR1,
    Number::SIGUSR2,
    Number::SIGWINCH,
    Number::SIGTSTP,
    Number::SIGCONT,
];

/// The signals that are blocked in this process.
pub(crate) struct Blocked {
    read: SigSet,
    /// Those, and `SIGTTOU`, without what was blocked before.
    by_us: SigSet,
}

impl Blocked {
    /// Blocks them in this thread, and in all that it starts.
    pub(crate) fn new() -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        let ignored = ignored();
        let is_free =
            |signal: &Number| !before.contains(*signal) && ignored >> (*signal as i32 - 1) & 1 == 0;
        let read: SigSet = READ.into_iter().filter(is_free).collect();
        let mut by_us = read;
        if !before.contains(Number::SIGTTOU) {
            by_us.add(Number::SIGTTOU);
        }
        by_us.thread_block()?;
        Ok(Self { read, by_us })
    }

    /// Starts a thread that reads the signals, until nobody listens.
    pub(crate) fn listen(&self, tell: impl Fn(Signal) -> bool + Send + 'static) -> io::Result<()> {
        let read = self.read;
        let listen = move || {
            while let Ok(number) = read.wait() {
                match Signal::from_named_raw(number as i32) {
                    Some(signal) if !tell(signal) => return,
                    _ => {}
                }
            }
        };
        std::thread::Builder::new().name("distlock-signals".to_owned()).spawn(listen).map(drop)
    }

    /// What a child has to unblock: see [`unblock`].
    pub(crate) fn numbers(&self) -> String {
        let numbers: Vec<String> =
            self.by_us.iter().map(|signal| (signal as i32).to_string()).collect();
        numbers.join(",")
    }

    /// Stops this program as `SIGTSTP` does, and returns when it goes on.
    ///
    /// The kernel does not stop it where nobody could continue it, since no shell watches its
    /// process group.
    pub(crate) fn stop_self(&self) {
        if !self.read.contains(Number::SIGTSTP) {
            return;
        }
        let stop = SigSet::from(Number::SIGTSTP);
        // To this thread alone: what is sent to the process, the thread that reads signals may take.
        // If one of these fails, the program goes on, as if it had been continued at once.
        if stop.thread_unblock().is_ok() {
            raise(Number::SIGTSTP).ok();
            stop.thread_block().ok();
        }
    }
}

/// Unblocks the signals with these numbers in this thread.
pub(crate) fn unblock(numbers: &str) -> io::Result<()> {
    let numbers = numbers.split(',').filter_map(|number| number.parse::<i32>().ok());
    let signals: SigSet = numbers.filter_map(|number| Number::try_from(number).ok()).collect();
    Ok(signals.thread_unblock()?)
}

/// Ends this program by a signal, or with the exit code that stands for it, if the signal is ignored
/// or has no name. A core dump is not written: it would be of the wrong program.
pub(crate) fn end_by(number: i32) -> u8 {
    let no_core = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, no_core).ok();
    if let Ok(signal) = Number::try_from(number) {
        SigSet::from(signal).thread_unblock().ok();
        // The first `SIGSEGV` is for a handler of Rust's, which thinks that it may be a stack overflow.
        for _ in 0..2 {
            raise(signal).ok();
        }
    }
    exit::BY_SIGNAL.saturating_add(u8::try_from(number).unwrap_or(u8::MAX))
}

/// Tells the own process group of a signal that a key of the terminal sent to the command alone.
///
/// Without this, a shell script would go on behind a command that was ended by Ctrl-C.
pub(crate) fn pass_on_to_own_group(number: i32) {
    if [Signal::INT, Signal::QUIT].iter().any(|signal| signal.as_raw() == number) {
        let signal = Signal::from_named_raw(number);
        signal.map(kill_current_process_group);
    }
}

/// The signals that are ignored, one bit each, where the system tells.
///
/// On Linux a signal that is both blocked and ignored is read all the same; other systems drop it.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

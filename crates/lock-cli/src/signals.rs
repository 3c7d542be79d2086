//! The signals of this process: blocked in all threads, and read by one.
//!
//! They are blocked rather than handled. So a signal that was ignored when the program started, such
//! as `SIGHUP` below `nohup`, stays ignored for the command; the program can end by a signal, since
//! the default action is still in place; and giving the terminal to another process group does not
//! stop the program, since `SIGTTOU` is blocked too.

mod pending;

use std::fs;
use std::io;
use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal as Number, raise};
use rustix::process::{Resource, Rlimit, Signal, kill_current_process_group, setrlimit};

use crate::exit;
use crate::signals::pending::{Pending, raise_stop};

/// What ends this program.
pub(crate) const ENDS: [Number; 4] =
    [Number::SIGHUP, Number::SIGINT, Number::SIGQUIT, Number::SIGTERM];

/// What is passed on to the command, or stops and continues this program with it.
pub(crate) const ALL: [Number; 9] = [
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
    pending: Arc<Pending>,
}

impl Blocked {
    /// Blocks these in this thread, and in all that it starts.
    pub(crate) fn new(signals: &[Number]) -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        let ignored = ignored();
        let is_free =
            |signal: &Number| !before.contains(*signal) && ignored >> (*signal as i32 - 1) & 1 == 0;
        let read: SigSet = signals.iter().copied().filter(is_free).collect();
        let mut by_us = read;
        if !before.contains(Number::SIGTTOU) {
            by_us.add(Number::SIGTTOU);
        }
        by_us.thread_block()?;
        Ok(Self { read, by_us, pending: Arc::new(Pending::new(&read)?) })
    }

    /// Starts a thread that reads the signals, until nobody listens.
    pub(crate) fn listen(&self, tell: impl Fn(Signal) -> bool + Send + 'static) -> io::Result<()> {
        let pending = Arc::clone(&self.pending);
        let listen = move || {
            while let Ok(number) = pending.next() {
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

    /// Stops this program by the `SIGTSTP` that was told, and returns when it goes on: at once if a
    /// `SIGCONT` has come since.
    ///
    /// The kernel does not stop it where nobody could continue it, since no shell watches its
    /// process group.
    pub(crate) fn stop(&self) {
        self.pending.stop();
    }

    /// Whether a `SIGTSTP` is pending that no `SIGCONT` has taken back.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.pending.is_asked_to_stop()
    }

    /// Does without the stop that was told.
    pub(crate) fn forget_stop(&self) {
        self.pending.forget_stop();
    }

    /// Stops this program once more, as [`stop`](Self::stop) does, without having been asked to.
    pub(crate) fn stop_again(&self) {
        if self.read.contains(Number::SIGTSTP) {
            raise_stop();
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

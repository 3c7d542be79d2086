//! Where blocked signals are read.

use nix::sys::signal::{SigSet, Signal, raise};

pub(super) use reading::Pending;

/// Stops this program, and returns when it goes on.
pub(super) fn raise_stop() {
    // To this thread alone: what is sent to the process, the thread that reads signals may take.
    with_stop_unblocked(|| {
        raise(Signal::SIGTSTP).ok();
    });
}

/// Does something in a thread that `SIGTSTP` stops meanwhile. If it cannot be unblocked, the program
/// goes on, as if it had been continued at once.
fn with_stop_unblocked(then: impl FnOnce()) {
    let stop = SigSet::from(Signal::SIGTSTP);
    if stop.thread_unblock().is_ok() {
        then();
        stop.thread_block().ok();
    }
}

/// On Linux a `SIGTSTP` is noticed, and left where it is until the program stops by it. So the
/// kernel takes it back if a `SIGCONT` comes first, as it does for any program; a stop that was read
/// and carried out later would outlast the `SIGCONT`, and nobody would send another.
#[cfg(target_os = "linux")]
mod reading {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::sys::signal::{SigSet, Signal as Number};
    use nix::sys::signalfd::{SfdFlags, SignalFd};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    use super::with_stop_unblocked;

    /// How often to look whether a stop that was told is over: nothing else tells.
    const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

    pub(crate) struct Pending {
        stop: SignalFd,
        others: SignalFd,
        /// Whether the stop that is pending was told to whoever is to carry it out.
        is_told: AtomicBool,
    }

    impl Pending {
        pub(crate) fn new(read: &SigSet) -> io::Result<Self> {
            let is_stop = |signal: &Number| *signal == Number::SIGTSTP;
            let stop = read.iter().filter(is_stop).collect();
            let others = read.iter().filter(|signal| !is_stop(signal)).collect();
            let open = |signals| {
                SignalFd::with_flags(signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            };
            Ok(Self { stop: open(&stop)?, others: open(&others)?, is_told: AtomicBool::new(false) })
        }

        /// Waits for the next signal. A stop is told once, until it is over.
        pub(crate) fn next(&self) -> io::Result<Number> {
            loop {
                let is_told = self.is_told.load(Ordering::SeqCst);
                let mut both =
                    [&self.others, &self.stop].map(|from| PollFd::new(from, PollFlags::IN));
                let looked_at = if is_told { 1 } else { both.len() };
                match poll(&mut both[..looked_at], is_told.then_some(&LOOK)) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
                if let Some(signal) = self.others.read_signal()? {
                    let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
                    return Ok(Number::try_from(number)?);
                }
                if !is_told && self.is_asked_to_stop() {
                    self.is_told.store(true, Ordering::SeqCst);
                    return Ok(Number::SIGTSTP);
                }
            }
        }

        /// Whether a stop is pending that no `SIGCONT` has taken back.
        pub(crate) fn is_asked_to_stop(&self) -> bool {
            let mut stop = [PollFd::new(&self.stop, PollFlags::IN)];
            poll(&mut stop, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
        }

        /// Stops by the signal that is pending, if it still is.
        pub(crate) fn stop(&self) {
            // The kernel delivers what is pending before this thread goes on.
            with_stop_unblocked(|| {});
            self.is_told.store(false, Ordering::SeqCst);
        }

        pub(crate) fn forget_stop(&self) {
            self.stop.read_signal().ok();
            self.is_told.store(false, Ordering::SeqCst);
        }
    }
}

/// Elsewhere all signals are read in the same way, and a stop is carried out by another one.
#[cfg(not(target_os = "linux"))]
mod reading {
    use std::io;

    use nix::sys::signal::{SigSet, Signal as Number};

    use super::raise_stop;

    pub(crate) struct Pending {
        read: SigSet,
    }

    impl Pending {
        pub(crate) fn new(read: &SigSet) -> io::Result<Self> {
            Ok(Self { read: *read })
        }

        pub(crate) fn next(&self) -> io::Result<Number> {
            Ok(self.read.wait()?)
        }

        /// Not known.
        pub(crate) fn is_asked_to_stop(&self) -> bool {
            true
        }

        pub(crate) fn stop(&self) {
            raise_stop();
        }

        pub(crate) fn forget_stop(&self) {}
    }
}

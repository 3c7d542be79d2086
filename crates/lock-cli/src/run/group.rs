//! The process group of the command.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process_group, test_kill_process_group, waitpgid,
    waitpid,
};

/// A process group. The command leads it, and what the command starts is in it.
pub(super) struct Group {
    id: Pid,
}

/// What became of the command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// By a signal of this number, and when that was seen.
    Stopped(i32, Instant),
    Ended(End),
}

/// How the command ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Code(u8),
    Signal(i32),
    /// The kernel did not keep it.
    Unknown,
}

impl Group {
    /// Starts the command in a group of its own.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        id.map(|id| Self { id }).ok_or_else(|| io::Error::other("its process id is not valid"))
    }

    pub(super) const fn id(&self) -> Pid {
        self.id
    }

    /// Starts a thread that tells what becomes of the command, until its end.
    pub(super) fn watch(&self, tell: impl Fn(Change) -> bool + Send + 'static) -> io::Result<()> {
        let id = self.id;
        let watch = move || {
            loop {
                let change = match waitpid(Some(id), WaitOptions::UNTRACED) {
                    Err(Errno::INTR) | Ok(None) => continue,
                    Err(_) => Change::Ended(End::Unknown),
                    Ok(Some((_, status))) => change(status),
                };
                if !tell(change) || matches!(change, Change::Ended(_)) {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("distlock-command".to_owned()).spawn(watch).map(drop)
    }

    /// Sends a signal to all of the group. It is no error if nobody is left.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process_group(self.id, signal).ok();
    }

    /// Asks all of the group to end. Who is stopped hears it only when it goes on.
    pub(super) fn end(&self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether the command stands still, where the system tells (Linux); elsewhere "yes".
    pub(super) fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id.as_raw_nonzero()));
        // The state follows the name, which is in parentheses and may hold any text.
        let state = stat.ok().and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('T')));
        state.unwrap_or(true)
    }

    /// Whether nobody of the group is left whom we could signal. Asked after the command has ended.
    pub(super) fn is_gone(&self) -> bool {
        // As the first process of a container, we are the parent of what the command has left, and
        // what has ended stays in the group until its parent has asked.
        while let Ok(Some(_)) = waitpgid(self.id, WaitOptions::NOHANG) {}
        test_kill_process_group(self.id).is_err()
    }
}

fn change(status: WaitStatus) -> Change {
    if let Some(number) = status.stopping_signal() {
        return Change::Stopped(number, Instant::now());
    }
    Change::Ended(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => u8::try_from(code).map_or(End::Unknown, End::Code),
        (None, Some(number)) => End::Signal(number),
        (None, None) => End::Unknown,
    })
}

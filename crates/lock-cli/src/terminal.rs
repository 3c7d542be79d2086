//! The terminal, which one process group at a time may read, and whose keys are for that group.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;

use rustix::process::{Pid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// The terminal of this session.
pub(crate) struct Terminal(File);

impl Terminal {
    /// `None` if the session has none, as below cron.
    pub(crate) fn open() -> Option<Self> {
        File::options().read(true).write(true).open("/dev/tty").map(Self).ok()
    }

    pub(crate) fn device(&self) -> &File {
        &self.0
    }

    /// Whether the command gets it at once.
    ///
    /// It does if it is ours, except in a pipeline: there the keys are for the other programs too, and
    /// one of them may read them, as a pager does.
    pub(crate) fn is_for_the_command(&self) -> bool {
        self.is_ours() && !is_pipe(&io::stdin()) && !is_pipe(&io::stdout())
    }

    /// Whether this program is in the foreground.
    pub(crate) fn is_ours(&self) -> bool {
        self.belongs_to(getpgrp())
    }

    pub(crate) fn belongs_to(&self, group: Pid) -> bool {
        tcgetpgrp(&self.0).is_ok_and(|foreground| foreground == group)
    }

    /// Gives it to a process group. `SIGTTOU` must be blocked, or the kernel stops us.
    pub(crate) fn give_to(&self, group: Pid) {
        // Fails if the group has ended, or the terminal has hung up: then nobody misses it.
        tcsetpgrp(&self.0, group).ok();
    }
}

fn is_pipe(stream: &impl AsFd) -> bool {
    let kind = stream.as_fd().try_clone_to_owned().and_then(|copy| File::from(copy).metadata());
    kind.is_ok_and(|metadata| metadata.file_type().is_fifo() || metadata.file_type().is_socket())
}

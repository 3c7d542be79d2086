//! From this program to the command: what has to be done between fork and exec.
//!
//! The standard library offers a hook for that, which is `unsafe`. So this program starts itself
//! once more, as a child, which prepares itself and then becomes the command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, getpgrp, getpid, getppid};

use crate::exit;
use crate::output::tell;
use crate::signals::{self, Blocked};
use crate::terminal::Terminal;

/// The first argument of the child. No verb, and so in no help: it is not for people.
const VERB: &str = "__become";
const TAKES_TERMINAL: &str = "terminal";

/// What starts the command. The child waits for nothing that its parent does.
pub(super) fn command(
    command: &[OsString],
    blocked: &Blocked,
    takes_terminal: bool,
) -> io::Result<Command> {
    let mut child = Command::new(own_path()?);
    child.arg0("distlock");
    child.arg(VERB).arg(getpid().as_raw_nonzero().to_string()).arg(blocked.numbers());
    child.arg(if takes_terminal { TAKES_TERMINAL } else { "" }).args(command);
    Ok(child)
}

/// If this process is such a child, becomes the command, or says with which exit code it failed.
pub(crate) fn in_child() -> Option<u8> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    let parent = arguments.next()?.to_str()?.parse().ok().and_then(Pid::from_raw);
    let blocked = arguments.next()?;
    let takes_terminal = arguments.next()? == TAKES_TERMINAL;
    let program = arguments.next()?;

    if let Err(error) = die_with(parent) {
        tell(format_args!("the command cannot be tied to this program: {error}"));
        return Some(exit::USAGE);
    }
    if takes_terminal && let Some(terminal) = Terminal::open() {
        terminal.give_to(getpgrp());
    }
    if let Err(error) = signals::unblock(blocked.to_str()?) {
        tell(format_args!("signals cannot be unblocked: {error}"));
        return Some(exit::USAGE);
    }
    let error = Command::new(&program).args(arguments).exec();
    Some(cannot_run(&program, &error))
}

/// Has the kernel end this process when its parent is gone, where it can.
fn die_with(parent: Option<Pid>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    // If the parent died before that, nobody would tell.
    if getppid() != parent {
        return Err(io::Error::other("it has ended"));
    }
    Ok(())
}

fn cannot_run(program: &OsStr, error: &io::Error) -> u8 {
    let name = Path::new(program).display();
    if error.kind() != io::ErrorKind::NotFound {
        tell(format_args!("{name} cannot be run: {error}"));
        return exit::CANNOT_RUN;
    }
    // A script is "not found" too if its interpreter is not.
    let why = if Path::new(program).is_file() {
        "the program that its first line names was not found"
    } else if program.as_encoded_bytes().contains(&b'/') {
        "there is no such file"
    } else {
        "no directory of PATH has it"
    };
    tell(format_args!("{name} cannot be run: {why}"));
    exit::NOT_FOUND
}

/// On Linux by a link that stays right when the file was replaced meanwhile.
fn own_path() -> io::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Ok(link) } else { env::current_exe() }
}

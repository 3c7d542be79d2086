//! The command line: what can be written, and what is said about it.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use clap_complete::Shell;
use distlock::duration_text;

const ABOUT: &str = "Run commands under distributed locks, and look at them";
const ENVIRONMENT: &str = "\
The store is named by --url or by DISTLOCK_URL: redis://HOST:PORT, rediss://HOST:PORT, \
redis+unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/MASTER, \
redis+cluster://HOST:PORT,HOST:PORT or dapr://STORE. Put a URL with a password into DISTLOCK_URL: a command line can \
be read by other users of the machine. Options of all locks can be set by DISTLOCK_TTL, \
DISTLOCK_WAIT and the like, and in the query of the URL; an option of the command line counts most.";
const RUN_CODES: &str = "\
Exit codes:
  that of the command, if it ended by itself; if a signal ended it, distlock
  ends by the same signal, which a shell shows as 128 + its number
  122  the store could not be asked, or refused
  123  the lock was lost, and the command was ended
  124  somebody else held the lock for the whole wait
  125  the command line or the configuration is wrong
  126  the command was found and could not be run
  127  the command was not found";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "distlock", version, about = ABOUT, after_help = ENVIRONMENT)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(Run),
    Wait(Wait),
    Status(Status),
    Check(Check),
    /// Print a script that completes this command line in a shell
    Completions {
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct Store {
    /// The store; better set `DISTLOCK_URL` if the URL holds a password
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// Take a lock, run a command, and release the lock.
///
/// The lease is renewed for as long as the command runs, where the store can renew it; where it
/// cannot (Dapr), --ttl limits how long the command may run. If the lock is lost, the command is
/// ended by SIGTERM, and after --kill-after by SIGKILL, with everything in its process group.
///
/// The command finds the name of the lock in `DISTLOCK_NAME`, and in `DISTLOCK_FENCING_TOKEN` a
/// number that rises with every grant, if the store issues one.
#[derive(Debug, Args)]
#[command(after_help = RUN_CODES)]
#[command(override_usage = "distlock run [OPTIONS] NAME -- COMMAND [ARGUMENT]...")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) store: Store,
    /// How long the lease is, and so how long the lock stays taken if this machine dies [default:
    /// 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// How long to wait for a lock that is held, or `forever` [default: forever]
    #[arg(long, value_name = "TIME", value_parser = wait)]
    pub(crate) wait: Option<WaitTime>,
    /// Do not wait: end at once if somebody else holds the lock
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
    /// Keep the name taken for at least this long, even if the command ends earlier; at most the ttl
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) min_hold: Option<Duration>,
    /// End the command if it holds the lock for this long; at least the ttl
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_hold: Option<Duration>,
    /// How long the command has to end after the loss of its lock, before it is killed
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub(crate) kill_after: Duration,
    /// The exit code if somebody else holds the lock
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = crate::exit::NOT_ACQUIRED)]
    pub(crate) conflict_exit_code: u8,
    /// Say nothing if somebody else holds the lock, and do not warn
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The name of the lock
    pub(crate) name: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_parser = value_parser!(OsString))]
    pub(crate) command: Vec<OsString>,
}

/// Wait until a lock is free, without taking it.
///
/// It asks the store again and again, at least once a second, and takes nothing: when it has ended,
/// somebody else can take the lock. Exit codes: 0 the lock is free, 124 it was held for the whole
/// wait, 122 the store could not be asked, 125 the command line is wrong or the store cannot show
/// locks.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) store: Store,
    /// How long to wait at most, or `forever`
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "forever")]
    pub(crate) wait: WaitTime,
    /// The name of the lock
    pub(crate) name: String,
}

/// Show whether locks are held, for how long, by whom, and who waits for them.
///
/// Exit codes: 0 the store was asked, whatever it said, 122 it could not be asked, 125 the command
/// line is wrong or the store cannot show locks.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    /// The names of the locks
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Connect to the store, and say what it can do and what it lacks.
///
/// It takes and releases a lock of a random name, so that missing permissions are found. Exit
/// codes: 0 all is well, 1 something is to be changed, 122 the store could not be asked or refused,
/// 125 the command line is wrong.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) store: Store,
    /// End with code 1 if the store lacks one of these
    #[arg(long, value_name = "ABILITY", value_delimiter = ',')]
    pub(crate) require: Vec<Ability>,
}

/// What a store may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ability {
    /// Leases are renewed while their command runs
    Renewal,
    /// Grants carry fencing tokens
    Fencing,
    /// Waiters are served in the order in which they arrived
    Queue,
    /// Locks can be shown
    Status,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitTime {
    For(Duration),
    Forever,
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_text::parse(text)
}

fn wait(text: &str) -> Result<WaitTime, String> {
    if text == "forever" {
        return Ok(WaitTime::Forever);
    }
    duration(text).map(WaitTime::For).map_err(|cause| format!("{cause}, or `forever`"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(arguments: &[&str]) -> Run {
        let all = ["distlock", "run"].iter().chain(arguments);
        match Arguments::try_parse_from(all).unwrap().verb {
            Verb::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_the_command_belongs_to_the_command() {
        for line in [&["x", "--", "ls", "--wait", "-q"][..], &["x", "ls", "--wait", "-q"]] {
            let run = run(line);
            assert_eq!(run.name, "x");
            assert_eq!(run.command, ["ls", "--wait", "-q"]);
            assert!(run.wait.is_none() && !run.quiet);
        }
        assert_eq!(run(&["x", "--", "--odd"]).command, ["--odd"]);
        assert_eq!(run(&["--ttl", "5s", "x", "--wait", "1s", "--", "a"]).command, ["a"]);
    }

    #[test]
    fn the_command_lines_of_the_page_can_be_written() {
        const PAGE: &str = include_str!("../../../docs/command-line.md");
        let blocks = PAGE.split("```").skip(1).step_by(2).filter(|block| !block.contains("[OPT"));
        let mut read = 0;
        for line in blocks.flat_map(str::lines) {
            let is_command = line.starts_with("$ ") || !line.contains("# ");
            let Some(at) = line.find("distlock ").filter(|_| is_command) else { continue };
            let line = line[at..].split(" >").next().unwrap();
            let parsed = Arguments::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            read += 1;
        }
        assert_eq!(read, 8);
    }

    #[test]
    fn the_page_and_the_help_name_every_exit_code() {
        use crate::exit;
        const PAGE: &str = include_str!("../../../docs/command-line.md");
        for code in [exit::STORE, exit::LOST, exit::NOT_ACQUIRED, exit::USAGE, 126, 127] {
            assert!(PAGE.contains(&format!("\n| `{code}` | ")), "{code}");
            assert!(RUN_CODES.contains(&format!("\n  {code}  ")), "{code}");
        }
    }

    #[test]
    fn the_page_names_every_option_of_run() {
        const PAGE: &str = include_str!("../../../docs/command-line.md");
        let command = Arguments::command();
        let run = command.find_subcommand("run").unwrap();
        for option in run.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(PAGE.contains(&format!("`--{option}")), "--{option}");
        }
    }

    #[test]
    fn times_are_written_as_everywhere_else() {
        let run = run(&["--ttl", "30s", "--wait", "forever", "x", "true"]);
        assert_eq!(run.ttl, Some(Duration::from_secs(30)));
        assert_eq!(run.wait, Some(WaitTime::Forever));
        assert_eq!(wait("500ms"), Ok(WaitTime::For(Duration::from_millis(500))));
        let error = wait("30").unwrap_err();
        assert_eq!(error, "it has no unit; write \"30s\" or \"30ms\", or `forever`");
    }
}

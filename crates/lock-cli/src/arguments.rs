//! The command line: what can be written, and what is said about it.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use clap_complete::Shell;
use distlock::duration_text;

const ABOUT: &str = "Run commands under distributed locks, and inspect locks";
const ENVIRONMENT: &str = "\
The store is set by --url or by DISTLOCK_URL: redis://HOST:PORT, rediss://HOST:PORT, \
redis+unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/MASTER, \
redis+cluster://HOST:PORT,HOST:PORT, redis+quorum://HOST:PORT,HOST:PORT,HOST:PORT, \
dapr://STORE, or memory:, which excludes no other process. Put a URL with a password into \
DISTLOCK_URL: other users of the machine can read a command line. Options of all locks can be set by \
DISTLOCK_TTL, DISTLOCK_WAIT and the like, and in the query of the URL; command-line options take \
precedence.";
const RUN_CODES: &str = "\
Exit codes:
  that of the command, if it exited by itself; if a signal ended it, distlock
  ends by the same signal, which a shell shows as 128 + its number
  122  the store could not be asked, or refused
  123  the lock was lost while the command ran
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
    List(List),
    Watch(Watch),
    Release(Release),
    Check(Check),
    Bench(Bench),
    /// Print a script that completes this command line in a shell
    Completions {
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Store {
    /// The store; set `DISTLOCK_URL` instead if the URL contains a password
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
/// number that increases with every grant, if the store issues one.
#[derive(Debug, Args)]
#[command(after_help = RUN_CODES)]
#[command(override_usage = "distlock run [OPTIONS] NAME -- COMMAND [ARGUMENT]...")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) store: Store,
    /// The length of the lease, and so how long the lock stays taken if this machine dies [default:
    /// 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// How long to wait for a lock that is held, and for a store that does not answer, or `forever`
    /// [default: forever]
    #[arg(long, value_name = "TIME", value_parser = wait)]
    pub(crate) wait: Option<WaitTime>,
    /// Do not wait: exit at once if somebody else holds the lock, or if the store does not answer
    #[arg(long, conflicts_with = "wait")]
    pub(crate) no_wait: bool,
    /// Keep the name taken for at least this long, even if the command ends earlier; at most the ttl
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) min_hold: Option<Duration>,
    /// End the command if it holds the lock for this long; at least the ttl
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_hold: Option<Duration>,
    /// How long the command has to exit after its lock is lost, before it is killed
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub(crate) kill_after: Duration,
    /// The exit code if somebody else holds the lock
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = crate::exit::NOT_ACQUIRED)]
    pub(crate) conflict_exit_code: u8,
    /// Print nothing if somebody else holds the lock, and no warnings
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The name of the lock
    pub(crate) name: String,
    /// The command and its arguments; `--` stands before it, so that it is never taken for the name
    // Without `--`, `run $NAME ./job` with a variable that is not set would run the rest of the
    // command under its first word.
    #[arg(required = true, last = true, value_parser = value_parser!(OsString))]
    pub(crate) command: Vec<OsString>,
}

/// Wait until a lock is free, without taking it.
///
/// It asks the store at least once a second, and does not take the lock: afterwards somebody else
/// can. Exit codes: 0 the lock is free, 124 it was held for the whole
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

/// List the locks that are held, for how long, by whom, and who waits for them.
///
/// It shows the locks of the namespace, whoever holds them. On Redis it goes through all keys of the
/// server, in small steps. Exit codes: 0 the store was asked, whatever it said, 122 it could not be
/// asked or refused, 125 the command line is wrong or the store cannot list locks.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Only locks whose names begin with this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// Watch the locks that are held, and who waits for them.
///
/// On a terminal it shows them and refreshes them until `q` or Ctrl-C. Without a terminal it prints
/// a line for each change. Without names it shows all locks that are held, for which it goes through
/// all keys of a Redis server each time.
///
/// Exit codes: 0 it was ended by `q`, or its output was closed, 122 the store could not
/// be asked or refused, 125 the command line is wrong or the store cannot show locks. A signal ends
/// it as it ends other programs.
#[derive(Clone, Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Only locks whose names begin with this text
    #[arg(long, value_name = "TEXT", conflicts_with = "names")]
    pub(crate) prefix: Option<String>,
    /// How long to wait before the store is asked again; at least 100ms
    #[arg(long, value_name = "TIME", value_parser = pause, default_value = "1s")]
    pub(crate) every: Duration,
    /// The names of locks, which are also shown while they are free
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Take a lock away from whoever holds it.
///
/// It is for a holder that is known to be dead, such as a process on a machine that was switched
/// off. If the holder still runs, two run at once. It shows the holder, asks, and takes the lock only
/// from this holder: if somebody else holds the lock by then, it does nothing.
///
/// Exit codes: 0 the lock was released, or nobody holds it any more, 1 somebody else holds it by now,
/// or you did not agree, 122 the store could not be asked or refused, 125 the command line is wrong
/// or the store cannot show holders.
#[derive(Debug, Args)]
#[command(override_usage = "distlock release --force [--yes] NAME")]
pub(crate) struct Release {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Confirm that somebody else's lock is to be taken away
    #[arg(long, required = true)]
    pub(crate) force: bool,
    /// Do not ask; needed where there is no terminal
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The name of the lock
    pub(crate) name: String,
}

/// Connect to the store, and report what it can do and what should be changed.
///
/// It takes and releases a lock with a random name, to find missing permissions. Exit codes: 0 no
/// problems, 1 something should be changed, 122 the store could not be asked or refused, 125 the
/// command line is wrong.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Exit with code 1 if the store lacks one of these
    #[arg(long, value_name = "ABILITY", value_delimiter = ',')]
    pub(crate) require: Vec<Ability>,
}

/// Put a short load on the store, and report how fast its locks are.
///
/// Tasks take and release locks with random names as fast as they can, and check that no two hold
/// the same one. It leaves no lock behind, even if it is interrupted.
///
/// Exit codes: 0 the load has run, 1 a lock was held twice, 122 the store could not be asked or
/// refused, 125 the command line is wrong, or the store may be used by others and --yes is missing.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) store: Store,
    /// How many tasks take locks at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) tasks: u32,
    /// How many locks there are; with fewer locks than tasks there is contention
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) names: u32,
    /// How many seconds it runs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=60))]
    pub(crate) seconds: u32,
    /// Put the load on a store that is not on this machine
    #[arg(short, long)]
    pub(crate) yes: bool,
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

fn pause(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        pause if pause < Duration::from_millis(100) => Err("it is less than 100ms".to_owned()),
        pause => Ok(pause),
    }
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
        let line = run(&["x", "--", "ls", "--wait", "-q", "--", "y"]);
        assert_eq!(line.name, "x");
        assert_eq!(line.command, ["ls", "--wait", "-q", "--", "y"]);
        assert!(line.wait.is_none() && !line.quiet);
        assert_eq!(run(&["x", "--", "--odd"]).command, ["--odd"]);
        assert_eq!(run(&["--ttl", "5s", "x", "--wait", "1s", "--", "a"]).command, ["a"]);
    }

    #[test]
    fn a_command_is_never_taken_for_the_name_of_its_lock() {
        for line in [
            &["--", "echo", "hi"][..],
            &["--no-wait", "--", "nice", "./report.sh"],
            &["echo", "hi"],
            &["x", "echo", "--", "hi"],
            &["x", "--"],
        ] {
            let all = ["distlock", "run"].iter().chain(line);
            let parsed = Arguments::try_parse_from(all);
            assert!(parsed.is_err(), "{line:?}: {parsed:?}");
        }
    }

    #[test]
    fn the_command_lines_of_the_page_can_be_written() {
        const PAGE: &str = include_str!("../../../docs/command-line.md");
        let blocks = PAGE.split("```").skip(1).step_by(2).filter(|block| !block.contains("[OPT"));
        let mut read = 0;
        for line in blocks.flat_map(str::lines) {
            let is_command =
                line.starts_with("$ ") || !line.contains("# ") && !line.contains("(pid ");
            let Some(at) = line.find("distlock ").filter(|_| is_command) else { continue };
            let line = line[at..].split(['>', '|']).next().unwrap();
            let parsed = Arguments::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            read += 1;
        }
        assert_eq!(read, 13);
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
        let run = run(&["--ttl", "30s", "--wait", "forever", "x", "--", "true"]);
        assert_eq!(run.ttl, Some(Duration::from_secs(30)));
        assert_eq!(run.wait, Some(WaitTime::Forever));
        assert_eq!(wait("500ms"), Ok(WaitTime::For(Duration::from_millis(500))));
        let error = wait("30").unwrap_err();
        assert_eq!(error, "it has no unit; write \"30s\" or \"30ms\", or `forever`");
    }
}

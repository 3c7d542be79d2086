//! Other programs: run into a log, which is read only if something went wrong.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::paths;

const TAIL_LINES: usize = 60;
const FAILURE_LINES: usize = 300;

/// A program that has ended.
pub(crate) struct Finished {
    pub(crate) success: bool,
    /// What it wrote, both streams in one.
    pub(crate) text: String,
}

impl Finished {
    /// The part of the output that tells what went wrong: the failed tests if there are any, else
    /// the end.
    pub(crate) fn excerpt(&self) -> String {
        let failures = test_failures(&self.text);
        if failures.is_empty() { tail(&self.text, TAIL_LINES) } else { failures }
    }
}

/// `cargo` as it runs this program, without what it tells about this program.
pub(crate) fn cargo() -> Command {
    cargo_below(&[])
}

/// As [`cargo`], started by another program; `wrapper` is its command line.
pub(crate) fn cargo_below(wrapper: &[String]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = match wrapper.split_first() {
        None => Command::new(cargo),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(cargo);
            command
        }
    };
    command.current_dir(paths::root()).env("CARGO_TERM_COLOR", "never");
    // Left in place, these would rebuild what depends on them: a build by hand has other values.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Whether `program` with these arguments runs and succeeds; what it prints is dropped.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a program to its end and returns what it prints; an error is the end of what it said.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} failed: {}", tail(errors.trim(), 5)))
}

/// Runs a program to its end, its output going to `target/xtask/NAME.log`.
pub(crate) fn logged(name: &str, command: &mut Command) -> Result<Finished, String> {
    run(name, command, None)
}

/// As [`logged`]; a program that runs longer than `limit` is killed, which is an error.
pub(crate) fn logged_within(
    name: &str,
    command: &mut Command,
    limit: Duration,
) -> Result<Finished, String> {
    run(name, command, Some(limit))
}

fn run(name: &str, command: &mut Command, limit: Option<Duration>) -> Result<Finished, String> {
    let path = log_path(name);
    let cannot_log = |error| format!("cannot write {}: {error}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(cannot_log)?;
    }
    let log = File::create(&path).map_err(cannot_log)?;
    let errors = log.try_clone().map_err(cannot_log)?;
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let deadline = limit.map(|limit| Instant::now() + limit);
    let status = loop {
        let ended = if deadline.is_none() { child.wait().map(Some) } else { child.try_wait() };
        match ended.map_err(|error| format!("cannot wait for {program}: {error}"))? {
            Some(status) => break status,
            None if deadline.is_some_and(|deadline| Instant::now() > deadline) => {
                child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
                let seconds = limit.unwrap_or_default().as_secs();
                return Err(format!("not finished after {seconds} s, killed"));
            }
            // There is no wait with a limit in the standard library.
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let bytes = fs::read(&path).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Finished { success: status.success(), text })
}

fn log_path(name: &str) -> PathBuf {
    paths::root().join("target/xtask").join(name.replace(' ', "-")).with_extension("log")
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// What libtest prints between `failures:` and the result of each failed test program.
fn test_failures(text: &str) -> String {
    let mut kept = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside |= line == "failures:";
        if inside {
            kept.push(line);
        }
        inside &= !line.starts_with("test result:");
    }
    kept.truncate(FAILURE_LINES);
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_is_the_failed_tests() {
        let text = "running 2 tests\ntest a ... ok\nfailures:\n\n---- b ----\nwhy\n\
                    test result: FAILED. 1 passed\nnoise\nnoise";
        let finished = Finished { success: false, text: text.into() };
        let expected = "failures:\n\n---- b ----\nwhy\ntest result: FAILED. 1 passed";
        assert_eq!(finished.excerpt(), expected);
    }

    #[test]
    fn excerpt_without_failed_tests_is_the_end() {
        let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let finished = Finished { success: false, text: lines.join("\n") };
        assert!(finished.excerpt().starts_with("40\n") && finished.excerpt().ends_with("\n99"));
    }

    #[test]
    fn program_beyond_its_limit_is_killed() {
        let mut command = Command::new("sleep");
        let started = Instant::now();
        let result = logged_within("self-test", command.arg("60"), Duration::from_millis(100));
        assert!(result.is_err_and(|why| why.contains("killed")));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.contains("cannot run no-such-program"), "{error}");
    }
}

//! Runs of cargo as checks: one each, or as many as it ran tests.

use std::process::Command;

use crate::report::Finding;
use crate::{exec, libtest};

/// Most tests wait, for a server or for the end of a lease: more of them than there are cores run
/// at a time.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// Runs cargo as one check.
pub(super) fn check(name: &str, arguments: &[&str]) -> Finding {
    check_command(name, exec::cargo().args(arguments))
}

pub(super) fn check_command(name: &str, command: &mut Command) -> Finding {
    match exec::logged(name, command) {
        Err(why) => Finding::failed(why, ""),
        Ok(finished) if finished.success => Finding::passed(""),
        Ok(finished) => Finding::failed("", finished.excerpt()),
    }
}

/// Runs cargo as many checks as it ran tests.
pub(super) fn run_tests(name: &str, command: &mut Command) -> Finding {
    if std::env::var_os(TEST_THREADS).is_none() {
        command.env(TEST_THREADS, "8");
    }
    match exec::logged(name, command) {
        Err(why) => Finding::failed(why, ""),
        Ok(finished) => {
            let counts = libtest::counts(&finished.text);
            let ran = Finding { counts, note: counts.to_string(), details: String::new() };
            match (finished.success, counts.failed) {
                (true, _) => ran,
                // It failed without a failed test: something did not build, or crashed.
                (false, 0) => ran.and(Finding::failed("ended early", finished.excerpt())),
                (false, _) => Finding { details: finished.excerpt(), ..ran },
            }
        }
    }
}

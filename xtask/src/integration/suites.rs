//! What is run against each store.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use lock_testkit::conformance::{self, Harness};
use tokio::process::Command;
use tokio::time::timeout;

use crate::project::PRODUCT;
use crate::report::Counts;
use crate::{exec, libtest, paths};

/// The package of the examples, the test that runs them, and its module for the store that
/// [`STORE_VARIABLE`] names.
const PACKAGE: &str = "distlock";
const TEST: &str = "examples";
const MODULE: &str = "named_store::";
const STORE_VARIABLE: &str = "DISTLOCK_TEST_URL";

const LIMIT: Duration = Duration::from_secs(10 * 60);

/// What came of a suite.
#[derive(Default)]
pub(super) struct Finding {
    pub(super) counts: Counts,
    pub(super) not_applicable: u64,
    /// What a person needs to see of a failure.
    pub(super) details: String,
}

impl Finding {
    pub(super) fn failed(details: impl Into<String>) -> Self {
        let counts = Counts { failed: 1, ..Counts::default() };
        Self { counts, not_applicable: 0, details: details.into() }
    }
}

/// Every claim of the conformance suite.
pub(super) async fn conformance(store: &dyn Harness) -> Finding {
    let Ok(report) = timeout(LIMIT, conformance::run(store)).await else {
        return Finding::failed(too_late());
    };
    let failures = report.failures();
    let details = failures.map(|(claim, why)| format!("{}: {why}\n", claim.path())).collect();
    let counts =
        Counts { passed: count(report.passed()), failed: count(report.failed()), skipped: 0 };
    Finding { counts, not_applicable: count(report.not_applicable()), details }
}

/// The examples of the facade, which must tell on this store what they tell on every other.
pub(super) struct Examples {
    program: PathBuf,
}

impl Examples {
    /// Builds them as `cargo xtask test` does, so that what it built is used again.
    pub(super) fn build() -> Result<Self, String> {
        let mut build = exec::cargo();
        build.args(["build", "--examples"]).args(PRODUCT);
        run("build of the examples", &mut build)?;
        let mut build = exec::cargo();
        build.args(["test", "--no-run", "--test", TEST]).args(PRODUCT);
        let said = run("build of their tests", build.args(["--message-format", "json"]))?;
        let program = program(&said).ok_or_else(|| format!("cargo built no test `{TEST}`"))?;
        Ok(Self { program })
    }

    pub(super) async fn run(&self, url: &str) -> Finding {
        let mut command = Command::new(&self.program);
        // One after the other: they share the store here, and one of them is about a thundering herd.
        command.args([MODULE, "--test-threads=1"]).env(STORE_VARIABLE, url);
        command.current_dir(paths::root().join("crates").join(PACKAGE));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = match timeout(LIMIT, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Finding::failed(format!("cannot run the examples: {error}")),
            Err(_) => return Finding::failed(too_late()),
        };
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let finished = exec::Finished { success: output.status.success(), text: text.into_owned() };
        // The tests of the other modules are left out because they are about other stores.
        let counts = Counts { skipped: 0, ..libtest::counts(&finished.text) };
        match (finished.success, counts) {
            (true, Counts { passed: 0, .. }) => Finding::failed("no example was run"),
            (false, Counts { failed: 0, .. }) => Finding::failed(finished.excerpt()),
            (success, counts) => {
                let details = if success { String::new() } else { finished.excerpt() };
                Finding { counts, not_applicable: 0, details }
            }
        }
    }
}

fn run(name: &str, command: &mut std::process::Command) -> Result<String, String> {
    let finished = exec::logged(name, command)?;
    if finished.success {
        Ok(finished.text)
    } else {
        Err(format!("the {name} failed:\n{}", finished.excerpt()))
    }
}

/// The test's program, out of what cargo tells.
fn program(said: &str) -> Option<PathBuf> {
    let messages = said.lines().filter_map(|line| serde_json::from_str(line).ok());
    messages
        .filter(|message: &serde_json::Value| message["target"]["name"] == TEST)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

fn too_late() -> String {
    format!("not finished after {} s", LIMIT.as_secs())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_of_the_test_is_found_among_what_cargo_tells() {
        let said = "warning: noise\n\
                    {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"other\"},\"executable\":\"/a\"}\n\
                    {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"examples\"},\"executable\":\"/b\"}\n\
                    {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(program(said), Some(PathBuf::from("/b")));
        assert_eq!(program("{\"reason\":\"build-finished\"}"), None);
    }
}

//! `test`: everything that must hold before a change lands.
//!
//! A failed step does not stop the run: one run tells all that is wrong.

mod shape;

use std::process::Command;

use testbed::{DAPRD_VARIABLE, DaprBinary, ServerKind};

use crate::project::Project;
use crate::report::{Counts, Finding, Report};
use crate::verb::{Failure, Outcome, no_more};
use crate::{daprd, exec, libtest, model, paths, servers, tidy};

const FACADE: &str = "distlock";
/// What every feature is turned on for. Not this program: its one feature brings a client of container engines, which
/// `cargo xtask integration` alone needs. Not the benches: their peers' features would leak into all else.
pub(crate) const PRODUCT: [&str; 6] =
    ["--workspace", "--exclude", "xtask", "--exclude", "lock-bench", "--all-features"];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (strict, rest) = match arguments {
        [first, rest @ ..] if first == "--strict" => (true, rest),
        rest => (std::env::var("CI").is_ok_and(|value| value == "true"), rest),
    };
    no_more(rest)?;
    let project = Project::load().map_err(Failure::Error)?;
    let mut report = Report::default();

    let servers = Servers::find(&mut report, strict);
    report.step("format", || check("format", &["fmt", "--all", "--check", "--", "--color=never"]));
    report.step("tidy", tidy::finding);
    lint(&mut report);
    report.step("dependency shape", shape::finding);
    report.step("features alone", || features_alone(&project));
    test(&mut report, &servers);
    report.step("documentation", || {
        let mut command = exec::cargo();
        command.args(["doc", "--no-deps"]).args(PRODUCT).env("RUSTDOCFLAGS", "-D warnings");
        check_command("documentation", &mut command)
    });
    report.step("model", || model::finding(&project));
    report.step("licences and sources", deny);
    report.step("oldest Rust", || oldest_rust(&project));

    match report.finish() {
        Counts { failed: 0, .. } => Ok(()),
        _ => Err(Failure::Reported),
    }
}

/// What the tests can use.
struct Servers {
    /// The Redis and Valkey servers that are not to be had.
    missing: Vec<ServerKind>,
    daprd: Option<DaprBinary>,
}

impl Servers {
    /// Finds, fetches or builds every server.
    fn find(report: &mut Report, strict: bool) -> Self {
        let mut servers = Self { missing: Vec::new(), daprd: None };
        for kind in ServerKind::ALL {
            report.step(format!("server {kind}"), || match servers::find_or_fetch(&kind) {
                Ok((binary, fetched)) => there(&servers::describe(&binary), fetched, "fetched"),
                Err(why) => {
                    servers.missing.push(kind.clone());
                    missing(why, strict)
                }
            });
        }
        report.step("server daprd", || match daprd::find_or_build() {
            Ok((binary, built)) => {
                let finding = there(&binary.to_string(), built, "built");
                servers.daprd = Some(binary);
                finding
            }
            Err(why) => missing(why, strict),
        });
        servers
    }

    /// The tests for a server are in a module named after it.
    fn filters(&self) -> Vec<String> {
        let modules = self.missing.iter().map(ServerKind::test_module);
        let daprd = self.daprd.is_none().then(|| "daprd".to_owned());
        modules.chain(daprd).map(|module| format!("--skip={module}::")).collect()
    }
}

fn there(what: &str, is_new: bool, how: &str) -> Finding {
    Finding::passed(if is_new { format!("{what}, {how} now") } else { what.to_owned() })
}

fn missing(why: String, strict: bool) -> Finding {
    let note = "MISSING: its tests are left out";
    if strict {
        Finding::failed(note, why)
    } else {
        Finding { details: why, ..Finding::skipped(note) }
    }
}

fn lint(report: &mut Report) {
    let base = ["clippy", "--all-targets"];
    let deny_warnings = ["--", "-D", "warnings"];
    report.step("clippy", || {
        check("clippy", &[&base[..], &["--workspace"], &deny_warnings].concat())
    });
    report.step("clippy all features", || {
        let arguments = [&base[..], &PRODUCT, &deny_warnings].concat();
        check("clippy all features", &arguments)
    });
}

fn test(report: &mut Report, servers: &Servers) {
    let filters = servers.filters();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    for (name, selection) in [
        ("tests all features", &PRODUCT[..]),
        // What an absent feature says can only be seen without it.
        ("tests no features", &["--package", FACADE, "--no-default-features"]),
        ("tests xtask", &["--package", "xtask"]),
        ("tests bench", &["--package", "lock-bench"]),
    ] {
        let arguments = [&["test", "--no-fail-fast"], selection, &["--"], &filters].concat();
        let mut command = exec::cargo();
        command.args(arguments);
        if let Some(daprd) = &servers.daprd {
            command.env(DAPRD_VARIABLE, daprd.path());
        }
        report.step(name, || run_tests(name, &mut command));
    }
}

/// Runs cargo as one check.
fn check(name: &str, arguments: &[&str]) -> Finding {
    check_command(name, exec::cargo().args(arguments))
}

fn check_command(name: &str, command: &mut Command) -> Finding {
    match exec::logged(name, command) {
        Err(why) => Finding::failed(why, ""),
        Ok(finished) if finished.success => Finding::passed(""),
        Ok(finished) => Finding::failed("", finished.excerpt()),
    }
}

/// Most tests wait, for a server or for the end of a lease: more of them than there are cores run
/// at a time.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// Runs cargo as many checks as it ran tests.
fn run_tests(name: &str, command: &mut Command) -> Finding {
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

/// Features are additive, and none may need another one to build.
fn features_alone(project: &Project) -> Finding {
    let features = project.features(FACADE);
    let checks = features.iter().map(|feature| {
        let base = ["check", "--package", FACADE, "--no-default-features", "--features", feature];
        let finding = check(&format!("feature {feature}"), &base);
        Finding { note: (*feature).to_owned(), ..finding }
    });
    checks.fold(Finding::default(), Finding::and)
}

fn deny() -> Finding {
    if !exec::succeeds("cargo", &["deny", "--version"]) {
        return Finding::skipped("cargo-deny is not installed");
    }
    let arguments = ["deny", "--offline", "check", "bans", "licenses", "sources"];
    check("deny", &arguments)
}

fn oldest_rust(project: &Project) -> Finding {
    let Some(version) = project.rust_version(FACADE) else {
        return Finding::failed(format!("{FACADE} declares no rust-version"), "");
    };
    let toolchains = exec::output(Command::new("rustup").args(["toolchain", "list"]));
    let toolchains = toolchains.unwrap_or_default();
    let Some(toolchain) = toolchains
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .find(|name| is_toolchain_of(name, version))
    else {
        return Finding::skipped(format!("rustup has no toolchain {version}"));
    };
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, "cargo", "check"]).args(PRODUCT);
    command.current_dir(paths::root());
    Finding { note: version.to_owned(), ..check_command("oldest rust", &mut command) }
}

/// `1.88`, `1.88-x86_64-…` and `1.88.0-x86_64-…` are toolchains of 1.88, `1.880` is not.
fn is_toolchain_of(name: &str, version: &str) -> bool {
    name.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchain_is_recognised_by_its_version() {
        assert!(is_toolchain_of("1.88.0-x86_64-unknown-linux-gnu", "1.88"));
        assert!(is_toolchain_of("1.88-x86_64-unknown-linux-gnu", "1.88"));
        assert!(!is_toolchain_of("1.880-x86_64", "1.88"));
        assert!(!is_toolchain_of("stable-x86_64-unknown-linux-gnu", "1.88"));
    }
}

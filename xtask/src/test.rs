//! `test`: everything that must hold before a change lands.
//!
//! A failed step does not stop the run: one run tells all that is wrong.

mod busy;
mod cargo;
mod just_booted;
mod shape;
mod versions;

use std::process::Command;

use testbed::{DAPRD_VARIABLE, DaprBinary, ServerKind};

use crate::project::{FACADE, PRODUCT, Project};
use crate::report::{Counts, Finding, Report};
use crate::verb::{Failure, Outcome, no_more};
use crate::{book, daprd, exec, model, servers, tidy};
use busy::BusyLoops;
use cargo::{check, check_command, run_tests};

/// What is tested, each with the features that are on.
const SUITES: [(&str, &[&str]); 5] = [
    ("tests all features", &PRODUCT),
    // What an absent feature says can only be seen without it.
    ("tests no features", &["--package", FACADE, "--package", "pages", "--no-default-features"]),
    ("tests xtask", &["--package", "xtask"]),
    ("tests bench", &["--package", "lock-bench"]),
    ("tests beside others", &["--package", "lock-examples"]),
];

/// What cargo says about a dependency that it would have to download.
const NOT_FETCHED: &str = "but --offline was specified";

/// Left out where the machine seems to have been booted just now: to clocks, a server behind Sentinels
/// or in a cluster is what it is alone, and each of these takes minutes.
const NOT_BOOTED_ANEW: [&str; 2] =
    ["--skip=sentinel::conformance::", "--skip=cluster::conformance::"];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// A server that cannot be had is a failure.
    strict: bool,
    /// The tests alone, on a busy machine.
    busy: bool,
}

impl Options {
    fn parse(arguments: &[String], is_ci: bool) -> Result<Self, Failure> {
        let mut options = Self { strict: is_ci, busy: false };
        for argument in arguments {
            match argument.as_str() {
                "--strict" => options.strict = true,
                "--busy" => options.busy = true,
                _ => no_more(std::slice::from_ref(argument))?,
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let options = Options::parse(arguments, is_ci)?;
    let project = Project::load().map_err(Failure::Error)?;
    let mut report = Report::default();

    let servers = Servers::find(&mut report, options.strict);
    if options.busy {
        test_busy(&mut report, &servers);
    } else {
        test_everything(&mut report, &servers, &project);
    }

    match report.finish() {
        Counts { failed: 0, .. } => Ok(()),
        _ => Err(Failure::Reported),
    }
}

fn test_everything(report: &mut Report, servers: &Servers, project: &Project) {
    report.step("format", || check("format", &["fmt", "--all", "--check", "--", "--color=never"]));
    report.step("tidy", tidy::finding);
    lint(report);
    report.step("dependency shape", shape::finding);
    report.step("features alone", || features_alone(project));
    test(report, servers);
    report.step("tests just booted", || test_just_booted(servers));
    report.step("documentation", || {
        let mut command = exec::cargo();
        command.args(["doc", "--no-deps"]).args(PRODUCT).env("RUSTDOCFLAGS", "-D warnings");
        check_command("documentation", &mut command)
    });
    report.step("book", book::finding);
    report.step("model", || model::finding(project));
    report.step("licences and sources", deny);
    report.step("oldest Rust", || versions::oldest_rust(project));
    report.step("least dependencies", || versions::least_dependencies(project));
}

/// The tests beside loops that keep the processors busy; what holds only on an idle machine fails.
fn test_busy(report: &mut Report, servers: &Servers) {
    // Building is not what is tested.
    for (name, selection) in SUITES {
        let name = name.replace("tests", "build");
        report.step(name.clone(), || check(&name, &[&["test", "--no-run"], selection].concat()));
    }
    let _loops = BusyLoops::start();
    test(report, servers);
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

    /// Ends the command line of a run of tests: what it can use, and what to leave out.
    fn for_tests<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(daprd) = &self.daprd {
            command.env(DAPRD_VARIABLE, daprd.path());
        }
        command.arg("--").args(self.filters())
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
    for (name, selection) in SUITES {
        let mut command = exec::cargo();
        command.args(["test", "--no-fail-fast"]).args(selection);
        report.step(name, || run_tests(name, servers.for_tests(&mut command)));
    }
}

/// What all features have built, once more, where the machine seems to have been booted just now;
/// the tests of documentation, which build themselves, are left out.
fn test_just_booted(servers: &Servers) -> Finding {
    let wrapper = match just_booted::wrapper() {
        Ok(wrapper) => wrapper,
        Err(why) => return Finding::skipped(format!("the clock cannot be set back: {why}")),
    };
    // The tests run the examples, which another suite has built with other features meanwhile.
    let mut examples = exec::cargo();
    examples.args(["build", "--examples"]).args(PRODUCT);
    let built = check_command("examples", &mut examples);
    if built.counts.failed > 0 {
        return built;
    }
    let mut command = exec::cargo_below(&wrapper);
    command.args(["test", "--no-fail-fast"]).args(PRODUCT).args(["--lib", "--bins", "--tests"]);
    let command = servers.for_tests(&mut command).args(NOT_BOOTED_ANEW);
    run_tests("tests just booted", command)
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
    let mut command = exec::cargo();
    command.args(["deny", "--offline", "check", "bans", "licenses", "sources"]);
    match exec::logged("deny", &mut command) {
        Ok(finished) if !finished.success && finished.text.contains(NOT_FETCHED) => {
            Finding::skipped("not all dependencies are on this machine: cargo fetch")
        }
        _ => check_command("deny", &mut command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_in_any_order_and_ci_is_strict() {
        let parse = |arguments: &[&str], is_ci| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            Options::parse(&arguments, is_ci).unwrap()
        };
        assert_eq!(parse(&[], false), Options { strict: false, busy: false });
        assert_eq!(parse(&[], true), Options { strict: true, busy: false });
        for arguments in [["--busy", "--strict"], ["--strict", "--busy"]] {
            assert_eq!(parse(&arguments, false), Options { strict: true, busy: true });
        }
    }
}

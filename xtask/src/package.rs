//! `package`: packages each crate as for a release, and tries what a user would get.
//!
//! A package has only what is in its directory, and its tests lack the crates that are not published. So
//! what builds here may not build there: each package is unpacked, built with all features against the other
//! packages and nothing else of the repository, and its doctests are run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::Project;
use crate::report::{Counts, Finding, Report};
use crate::verb::{Failure, Outcome, no_more};
use crate::{exec, libtest, paths};

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_more(arguments)?;
    let project = Project::load().map_err(Failure::Error)?;
    let names = project.published();
    let packed = project.target_directory().join("package");
    let unpacked = project.target_directory().join("xtask/package/workspace");

    let mut report = Report::default();
    report.step("package", || pack(&names));
    report.step("unpack", || done(unpack(&names, &packed, &unpacked)));
    report.step("build", || build(&unpacked));
    report.step("doctests", || doctests(&unpacked));
    match report.finish() {
        Counts { failed: 0, .. } => Ok(()),
        _ => Err(Failure::Reported),
    }
}

/// Makes the files that would be uploaded.
fn pack(names: &[&str]) -> Finding {
    let mut command = exec::cargo();
    // What is not committed yet is packaged as well: this is no release.
    command.args(["package", "--no-verify", "--allow-dirty"]);
    command.args(names.iter().flat_map(|name| ["--package", *name]));
    Finding { note: names.join(", "), ..checked("package", &mut command) }
}

/// A workspace of the unpacked packages, in which they take each other's place in the registry.
fn unpack(names: &[&str], packed: &Path, unpacked: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot unpack: {error}");
    paths::remove_tree(unpacked).map_err(failed)?;
    for name in names {
        let archive = newest(packed, name).map_err(failed)?;
        let archive = archive.ok_or_else(|| format!("there is no package of {name}"))?;
        let directory = unpacked.join(name);
        fs::create_dir_all(&directory).map_err(failed)?;
        let mut tar = Command::new("tar");
        tar.args(["--strip-components=1", "-xzf"]).arg(archive).arg("-C").arg(&directory);
        exec::output(&mut tar)?;
    }
    fs::write(unpacked.join("Cargo.toml"), workspace(names)).map_err(failed)?;
    // The versions that are tested.
    fs::copy(paths::root().join("Cargo.lock"), unpacked.join("Cargo.lock")).map_err(failed)?;
    Ok(())
}

/// The package's archive that was written last.
fn newest(packed: &Path, name: &str) -> std::io::Result<Option<PathBuf>> {
    let mut archives = Vec::new();
    for entry in fs::read_dir(packed)? {
        let entry = entry?;
        if is_archive_of(&entry.file_name().to_string_lossy(), name) {
            archives.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    Ok(archives.into_iter().max().map(|(_, path)| path))
}

/// `a-1.2.3.crate` is an archive of `a`, `a-b-1.2.3.crate` is not.
fn is_archive_of(file: &str, name: &str) -> bool {
    let version = file
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(".crate"));
    version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

fn workspace(members: &[&str]) -> String {
    let list: String = members.iter().map(|name| format!("\"{name}\", ")).collect();
    let patches: String =
        members.iter().map(|name| format!("{name} = {{ path = \"{name}\" }}\n")).collect();
    format!("[workspace]\nresolver = \"3\"\nmembers = [{list}]\n\n[patch.crates-io]\n{patches}")
}

fn build(unpacked: &Path) -> Finding {
    checked(
        "package build",
        in_workspace(unpacked).args(["build", "--workspace", "--all-features"]),
    )
}

fn doctests(unpacked: &Path) -> Finding {
    let mut command = in_workspace(unpacked);
    command.args(["test", "--doc", "--workspace", "--all-features"]);
    // The command line has no library.
    command.args(["--exclude", "lock-cli"]);
    match exec::logged("package doctests", &mut command) {
        Err(why) => Finding::failed(why, ""),
        Ok(finished) => {
            let counts = libtest::counts(&finished.text);
            if !finished.success && counts.failed == 0 {
                return Finding::failed("ended early", finished.excerpt());
            }
            let details = if finished.success { String::new() } else { finished.excerpt() };
            Finding { counts, note: counts.to_string(), details }
        }
    }
}

fn in_workspace(unpacked: &Path) -> Command {
    let mut command = exec::cargo();
    // Nothing is debugged here, and debug information is most of what a build writes.
    command.current_dir(unpacked).env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.env("CARGO_TARGET_DIR", unpacked.with_file_name("target"));
    command
}

fn checked(name: &str, command: &mut Command) -> Finding {
    match exec::logged(name, command) {
        Err(why) => Finding::failed(why, ""),
        Ok(finished) if finished.success => Finding::passed(""),
        Ok(finished) => Finding::failed("", finished.excerpt()),
    }
}

fn done(result: Result<(), String>) -> Finding {
    match result {
        Ok(()) => Finding::passed(""),
        Err(why) => Finding::failed("", why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_recognised_by_its_version() {
        assert!(is_archive_of("lock-core-0.1.0.crate", "lock-core"));
        assert!(!is_archive_of("lock-core-0.1.0.crate", "lock"));
        assert!(!is_archive_of("lock-core-0.1.0", "lock-core"));
    }

    #[test]
    fn packages_take_each_others_place_in_the_registry() {
        let expected = "[workspace]\nresolver = \"3\"\nmembers = [\"a\", \"b\", ]\n\n\
                        [patch.crates-io]\na = { path = \"a\" }\nb = { path = \"b\" }\n";
        assert_eq!(workspace(&["a", "b"]), expected);
    }
}

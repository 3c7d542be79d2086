//! The oldest versions that must work: of Rust, and of what the product depends on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cargo::check_command;
use crate::project::{FACADE, PRODUCT, Project};
use crate::report::Finding;
use crate::{exec, paths};

const NIGHTLY: &str = "nightly";
/// What cargo says when it gets no answer from a registry.
const NO_NETWORK: &str = "spurious network error";

/// Builds the product with the Rust version that it declares.
pub(super) fn oldest_rust(project: &Project) -> Finding {
    let Some(version) = project.rust_version(FACADE) else {
        return Finding::failed(format!("{FACADE} declares no rust-version"), "");
    };
    let Some(toolchain) = toolchain(version) else {
        return Finding::skipped(format!("rustup has no toolchain {version}"));
    };
    let mut command = rustup_cargo(&toolchain);
    command.arg("check").args(PRODUCT).current_dir(paths::root());
    Finding { note: version.to_owned(), ..check_command("oldest rust", &mut command) }
}

/// Builds the facade with the oldest versions that the workspace's manifest allows.
///
/// Only a nightly cargo can choose them. It does so in a copy of the manifests, so that neither the
/// lock file nor what else is built here changes.
pub(super) fn least_dependencies(project: &Project) -> Finding {
    let Some(nightly) = toolchain(NIGHTLY) else {
        return Finding::skipped(format!("rustup has no toolchain {NIGHTLY}"));
    };
    let directory = project.target_directory().join("xtask/least-dependencies");
    let copy = directory.join("workspace");
    if let Err(error) = copy_manifests(project, &copy) {
        return Finding::failed(format!("cannot copy the manifests: {error}"), "");
    }
    let mut choose = rustup_cargo(&nightly);
    choose.args(["-Z", "direct-minimal-versions", "generate-lockfile"]).current_dir(&copy);
    match exec::logged("least dependencies chosen", &mut choose) {
        Err(why) => return Finding::failed(why, ""),
        Ok(finished) if finished.success => {}
        Ok(finished) if finished.text.contains(NO_NETWORK) => {
            return Finding::skipped("the registry cannot be reached");
        }
        Ok(finished) => return Finding::failed("", finished.excerpt()),
    }
    let mut check = exec::cargo();
    check.args(["check", "--locked", "--package", FACADE, "--all-features"]).current_dir(&copy);
    check_command("least dependencies", check.env("CARGO_TARGET_DIR", directory.join("target")))
}

fn rustup_cargo(toolchain: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, "cargo"]).env("CARGO_TERM_COLOR", "never");
    command
}

/// The manifests with links to the sources beside them.
fn copy_manifests(project: &Project, copy: &Path) -> std::io::Result<()> {
    paths::remove_tree(copy)?;
    fs::create_dir_all(copy)?;
    fs::copy(paths::root().join("Cargo.toml"), copy.join("Cargo.toml"))?;
    for manifest in project.manifests() {
        let Some((from, to)) = member(&manifest, copy) else { continue };
        fs::create_dir_all(&to)?;
        fs::copy(&manifest, to.join("Cargo.toml"))?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                symlink(entry.path(), to.join(entry.file_name()))?;
            }
        }
    }
    Ok(())
}

/// The directory of a member, and the one of its copy.
fn member<'a>(manifest: &'a Path, copy: &Path) -> Option<(&'a Path, PathBuf)> {
    let directory = manifest.parent()?;
    Some((directory, copy.join(directory.strip_prefix(paths::root()).ok()?)))
}

/// The name of an installed toolchain of that version.
fn toolchain(version: &str) -> Option<String> {
    let list = exec::output(Command::new("rustup").args(["toolchain", "list"])).ok()?;
    let mut names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.find(|name| is_toolchain_of(name, version)).map(str::to_owned)
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
        assert!(is_toolchain_of("nightly-x86_64-unknown-linux-gnu", NIGHTLY));
        assert!(!is_toolchain_of("1.880-x86_64", "1.88"));
        assert!(!is_toolchain_of("stable-x86_64-unknown-linux-gnu", "1.88"));
    }

    #[test]
    fn copy_of_a_member_lies_where_the_member_does() {
        let manifest = paths::root().join("crates/a/Cargo.toml");
        let (from, to) = member(&manifest, Path::new("/copy")).unwrap();
        assert_eq!(from, paths::root().join("crates/a"));
        assert_eq!(to, Path::new("/copy/crates/a"));
        assert!(member(Path::new("/elsewhere/Cargo.toml"), Path::new("/copy")).is_none());
    }
}

//! The shared libraries that a program needs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the libraries are in an image; the loader looks there because `LD_LIBRARY_PATH` says so.
pub(super) const DIRECTORY: &str = "/lib";

/// A library and where it goes, relative to the root of the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
}

/// What the loader loads for `program`, itself included; nothing for a static program.
///
/// `own` is a directory with libraries that come with the program.
pub(super) fn of(program: &Path, own: Option<&Path>) -> Result<Vec<Library>, String> {
    let mut command = Command::new("ldd");
    command.arg(program);
    if let Some(own) = own {
        command.env("LD_LIBRARY_PATH", own);
    }
    let output = command.output().map_err(|error| format!("cannot run ldd: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if said.contains("not a dynamic executable") || said.contains("statically linked") {
        return Ok(Vec::new());
    }
    if !output.status.success() {
        return Err(format!("ldd {} failed: {}", program.display(), said.trim()));
    }
    parse(&said).map_err(|why| format!("{}: {why}", program.display()))
}

/// Reads what `ldd` prints: `NAME => PATH (ADDRESS)`, and `PATH (ADDRESS)` for the loader.
fn parse(said: &str) -> Result<Vec<Library>, String> {
    let mut libraries = Vec::new();
    for line in said.lines().map(str::trim) {
        let without_address = line.split(" (").next().unwrap_or_default();
        match without_address.split_once(" => ") {
            Some((name, "not found")) => return Err(format!("its library {name} is missing")),
            Some((name, path)) => {
                let to = Path::new(DIRECTORY.trim_start_matches('/')).join(name);
                libraries.push(Library { from: path.into(), to });
            }
            // The program names its loader by this path.
            None if line.starts_with('/') => {
                let to = without_address.trim_start_matches('/').into();
                libraries.push(Library { from: without_address.into(), to });
            }
            // The kernel's own, which is no file.
            None => {}
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_read() {
        let said = "\tlinux-vdso.so.1 (0x00007fd457568000)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fd457477000)\n\
                    \tliblzf.so.1 => /opt/redis/lib/liblzf.so.1 (0x00007fd457200000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007fd45756a000)\n";
        let pairs = [
            ("/lib/x86_64-linux-gnu/libm.so.6", "lib/libm.so.6"),
            ("/opt/redis/lib/liblzf.so.1", "lib/liblzf.so.1"),
            ("/lib64/ld-linux-x86-64.so.2", "lib64/ld-linux-x86-64.so.2"),
        ];
        let expected = pairs.map(|(from, to)| Library { from: from.into(), to: to.into() });
        assert_eq!(parse(said).unwrap(), expected);
    }

    #[test]
    fn missing_library_is_named() {
        let error = parse("\tlibssl.so.3 => not found\n").unwrap_err();
        assert_eq!(error, "its library libssl.so.3 is missing");
    }
}

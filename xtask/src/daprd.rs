//! The Dapr sidecar: found, or built with Go from `xtask/daprd` into `target/servers`.

use std::fs;
use std::io;
use std::process::Command;

use testbed::{DAPRD_VARIABLE, DaprBinary};

use crate::exec::{output, succeeds};
use crate::paths;

/// What the sidecar says of itself; the version of the module that it is built from.
const VERSION: &str = "1.18.2";

/// Finds a `daprd`, or builds one, which takes minutes the first time; `true` says that it was
/// built now.
pub(crate) fn find_or_build() -> Result<(DaprBinary, bool), String> {
    match DaprBinary::find() {
        Ok(binary) => Ok((binary, false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            build()?;
            let binary = DaprBinary::find().map_err(|error| error.to_string())?;
            Ok((binary, true))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn build() -> Result<(), String> {
    if !succeeds("go", &["version"]) {
        return Err(format!("Go is needed to build daprd; install it, or set {DAPRD_VARIABLE}"));
    }
    let binary = DaprBinary::built().ok_or("xtask/daprd is not there")?;
    let directory = binary.parent().ok_or("the cache has no directory")?;
    fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    // A rename is the last step, so that a half-made binary is never seen.
    let partial = directory.join(format!(".partial-{}", std::process::id()));
    let version = format!("-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={VERSION}");
    let built = output(
        Command::new("go")
            .current_dir(paths::root().join("xtask/daprd"))
            // Static, so that it runs on any Linux.
            .env("CGO_ENABLED", "0")
            .args(["build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", &version])
            .arg("-o")
            .arg(&partial)
            .arg("."),
    );
    let published = built.and_then(|_| {
        fs::rename(&partial, &binary).map_err(|error| format!("cannot make daprd: {error}"))
    });
    fs::remove_file(&partial).ok();
    published
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_modules() {
        let module = fs::read_to_string(paths::root().join("xtask/daprd/go.mod")).unwrap();
        assert!(module.contains(&format!("github.com/dapr/dapr v{VERSION}\n")), "{module}");
    }
}

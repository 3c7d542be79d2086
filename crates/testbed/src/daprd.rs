//! Where the binary of the Dapr sidecar is found.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable that names a `daprd`: `/path/to/daprd`.
pub const DAPRD_VARIABLE: &str = "DISTLOCK_TEST_DAPRD";

/// What the sidecar that this project builds is made of.
const MODULE: [&str; 3] = ["go.mod", "go.sum", "main.go"];

/// A Dapr sidecar that was found and that runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaprBinary {
    path: PathBuf,
    source: &'static str,
    version: String,
}

impl DaprBinary {
    /// Looks for a `daprd`: at [`DAPRD_VARIABLE`], on `PATH`, in `~/.dapr/bin` where Dapr's own
    /// command puts it, and in `target/servers` where `cargo xtask servers --fetch` builds one.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none, with what to do about it; `InvalidData` if one was found that
    /// does not run.
    pub fn find() -> io::Result<Self> {
        // Set to nothing it is as good as unset, as that of the servers is.
        let named = std::env::var_os(DAPRD_VARIABLE).filter(|path| !path.is_empty());
        if let Some(path) = named {
            return Self::inspect(Path::new(&path), DAPRD_VARIABLE);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|directory| (directory, "PATH"));
        let home = std::env::home_dir().map(|home| (home.join(".dapr/bin"), "~/.dapr/bin"));
        let built =
            Self::built().and_then(|path| Some((path.parent()?.to_owned(), "target/servers")));
        let directories = on_path.chain(home).chain(built);
        let mut candidates =
            directories.map(|(directory, source)| (directory.join("daprd"), source));
        match candidates.find(|(path, _)| path.is_file()) {
            Some((path, source)) => Self::inspect(&path, source),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "no daprd found: run `cargo xtask servers --fetch`, which builds one with Go \
                     (`cargo xtask test` does so by itself), or set {DAPRD_VARIABLE}=/path/to/daprd"
                ),
            )),
        }
    }

    /// Where the sidecar that this workspace builds is, once it is built; another one for each
    /// version of its sources. `None` outside the workspace.
    pub fn built() -> Option<PathBuf> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = here.ancestors().nth(2)?;
        let mut hash = Fnv::default();
        for name in MODULE {
            hash.add(&std::fs::read(workspace.join("xtask/daprd").join(name)).ok()?);
        }
        let name = format!("daprd-{:016x}", hash.0);
        Some(workspace.join("target/servers").join(name).join("bin/daprd"))
    }

    /// The binary's absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version that the binary reports, for instance `1.18.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn inspect(path: &Path, source: &'static str) -> io::Result<Self> {
        let refuse = |why: String| {
            let text = format!("{source} has {} for daprd, but it {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let path = std::path::absolute(path)?;
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .map_err(|error| refuse(format!("does not run: {error}")))?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success()
            || !said.starts_with(|first: char| first.is_ascii_alphanumeric())
        {
            return Err(refuse(format!("does not tell its version: {said:?}")));
        }
        Ok(Self { path, source, version: said })
    }
}

/// `1.18.2 from target/servers`.
impl fmt::Display for DaprBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.version, self.source)
    }
}

/// The hash function FNV-1a, which is the same on every machine and in every version of Rust.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_published_one() {
        let mut hash = Fnv::default();
        hash.add(b"foobar");
        assert_eq!(hash.0, 0x8594_4171_f739_67e8);
    }

    #[test]
    fn program_that_is_no_sidecar_is_refused() {
        let error = DaprBinary::inspect(Path::new("/bin/false"), "a test").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("does not tell its version"), "{error}");
    }
}

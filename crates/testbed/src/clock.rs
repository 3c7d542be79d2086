//! The wall clock of a server, which a test can set.
//!
//! A library is loaded into the server before all others, which answers for the system when the time
//! is asked for. It is compiled by the C compiler that Rust links programs with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

const SOURCE: &str = include_str!("clock.c");

/// A clock that a server reads in place of the system's, and a directory of its own.
#[derive(Debug)]
pub struct WallClock {
    directory: PathBuf,
}

impl WallClock {
    /// A clock that shows what the system's does.
    ///
    /// # Errors
    ///
    /// If there is no C compiler, named `cc`, or it fails.
    pub fn new() -> io::Result<Self> {
        let directory = env::temp_dir().join(format!("testbed-clock-{}", unique()));
        fs::create_dir(&directory)?;
        let clock = Self { directory };
        fs::write(clock.path("clock.c"), SOURCE)?;
        clock.set(0)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(clock.library());
        let output = compiler.arg(clock.path("clock.c")).arg("-ldl").output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("cc: {said}")));
        }
        Ok(clock)
    }

    /// Sets it forwards by so many seconds from the system's time, or backwards.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn set(&self, seconds: i64) -> io::Result<()> {
        // A server must not read it half written.
        fs::write(self.path("next"), seconds.to_string())?;
        fs::rename(self.path("next"), self.path("shift"))
    }

    /// The variables of a server that reads it.
    pub(crate) fn environment(&self) -> [(&'static str, Option<String>); 2] {
        let text = |path: PathBuf| Some(path.display().to_string());
        [("LD_PRELOAD", text(self.library())), ("TESTBED_CLOCK", text(self.path("shift")))]
    }

    fn library(&self) -> PathBuf {
        self.path("clock.so")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.directory).join(name)
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).ok();
    }
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

//! Keeps the CPUs awake: on a virtual machine a halted one takes 50 µs to come back, which drowns
//! what is measured with one task.

use std::process::{Child, Command, Stdio};

/// One busy loop per core at idle priority, for as long as it lives.
pub(crate) struct Awake(Vec<Child>);

impl Awake {
    pub(crate) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism()?.get();
        let loops = (0..cores).map(|_| {
            Command::new("chrt")
                .args(["--idle", "0", "sh", "-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()
        });
        Ok(Self(loops.collect::<Result<_, _>>()?))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

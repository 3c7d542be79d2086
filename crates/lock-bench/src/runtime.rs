//! The runtimes that everything here works on.

use tokio::runtime::{Builder, Runtime};

/// A runtime of so many worker threads; 0 is the current-thread runtime.
pub(crate) fn runtime(threads: usize) -> std::io::Result<Runtime> {
    match threads {
        0 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

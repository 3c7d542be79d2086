//! The library's own thread, and the tokio runtime that it drives: one for each process.

use std::future::pending;
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::sync::own_thread;
use crate::types::error::{LockError, LockErrorKind, Result};

/// The runtime of the process's background thread, which is started when it is first needed and
/// runs until the process ends.
///
/// No code of the user's runs there, so nothing that a program does can stop or end it.
/// A backend drives connections there that must not depend on a runtime of the user's.
///
/// ```
/// # fn main() -> lock_core::Result<()> {
/// # use lock_core as distlock;
/// use distlock::backend::background_runtime;
///
/// let answer = background_runtime()?.spawn(async { 7 });
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// assert_eq!(runtime.block_on(answer).unwrap(), 7);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Unavailable`](LockErrorKind::Unavailable) if the thread could not be started. The next call
/// tries again.
pub fn background_runtime() -> Result<Handle> {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(handle) = RUNTIME.get() {
        return Ok(handle.clone());
    }
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = RUNTIME.get() {
        return Ok(handle.clone());
    }
    let handle = start().map_err(|cause| {
        let message = format!("the background thread could not be started: {cause}");
        LockError::new(LockErrorKind::Unavailable, message).not_applied()
    })?;
    Ok(RUNTIME.get_or_init(|| handle).clone())
}

/// Whether this is the library's own thread, the one that drives [`background_runtime`].
///
/// A backend asks this to tell a task of the user's, which has a runtime of its own, from the
/// background. It reads a thread-local value, so it is cheap enough to be asked at each poll.
#[must_use]
pub fn is_background_thread() -> bool {
    // No future is polled on the timer's thread, which is the library's own, too.
    own_thread::is_current()
}

fn start() -> Result<Handle, String> {
    // The thread first: a runtime that is left over could not be dropped in a task of another one.
    let (hand_over, handed_over) = mpsc::channel::<Runtime>();
    let run = move || {
        own_thread::mark();
        if let Ok(runtime) = handed_over.recv() {
            runtime.block_on(pending::<()>());
        }
    };
    let thread = std::thread::Builder::new().name("distlock".into());
    thread.spawn(run).map_err(|error| error.to_string())?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let handle = runtime.handle().clone();
    hand_over.send(runtime).map_err(|error| error.to_string())?;
    Ok(handle)
}

//! Which runtime runs the current task.

use lock_core::backend::background_runtime;
use tokio::runtime::{Handle, Id};

/// The runtime whose task this is.
pub(crate) fn current_runtime() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// Whether no runtime of the user's runs this task.
pub(crate) fn is_background() -> bool {
    let Some(here) = current_runtime() else { return true };
    background_runtime().is_ok_and(|runtime| runtime.id() == here)
}

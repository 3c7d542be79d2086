//! Which runtime runs the current task.

use std::sync::OnceLock;

use lock_core::backend::{background_runtime, is_background_thread};
use tokio::runtime::{Handle, Id};

/// The runtime of the user's whose task this is; none in the background, and where there is none.
///
/// It costs a count that all threads of a runtime share, so it is asked once for each request.
pub(crate) fn user_runtime() -> Option<Id> {
    static BACKGROUND: OnceLock<Id> = OnceLock::new();
    if is_background_thread() {
        return None;
    }
    let here = current_runtime()?;
    let background = match BACKGROUND.get() {
        Some(background) => *background,
        None => {
            let runtime = background_runtime().ok()?;
            *BACKGROUND.get_or_init(|| runtime.id())
        }
    };
    (here != background).then_some(here)
}

/// The runtime whose task this is.
pub(crate) fn current_runtime() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

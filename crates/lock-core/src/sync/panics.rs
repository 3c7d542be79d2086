//! Panics of somebody else's code go no further: a backend that panics costs its own exchange and
//! nothing else, and a subscriber or a waker of the user's that panics costs only what it was told.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;

use crate::types::error::{LockError, LockErrorKind, Result};

/// The backend's future, with a panic turned into an error that says "perhaps applied".
pub(crate) async fn caught<T>(exchange: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(exchange).catch_unwind().await.unwrap_or_else(|panic| Err(error(&*panic)))
}

/// Runs what may call a subscriber or a waker of the user's; `None` if that panicked.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// What a caller is told of a panic.
pub(crate) fn error(panic: &(dyn Any + Send)) -> LockError {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    LockError::new(LockErrorKind::Backend, format!("the backend panicked: {text}"))
}

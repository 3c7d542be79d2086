//! A backend that panics costs its own exchange and nothing else.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::error::{LockError, LockErrorKind, Result};

/// The backend's future, with a panic turned into an error that says "perhaps applied".
pub(crate) async fn caught<T>(exchange: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(exchange).catch_unwind().await.unwrap_or_else(|panic| Err(error(&*panic)))
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

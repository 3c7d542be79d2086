//! Panics of somebody else's code go no further: a backend that panics costs its own exchange and
//! nothing else, and a subscriber or a waker of the user's that panics costs only what it was told.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};

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

/// A waker that wakes another one, whose panic goes no further.
///
/// A future that is polled on somebody's behalf may leave that one's waker with a thread of the
/// library's own, which must outlive whatever the waker does.
pub(crate) fn contained_waker(waker: &Waker) -> Waker {
    Waker::from(Arc::new(Contained(waker.clone())))
}

struct Contained(Waker);

impl Wake for Contained {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        contained(|| self.0.wake_by_ref());
    }
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

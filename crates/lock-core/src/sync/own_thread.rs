//! Which threads are the library's own: nothing may hold them up.

use std::cell::Cell;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// The current thread is one of the library's own from now on.
pub(crate) fn mark() {
    IS_OWN.set(true);
}

/// Whether the current thread is one of the library's own.
pub(crate) fn is_current() -> bool {
    IS_OWN.get()
}

//! Small tools for tasks and threads that wait for each other, and for panics of somebody else's code.

pub(crate) mod blocking;
pub(crate) mod lazy_notify;
pub(crate) mod own_thread;
pub(crate) mod panics;
pub(crate) mod wait_group;

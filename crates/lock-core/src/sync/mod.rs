//! Small tools for tasks that wait for each other, and for panics of somebody else's code.

pub(crate) mod block_on;
pub(crate) mod lazy_notify;
pub(crate) mod panics;
pub(crate) mod wait_group;

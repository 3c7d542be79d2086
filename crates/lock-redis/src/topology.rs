//! Whom a command is said to.

pub(crate) mod dialer;
pub(crate) mod route;
pub(crate) mod sentinel;
pub(crate) mod standalone;

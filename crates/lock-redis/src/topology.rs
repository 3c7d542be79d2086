//! Whom a command is said to.

pub(crate) mod route;
pub(crate) mod standalone;

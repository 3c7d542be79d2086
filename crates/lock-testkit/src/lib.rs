//! Conformance suite, history checker, fault proxy and real servers for tests of lock backends.

pub mod history;
pub mod proxy;
pub mod server;

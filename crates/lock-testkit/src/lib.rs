//! Conformance suite, history checker and fault proxy for lock backends.

pub mod server;

//! Conformance suite, history checker and fault proxy for lock backends.

pub mod history;
pub mod proxy;

//! Conformance suite, history checker, fault proxy and real servers for tests of lock backends.
//!
//! - [`conformance`] proves a backend claim by claim; [`broken`] proves that the suite can fail.
//! - [`contention`] lets many workers fight for one name; [`history`] checks what they saw.
//! - [`proxy`] makes a network fail, [`server`] starts a real store.
//! - [`spy`] and [`limited`] stand before a backend: one watches it, one takes abilities away.

pub mod broken;
pub mod conformance;
pub mod contention;
pub mod history;
pub mod limited;
pub mod proxy;
pub mod server;
pub mod spy;

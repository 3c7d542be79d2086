//! Conformance suite, history checker and fault proxy for tests of lock backends.
//!
//! - [`conformance`] proves a backend claim by claim; [`broken`] proves that the suite can fail.
//! - [`contention`] lets many workers fight for one name; [`history`] checks what they saw.
//! - [`proxy`] makes a network fail.
//! - [`spy`] and [`limited`] stand before a backend: one watches it, one takes abilities away.
//! - [`direct`] sends single requests to a backend.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "conformance")]
pub mod broken;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "conformance")]
pub mod contention;
#[cfg(feature = "conformance")]
pub mod direct;
pub mod history;
#[cfg(feature = "conformance")]
pub mod limited;
pub mod proxy;
#[cfg(feature = "conformance")]
pub mod spy;

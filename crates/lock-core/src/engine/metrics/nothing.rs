//! Metrics without the feature `metrics`: none.

use std::convert::Infallible;

use super::{Count, Level, Spread};
use crate::backend::AnyBackend;
use crate::types::name::LockName;

/// Nobody can ask for a label.
pub(crate) type LabelOf = Infallible;

#[derive(Clone)]
pub(crate) struct Metrics;

impl Metrics {
    /// Whether anything is measured, which may be worth a look at the clock.
    pub(crate) const ON: bool = false;

    pub(crate) const fn new(_: &AnyBackend, _: Option<LabelOf>) -> Self {
        Self
    }

    pub(crate) const fn begin(&self) {}

    pub(crate) const fn count(&self, _: Count, _: Option<&LockName>) {}

    pub(crate) const fn raise(&self, _: Level, _: Option<&LockName>) {}

    pub(crate) const fn lower(&self, _: Level, _: Option<&LockName>) {}

    pub(crate) const fn set(&self, _: Level, _: bool) {}

    pub(crate) const fn measure(&self, _: Spread, _: Option<&LockName>, _: f64) {}
}

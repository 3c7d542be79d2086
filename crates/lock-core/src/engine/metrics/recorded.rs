//! Metrics that are told to the recorder of the crate `metrics`.
//!
//! The handles that a recorder gives out are kept, so that nothing is looked up or allocated for each
//! operation. The recorder is the one that there is when the service is first used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::Label;

use super::series::{Series, describe};
use super::{Count, Level, Spread};
use crate::backend::{AnyBackend, LockBackend};
use crate::sync::panics;
use crate::types::name::LockName;

/// The value of the label `lock` for a lock of this name.
pub(crate) type LabelOf = Arc<dyn for<'a> Fn(&'a LockName) -> &'a str + Send + Sync>;

/// So many values of the label `lock` are told apart.
const MAX_LABELS: usize = 1_000;

/// The value for all others.
const OTHERS: &str = "(others)";

/// The metrics of one service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Shared>);

struct Shared {
    backend: AnyBackend,
    label_of: Option<LabelOf>,
    /// Without the label `lock`.
    plain: OnceLock<Series>,
    /// By the value of that label.
    labelled: Mutex<HashMap<Box<str>, Arc<Series>>>,
}

impl Metrics {
    /// Whether anything is measured, which may be worth a look at the clock.
    pub(crate) const ON: bool = true;

    pub(crate) fn new(backend: &AnyBackend, label_of: Option<LabelOf>) -> Self {
        let (backend, plain, labelled) = (backend.clone(), OnceLock::new(), Mutex::default());
        Self(Arc::new(Shared { backend, label_of, plain, labelled }))
    }

    /// The service is used: from now on its metrics are there, with the value zero at first.
    pub(crate) fn begin(&self) {
        // A recorder that panics does not keep the service from being used.
        panics::contained(|| {
            self.plain();
        });
    }

    pub(crate) fn count(&self, what: Count, lock: Option<&LockName>) {
        self.with(lock, |series| series.count(what).increment(1));
    }

    pub(crate) fn raise(&self, what: Level, lock: Option<&LockName>) {
        self.with(lock, |series| series.level(what).increment(1.0));
    }

    pub(crate) fn lower(&self, what: Level, lock: Option<&LockName>) {
        self.with(lock, |series| series.level(what).decrement(1.0));
    }

    /// Of the store, so without a lock.
    pub(crate) fn set(&self, what: Level, is_so: bool) {
        self.with(None, |series| series.level(what).set(f64::from(u8::from(is_so))));
    }

    pub(crate) fn measure(&self, what: Spread, lock: Option<&LockName>, value: f64) {
        self.with(lock, |series| series.spread(what).record(value));
    }

    /// A recorder, or a label, that panics costs its own metric.
    fn with(&self, lock: Option<&LockName>, record: impl FnOnce(&Series)) {
        panics::contained(|| match self.0.label_of.as_ref().zip(lock) {
            None => record(self.plain()),
            Some((label_of, lock)) => record(&self.labelled(label_of(lock))),
        });
    }

    fn plain(&self) -> &Series {
        self.0.plain.get_or_init(|| {
            describe();
            let series = Series::new(self.labels());
            series.register_store();
            if self.0.label_of.is_none() {
                series.register_locks();
                series.register_spreads();
            }
            series.level(Level::StoreUp).set(1.0);
            series
        })
    }

    fn labelled(&self, label: &str) -> Arc<Series> {
        let mut labelled = self.0.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = labelled.get(label) {
            return Arc::clone(series);
        }
        let label = if labelled.len() < MAX_LABELS { label } else { OTHERS };
        let series = labelled.entry(label.into()).or_insert_with(|| {
            let mut labels = self.labels();
            labels.push(Label::new("lock", label.to_owned()));
            // Without the histograms, which are many series each.
            let series = Series::new(labels);
            series.register_locks();
            Arc::new(series)
        });
        Arc::clone(series)
    }

    fn labels(&self) -> Vec<Label> {
        let Shared { backend, .. } = &*self.0;
        vec![Label::new("backend", backend.kind()), Label::new("store", backend.address())]
    }
}

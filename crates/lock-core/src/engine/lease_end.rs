//! The end of a lease that a user had: what is measured of it, and the advice for those whose leases
//! are hardly long enough.

use crate::engine::hold::Used;
use crate::engine::metrics::{Count, Level, Spread};
use crate::engine::plan::Target;
use crate::engine::store::Store;
use crate::engine::telemetry;
use crate::types::loss::{LeaseEnd, LossReason};

/// A lease of which more than this part of the ttl was used is hardly long enough.
const TIGHT: f64 = 0.8;

/// A lease has ended that a user had.
pub(crate) fn ended(store: &Store, Target { name, key }: &Target, used: Used) {
    let (metrics, lock) = (store.metrics(), Some(name));
    metrics.lower(Level::Held, lock);
    metrics.measure(Spread::Hold, lock, used.held.as_secs_f64());
    if let Some(lost) = used.end.loss().and_then(Count::lost) {
        metrics.count(lost, lock);
    }
    // What ended otherwise could have been held for longer.
    if matches!(used.end, LeaseEnd::Released | LeaseEnd::Lost(LossReason::Expired)) {
        let spread = if used.keeps_alive { Spread::UsedKept } else { Spread::UsedFixed };
        metrics.measure(spread, lock, used.part);
    }
    if used.end == LeaseEnd::Released && used.part > TIGHT && store.advice().is_new(key) {
        telemetry::lease_tight(store, name, used);
    }
}

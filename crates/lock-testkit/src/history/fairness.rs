//! How fairly the leases were shared out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::record::History;

/// How the leases of a history were shared out among the workers that asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fairness {
    /// Leases by process and worker; a worker that asked in vain has 0.
    pub shares: BTreeMap<(String, u64), u64>,
    /// Jain's index of the shares: 1 when all are equal, 1/n when one of n workers got all.
    ///
    /// Jain, Chiu and Hawe, "A Quantitative Measure of Fairness and Discrimination for Resource
    /// Allocation in Shared Computer Systems", DEC-TR-301, 1984.
    pub jain_index: f64,
    /// The longest time from an attempt to its answer, of whatever kind.
    pub longest_wait: Duration,
}

impl History {
    /// How the leases were shared out.
    #[must_use]
    pub fn fairness(&self) -> Fairness {
        let mut shares = BTreeMap::new();
        for attempt in &self.attempts {
            shares.entry((attempt.process.clone(), attempt.worker)).or_insert(0);
        }
        for lease in &self.leases {
            *shares.entry((lease.process.clone(), lease.worker)).or_insert(0) += 1;
        }
        let served = self.leases.iter().map(|lease| (lease.asked_at, lease.granted_at));
        let told = self.attempts.iter().filter_map(|attempt| {
            attempt.answer.as_ref().map(|(answered_at, _)| (attempt.asked_at, *answered_at))
        });
        let waits = served.chain(told).map(|(asked_at, at)| at.saturating_sub(asked_at));
        let longest_wait = Duration::from_nanos(waits.max().unwrap_or(0));
        Fairness { jain_index: jain_index(shares.values().copied()), shares, longest_wait }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of leases are far below 2^52")]
fn jain_index(shares: impl Iterator<Item = u64> + Clone) -> f64 {
    let sum: f64 = shares.clone().map(|share| share as f64).sum();
    let squares: f64 = shares.clone().map(|share| (share as f64).powi(2)).sum();
    // Where nobody got anything, all got the same.
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.count() as f64 * squares) }
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shares, jain_index, longest_wait } = self;
        let workers = shares.len();
        write!(f, "{workers} workers, Jain index {jain_index:.3}, longest wait {longest_wait:?}")
    }
}

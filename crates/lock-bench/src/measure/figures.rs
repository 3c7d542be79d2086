//! What was measured: a figure a round, by name, and how several make one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// One contender in one setting, over all rounds.
pub(crate) struct Cell {
    pub(crate) contender: String,
    pub(crate) workers: usize,
    /// Over how many processes the workers are spread.
    pub(crate) processes: usize,
    /// Whether the CPUs were kept awake.
    pub(crate) awake: bool,
    figures: BTreeMap<&'static str, Vec<f64>>,
}

impl Cell {
    pub(crate) fn new(contender: impl Into<String>, workers: usize) -> Self {
        let contender = contender.into();
        Self { contender, workers, processes: 1, awake: false, figures: BTreeMap::new() }
    }

    pub(crate) fn over_processes(mut self, processes: usize) -> Self {
        self.processes = processes;
        self
    }

    pub(crate) fn kept_awake(mut self, awake: bool) -> Self {
        self.awake = awake;
        self
    }

    /// Takes a figure of one more round in; its name holds its unit.
    pub(crate) fn add(&mut self, name: &'static str, figure: f64) {
        self.figures.entry(name).or_default().push(figure);
    }

    /// What all rounds say of it, if it was measured.
    pub(crate) fn figure(&self, name: &str) -> Option<Spread> {
        self.figures.get(name).and_then(|rounds| Spread::of(rounds))
    }

    pub(crate) fn to_json(&self, workload: &str) -> Value {
        let figures: serde_json::Map<String, Value> = self
            .figures
            .iter()
            .filter_map(|(name, rounds)| {
                let Spread { median, min, max } = Spread::of(rounds)?;
                Some(((*name).to_owned(), json!({ "median": median, "min": min, "max": max })))
            })
            .collect();
        json!({
            "workload": workload,
            "contender": self.contender,
            "workers": self.workers,
            "processes": self.processes,
            "awake": self.awake,
            "figures": figures,
        })
    }
}

/// The middle of some figures, and how far they are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self { median: sorted[sorted.len() / 2], min, max })
    }
}

/// What this part of the figures stays below; zero if there are none.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index between nothing and the last"
    )]
    let at = (last as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Jain's index (Jain, Chiu and Hawe 1984): 1 if all have the same, 1/n if one has all.
pub(crate) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (count(shares.len()) * squares) }
}

/// The most that anybody was overtaken by: how many asked later and were granted earlier.
/// A grant is the instants of asking and granting.
pub(crate) fn most_overtaken(grants: &mut [(u64, u64)]) -> u64 {
    // From the last who asked to the first: whoever was passed already asked later.
    grants.sort_unstable_by(|one, other| other.cmp(one));
    let mut by_grant: Vec<u64> = grants.iter().map(|&(_, granted)| granted).collect();
    by_grant.sort_unstable();
    // A tree of partial sums (Fenwick 1994), so that it is n log n.
    let mut sums = vec![0_u64; by_grant.len() + 1];
    let mut most = 0;
    for &(_, granted) in grants.iter() {
        let rank = by_grant.partition_point(|&other| other < granted);
        let mut overtaken = 0;
        let mut at = rank;
        while at > 0 {
            overtaken += sums[at];
            at &= at - 1;
        }
        most = most.max(overtaken);
        at = rank + 1;
        while at < sums.len() {
            sums[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    most
}

/// A number of things as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn count(number: impl TryInto<u64>) -> f64 {
    number.try_into().unwrap_or(u64::MAX) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_both_ends() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]);
        assert_eq!(spread, Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn quantiles_are_taken_from_the_sorted_figures() {
        let figures: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!((quantile(&figures, 0.5), quantile(&figures, 1.0)), (50.0, 100.0));
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn jains_index_tells_the_just_from_the_unjust() {
        assert_eq!(jain(&[2.0, 2.0, 2.0, 2.0]), 1.0);
        assert_eq!(jain(&[8.0, 0.0, 0.0, 0.0]), 0.25);
    }

    #[test]
    fn whoever_asked_first_and_is_served_last_was_overtaken_by_all_others() {
        assert_eq!(most_overtaken(&mut [(1, 10), (2, 11), (3, 12)]), 0);
        assert_eq!(most_overtaken(&mut [(1, 12), (2, 10), (3, 11)]), 2);
        assert_eq!(most_overtaken(&mut [(1, 10), (2, 13), (3, 11), (4, 12)]), 2);
    }
}

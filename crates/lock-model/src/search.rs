//! A breadth-first search through every state of a model.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

/// Something whose states can be enumerated.
pub trait Model {
    /// One state.
    type State;
    /// What leads from one state to the next.
    type Event: Display;

    /// The first state.
    fn start(&self) -> Self::State;

    /// Every event that is possible in a state, with what it leads to, always in the same order.
    fn successors(&self, state: &Self::State) -> Vec<(Self::Event, Self::State)>;

    /// What identifies a state; two states that can never be told apart may share it.
    fn fingerprint(&self, state: &Self::State) -> u128;

    /// The property that a state breaks.
    fn breach(&self, state: &Self::State) -> Option<String>;

    /// The property that a state breaks by being one in which nothing can happen any more.
    fn breach_at_the_end(&self, state: &Self::State) -> Option<String>;

    /// Three numbers whose maxima over all states are worth knowing.
    fn extent(&self, _: &Self::State) -> [u8; 3] {
        [0; 3]
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Distinct states.
    pub states: usize,
    /// Events on the longest of the shortest paths.
    pub depth: usize,
    /// The maxima of [`Model::extent`].
    pub extent: [u8; 3],
    /// How long the search took.
    pub took: Duration,
    /// How it ended.
    pub end: End,
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every state was seen, and none breaks a property.
    Exhausted,
    /// The limit of states was reached without a breach.
    Capped,
    /// A property is broken.
    Broken {
        /// Which one.
        property: String,
        /// The shortest way there.
        trace: Vec<String>,
    },
}

/// Visits the states of a model in order of their distance from the start, at most `cap` of them.
pub fn explore<M: Model>(model: &M, cap: usize) -> Report {
    let began = Instant::now();
    let mut seen = Seen::default();
    // The parent of each state, and which of its successors it is: enough to walk there again.
    let mut origins: Vec<(u32, u16)> = Vec::new();
    let start = model.start();
    seen.insert(model.fingerprint(&start));
    origins.push((0, 0));
    let mut frontier = vec![(0_u32, start)];
    let mut next_id = 1_u32;
    let mut depth = 0;
    let mut extent = [0; 3];
    let report =
        |end, states, depth, extent| Report { states, depth, extent, took: began.elapsed(), end };

    while !frontier.is_empty() {
        let mut following = Vec::new();
        for (id, state) in frontier {
            let successors = model.successors(&state);
            for (most, now) in extent.iter_mut().zip(model.extent(&state)) {
                *most = now.max(*most);
            }
            let found = model.breach(&state).or_else(|| {
                successors.is_empty().then(|| model.breach_at_the_end(&state)).flatten()
            });
            if let Some(property) = found {
                let trace = trace(model, &origins, id);
                return report(End::Broken { property, trace }, origins.len(), depth, extent);
            }
            for (nth, (_, successor)) in (0_u16..).zip(successors) {
                if seen.insert(model.fingerprint(&successor)) {
                    origins.push((id, nth));
                    following.push((next_id, successor));
                    next_id += 1;
                }
            }
            if origins.len() >= cap {
                return report(End::Capped, origins.len(), depth, extent);
            }
        }
        frontier = following;
        depth += usize::from(!frontier.is_empty());
    }
    report(End::Exhausted, origins.len(), depth, extent)
}

fn trace<M: Model>(model: &M, origins: &[(u32, u16)], id: u32) -> Vec<String> {
    let mut turns = Vec::new();
    let mut at = id;
    while at != 0 {
        let (parent, nth) = origins[at as usize];
        turns.push(nth);
        at = parent;
    }
    let mut state = model.start();
    let mut events = Vec::new();
    for nth in turns.into_iter().rev() {
        let Some((event, next)) = model.successors(&state).into_iter().nth(usize::from(nth)) else {
            break;
        };
        events.push(event.to_string());
        state = next;
    }
    events
}

type Seen = HashSet<u128, BuildHasherDefault<AlreadyHashed>>;

/// Fingerprints are evenly spread, so their lower half serves the set as it is.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        let [low, _] = halves(fingerprint);
        self.0 = low;
    }
}

/// A hash of 128 bits: among ten million states, the odds that two share one are below 10^-24.
#[must_use]
pub fn fingerprint(value: &impl Hash) -> u128 {
    let mut hasher = Fingerprint { low: 0x243f_6a88_85a3_08d3, high: 0x1319_8a2e_0370_7344 };
    value.hash(&mut hasher);
    // Two more rounds, so that the last word reaches every bit.
    hasher.write_u64(0);
    hasher.write_u64(1);
    (u128::from(hasher.high) << 64) | u128::from(hasher.low)
}

struct Fingerprint {
    low: u64,
    high: u64,
}

fn halves(word: u128) -> [u64; 2] {
    let bytes = word.to_le_bytes();
    let half = |from: usize| {
        bytes[from..from + 8].iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte))
    };
    [half(0), half(8)]
}

/// The two halves of the product, one folded onto the other.
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart on purpose")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.low
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let carried = self.high;
        self.high ^= folded(self.low ^ word, 0xa076_1d64_78bd_642f).rotate_left(23);
        self.low = folded(carried ^ word.rotate_left(32), 0xe703_7ed1_a0b4_28db)
            ^ self.low.rotate_left(41);
    }

    fn write_u128(&mut self, word: u128) {
        for half in halves(word) {
            self.write_u64(half);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to a number by ones and twos.
    struct Stairs {
        top: u8,
        broken: Option<u8>,
        trap: bool,
    }

    impl Model for Stairs {
        type State = u8;
        type Event = u8;

        fn start(&self) -> u8 {
            0
        }

        fn successors(&self, state: &u8) -> Vec<(u8, u8)> {
            [1, 2]
                .map(|step| (step, state + step))
                .into_iter()
                .filter(|s| s.1 <= self.top)
                .collect()
        }

        fn fingerprint(&self, state: &u8) -> u128 {
            fingerprint(state)
        }

        fn breach(&self, state: &u8) -> Option<String> {
            (Some(*state) == self.broken).then(|| "broken".into())
        }

        fn breach_at_the_end(&self, _: &u8) -> Option<String> {
            self.trap.then(|| "trapped".into())
        }
    }

    #[test]
    fn every_state_is_visited_once() {
        let report = explore(&Stairs { top: 100, broken: None, trap: false }, 1_000);
        assert_eq!((report.states, report.depth, report.end), (101, 50, End::Exhausted));
    }

    #[test]
    fn the_trace_is_a_shortest_one() {
        let report = explore(&Stairs { top: 100, broken: Some(5), trap: false }, 1_000);
        let End::Broken { trace, .. } = report.end else { panic!("{:?}", report.end) };
        assert_eq!(trace.len(), 3);
    }

    #[test]
    fn a_state_without_a_way_out_is_judged() {
        let report = explore(&Stairs { top: 3, broken: None, trap: true }, 1_000);
        assert!(matches!(report.end, End::Broken { property, .. } if property == "trapped"));
    }

    #[test]
    fn a_search_that_is_cut_short_says_so() {
        let report = explore(&Stairs { top: 100, broken: None, trap: false }, 10);
        assert_eq!(report.end, End::Capped);
    }

    #[test]
    fn small_differences_change_both_halves_of_a_fingerprint() {
        let mut halves_seen = [HashSet::new(), HashSet::new()];
        for a in 0..100_u8 {
            for b in 0..100_u8 {
                for (seen, half) in halves_seen.iter_mut().zip(halves(fingerprint(&(a, b)))) {
                    assert!(seen.insert(half));
                }
            }
        }
    }
}

//! A breadth-first search through every state of a model.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::BuildHasherDefault;
use std::time::{Duration, Instant};

use crate::fingerprint::AlreadyHashed;

/// A scenario whose states can be enumerated.
pub trait Model: Sync {
    /// One state.
    type State;
    /// What leads from one state to the next.
    type Event: Copy + Display;

    /// What it is called, and how large it is.
    fn outline(&self) -> Outline;

    /// The first state.
    fn start(&self) -> Self::State;

    /// Every event that is possible in a state, always in the same order.
    fn events(&self, state: &Self::State) -> Vec<Self::Event>;

    /// The state after an event.
    fn after(&self, state: &Self::State, event: Self::Event) -> Self::State;

    /// What identifies a state; two states that can never be told apart may share it.
    fn fingerprint(&self, state: &Self::State) -> u128;

    /// The property that a state breaks.
    fn breach(&self, state: &Self::State) -> Option<String>;

    /// Whether everybody is done, so that nothing need happen any more.
    fn is_over(&self, state: &Self::State) -> bool;

    /// Three numbers whose maxima over all states are worth knowing.
    fn extent(&self, _: &Self::State) -> [u8; 3] {
        [0; 3]
    }

    /// What the maxima of [`Model::extent`] say; empty if nothing.
    fn describe(&self, _extent: [u8; 3]) -> String {
        String::new()
    }
}

/// What the command line sees of a scenario, whichever model it is of.
pub trait Case: Sync {
    /// What it is called, and how large it is.
    fn outline(&self) -> Outline;

    /// Visits its states, at most `cap` of them.
    fn explore(&self, cap: usize) -> Report;

    /// What [`Report::extent`] says; empty if nothing.
    fn describe(&self, extent: [u8; 3]) -> String;
}

impl<M: Model> Case for M {
    fn outline(&self) -> Outline {
        Model::outline(self)
    }

    fn explore(&self, cap: usize) -> Report {
        explore(self, cap)
    }

    fn describe(&self, extent: [u8; 3]) -> String {
        Model::describe(self, extent)
    }
}

/// What a scenario is called, and how large it is.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    /// Its name.
    pub name: &'static str,
    /// Whether it is small enough for every change: a million states at most.
    pub quick: bool,
    /// Whether a bug is seeded in it.
    pub has_bug: bool,
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

type Seen = HashSet<u128, BuildHasherDefault<AlreadyHashed>>;

/// Visits the states of a model in order of their distance from the start, at most `cap` of them.
pub fn explore<M: Model>(model: &M, cap: usize) -> Report {
    let began = Instant::now();
    let mut seen = Seen::default();
    // The parent of each state, and which of its events led to it: enough to walk there again.
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
            let events = model.events(&state);
            for (most, now) in extent.iter_mut().zip(model.extent(&state)) {
                *most = now.max(*most);
            }
            let found = model.breach(&state).or_else(|| {
                let is_stuck = events.is_empty() && !model.is_over(&state);
                is_stuck.then(|| "S7: nothing can happen, and not everybody is done".to_owned())
            });
            if let Some(property) = found {
                let trace = trace(model, &origins, id);
                return report(End::Broken { property, trace }, origins.len(), depth, extent);
            }
            for (nth, event) in (0_u16..).zip(events) {
                let successor = model.after(&state, event);
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
    let mut trace = Vec::new();
    for nth in turns.into_iter().rev() {
        let Some(&event) = model.events(&state).get(usize::from(nth)) else { break };
        trace.push(event.to_string());
        state = model.after(&state, event);
    }
    trace
}

/// What the tests of each model claim of its scenarios.
#[cfg(test)]
pub(crate) mod claims {
    use super::{Case, End};

    /// Each is found by the property that it breaks.
    pub(crate) fn bugs_are_found<'a, C: Case + 'a>(
        bugs: impl IntoIterator<Item = &'a (C, &'static str)>,
        cap: usize,
    ) {
        for (case, expected) in bugs {
            match case.explore(cap).end {
                End::Broken { property, .. } => {
                    assert!(property.starts_with(expected), "{}: {property}", case.outline().name);
                }
                end => panic!("{}: {end:?}", case.outline().name),
            }
        }
    }

    /// As far as the search gets, none breaks a property.
    pub(crate) fn nothing_is_found(cases: impl IntoIterator<Item = impl Case>, cap: usize) {
        for case in cases {
            let end = case.explore(cap).end;
            assert!(!matches!(end, End::Broken { .. }), "{}: {end:?}", case.outline().name);
        }
    }

    /// Those of these names hold.
    pub(crate) fn they_hold(cases: &[impl Case], names: &[&str], cap: usize) {
        for name in names {
            let case = cases.iter().find(|case| case.outline().name == *name).unwrap();
            assert_eq!(case.explore(cap).end, End::Exhausted, "{name}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::fingerprint;

    /// Counts to a number by ones and twos.
    struct Stairs {
        top: u8,
        broken: Option<u8>,
        trap: bool,
    }

    impl Model for Stairs {
        type State = u8;
        type Event = u8;

        fn outline(&self) -> Outline {
            Outline { name: "stairs", quick: true, has_bug: false }
        }

        fn start(&self) -> u8 {
            0
        }

        fn events(&self, state: &u8) -> Vec<u8> {
            [1, 2].into_iter().filter(|step| state + step <= self.top).collect()
        }

        fn after(&self, state: &u8, step: u8) -> u8 {
            state + step
        }

        fn fingerprint(&self, state: &u8) -> u128 {
            fingerprint(state)
        }

        fn breach(&self, state: &u8) -> Option<String> {
            (Some(*state) == self.broken).then(|| "broken".into())
        }

        fn is_over(&self, _: &u8) -> bool {
            !self.trap
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
        assert!(matches!(report.end, End::Broken { property, .. } if property.starts_with("S7")));
    }

    #[test]
    fn a_search_that_is_cut_short_says_so() {
        let report = explore(&Stairs { top: 100, broken: None, trap: false }, 10);
        assert_eq!(report.end, End::Capped);
    }
}

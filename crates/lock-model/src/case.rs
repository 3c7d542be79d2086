//! What the command line sees of a scenario, whichever model it is of.

use crate::search::Report;

/// A scenario of one of the models.
pub trait Case: Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Whether it is small enough for every change: a million states at most.
    fn is_quick(&self) -> bool;

    /// Whether a bug is seeded in it.
    fn has_bug(&self) -> bool;

    /// Visits its states, at most `cap` of them.
    fn explore(&self, cap: usize) -> Report;

    /// What the maxima of [`Model::extent`](crate::search::Model::extent) say; empty if nothing.
    fn describe(&self, _extent: [u8; 3]) -> String {
        String::new()
    }
}

/// What the tests of each model claim of its scenarios.
#[cfg(test)]
pub(crate) mod claims {
    use super::Case;
    use crate::search::End;

    /// Each is found by the property that it breaks.
    pub(crate) fn bugs_are_found<'a, C: Case + 'a>(
        bugs: impl IntoIterator<Item = &'a (C, &'static str)>,
        cap: usize,
    ) {
        for (case, expected) in bugs {
            match case.explore(cap).end {
                End::Broken { property, .. } => {
                    assert!(property.starts_with(expected), "{}: {property}", case.name());
                }
                end => panic!("{}: {end:?}", case.name()),
            }
        }
    }

    /// As far as the search gets, none breaks a property.
    pub(crate) fn nothing_is_found(cases: impl IntoIterator<Item = impl Case>, cap: usize) {
        for case in cases {
            let end = case.explore(cap).end;
            assert!(!matches!(end, End::Broken { .. }), "{}: {end:?}", case.name());
        }
    }

    /// Those of these names hold.
    pub(crate) fn they_hold(cases: &[impl Case], names: &[&str], cap: usize) {
        for name in names {
            let case = cases.iter().find(|case| case.name() == *name).unwrap();
            assert_eq!(case.explore(cap).end, End::Exhausted, "{name}");
        }
    }
}

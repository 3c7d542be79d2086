//! What came of a run of the suite.

use std::fmt;

use super::claim::Claim;
use super::need::Need;

/// What came of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was proven.
    Passed,
    /// A need is not met, and what is claimed instead was proven.
    CounterPassed,
    /// It does not hold, for this reason.
    Failed(String),
    /// It says nothing about a backend that lacks this.
    NotApplicable(Vec<Need>),
}

/// A claim and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// The claim.
    pub claim: Claim,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a run of the suite; displayed as a table.
#[derive(Clone, Debug)]
#[must_use = "a report can hold failures; look at `is_clean`"]
pub struct Report {
    pub(super) backend: &'static str,
    pub(super) verdicts: Vec<Verdict>,
}

impl Report {
    /// Every claim, in the order of the suite.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// The claims that do not hold, with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&Claim, &str)> {
        self.verdicts.iter().filter_map(|verdict| match &verdict.outcome {
            Outcome::Failed(reason) => Some((&verdict.claim, reason.as_str())),
            _ => None,
        })
    }

    /// Whether every claim that applies holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures().next().is_none()
    }

    /// How many claims or their counter-claims were proven.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Passed | Outcome::CounterPassed))
    }

    /// How many do not hold.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// How many say nothing about this backend.
    #[must_use]
    pub fn not_applicable(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::NotApplicable(_)))
    }

    fn count(&self, is_counted: fn(&Outcome) -> bool) -> usize {
        self.verdicts.iter().filter(|verdict| is_counted(&verdict.outcome)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.verdicts.iter().map(|verdict| verdict.claim.path().len()).max();
        for verdict in &self.verdicts {
            writeln!(
                f,
                "{:width$}  {}",
                verdict.claim.path(),
                verdict,
                width = width.unwrap_or(0)
            )?;
        }
        write!(
            f,
            "{}: {} passed, {} failed, {} not applicable",
            self.backend,
            self.passed(),
            self.failed(),
            self.not_applicable()
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Passed => f.write_str("passed"),
            Outcome::CounterPassed => {
                write!(f, "passed: {}", self.claim.counter_claim().unwrap_or_default())
            }
            Outcome::Failed(reason) => write!(f, "FAILED: {reason} ({})", self.claim.text()),
            Outcome::NotApplicable(missing) => write!(f, "not applicable: no {}", listed(missing)),
        }
    }
}

pub(super) fn listed(needs: &[Need]) -> String {
    needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

//! What a check found.

use std::fmt;

use super::fairness::Fairness;
use super::record::{Attempt, Lease};

/// How many violations a report prints; the rest is counted.
const PRINTED: usize = 20;

/// A claim that does not hold, with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Two leases of one name were valid at one time.
    Overlap {
        /// The one that was granted first.
        first: Lease,
        /// The one that was granted while the first was valid.
        second: Lease,
        /// For how long both were valid, in nanoseconds.
        by_ns: u64,
    },
    /// Two leases of one name have the same fencing token.
    TokenRepeats {
        /// The one that was granted first.
        first: Lease,
        /// The other.
        second: Lease,
    },
    /// A lease has a smaller fencing token than one that was over before it.
    TokenFalls {
        /// The one that was over.
        earlier: Lease,
        /// The one that came after it.
        later: Lease,
    },
    /// A lease has no fencing token though the run claims them.
    TokenMissing {
        /// The lease.
        lease: Lease,
    },
    /// An attempt was neither served nor told anything.
    NeverAnswered {
        /// The attempt.
        attempt: Attempt,
    },
    /// A lease came later than the run claims.
    ServedLate {
        /// The lease.
        lease: Lease,
        /// How long its worker waited, in nanoseconds.
        waited_ns: u64,
    },
    /// Another answer came later than the run claims.
    ToldLate {
        /// The attempt.
        attempt: Attempt,
        /// How long its worker waited, in nanoseconds.
        waited_ns: u64,
    },
    /// A worker used its lease after the deadline and took it for its own.
    UsedAfterDeadline {
        /// The lease.
        lease: Lease,
        /// How long after the deadline, in nanoseconds.
        by_ns: u64,
    },
    /// The times of a lease do not rise, so the record is wrong.
    TimesReversed {
        /// The lease.
        lease: Lease,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap { first, second, by_ns } => {
                write!(f, "{}: two leases were valid together for {by_ns} ns", first.name)?;
                write!(f, ": [{first}] and [{second}]")
            }
            Self::TokenRepeats { first, second } => {
                write!(f, "{}: a fencing token repeats: [{first}] and [{second}]", first.name)
            }
            Self::TokenFalls { earlier, later } => {
                write!(f, "{}: fencing tokens fall: [{earlier}], then [{later}]", later.name)
            }
            Self::TokenMissing { lease } => {
                write!(f, "{}: a lease has no fencing token: [{lease}]", lease.name)
            }
            Self::NeverAnswered { attempt } => {
                write!(f, "{}: an attempt was never answered: [{attempt}]", attempt.name)
            }
            Self::ServedLate { lease, waited_ns } => {
                write!(f, "{}: a lease came after {waited_ns} ns: [{lease}]", lease.name)
            }
            Self::ToldLate { attempt, waited_ns } => {
                write!(f, "{}: an answer came after {waited_ns} ns: [{attempt}]", attempt.name)
            }
            Self::UsedAfterDeadline { lease, by_ns } => {
                write!(f, "{}: a lease was used {by_ns} ns after its deadline", lease.name)?;
                write!(f, ": [{lease}]")
            }
            Self::TimesReversed { lease } => {
                write!(f, "{}: the times of a lease do not rise", lease.name)?;
                write!(f, " (asked at {}): [{lease}]", lease.asked_at)
            }
        }
    }
}

/// The result of a check; prints itself for a test's failure.
#[derive(Clone, Debug)]
#[must_use = "a report tells whether the check found something"]
pub struct Report {
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// How many leases were checked.
    pub leases: usize,
    /// How many other attempts were checked.
    pub attempts: usize,
    /// How the leases were shared out.
    pub fairness: Fairness,
}

impl Report {
    /// Whether every claim holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { violations, leases, attempts, fairness } = self;
        let found = violations.len();
        write!(f, "{leases} leases, {attempts} other attempts, {found} violations; {fairness}")?;
        for violation in violations.iter().take(PRINTED) {
            write!(f, "\n  {violation}")?;
        }
        if found > PRINTED {
            write!(f, "\n  and {} more", found - PRINTED)?;
        }
        Ok(())
    }
}

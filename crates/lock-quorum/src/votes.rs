//! What the answers of the members mean together. Pure: no I/O, no clock.

/// How many members there are, and how many of them decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Majority {
    members: usize,
}

impl Majority {
    pub(crate) const fn of(members: usize) -> Self {
        Self { members }
    }

    pub(crate) const fn members(self) -> usize {
        self.members
    }

    /// Any two groups of so many members have a member in common.
    pub(crate) const fn needed(self) -> usize {
        self.members / 2 + 1
    }

    /// So many members can fail while a majority is left.
    pub(crate) const fn spare(self) -> usize {
        self.members - self.needed()
    }
}

/// The answers to a request for a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ballot {
    majority: Majority,
    pub(crate) granted: usize,
    pub(crate) refused: usize,
    pub(crate) failed: usize,
}

/// What has come of a request for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A majority has granted it.
    Granted,
    /// A majority has answered, and no majority can grant it: others have votes.
    Refused,
    /// No majority can answer.
    NoMajority,
}

impl Ballot {
    pub(crate) const fn new(majority: Majority) -> Self {
        Self { majority, granted: 0, refused: 0, failed: 0 }
    }

    /// Whether a majority has answered.
    pub(crate) const fn has_quorum(&self) -> bool {
        self.granted + self.refused >= self.majority.needed()
    }

    /// The verdict, as soon as no answer that is missing can change it.
    pub(crate) const fn verdict(&self) -> Option<Verdict> {
        let missing = self.majority.members - self.granted - self.refused - self.failed;
        if self.granted >= self.majority.needed() {
            Some(Verdict::Granted)
        } else if self.failed > self.majority.spare() {
            Some(Verdict::NoMajority)
        } else if self.granted + missing < self.majority.needed() && self.has_quorum() {
            Some(Verdict::Refused)
        } else {
            None
        }
    }
}

/// The answers to a question about a token: to a release, or to a renewal. For a status, `yes`
/// means that somebody holds the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    majority: Majority,
    /// Members that had the lock for this token.
    pub(crate) yes: usize,
    /// Members where nobody has it.
    pub(crate) nobody: usize,
    /// Members where another token has it.
    pub(crate) other: usize,
    pub(crate) failed: usize,
}

/// What the members say of a token together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A majority had the lock for it.
    Yes,
    /// No majority had it for this token, nor for another one.
    Nobody,
    /// A majority has it for others.
    Other,
    /// So many members did not answer that it cannot be told.
    Unclear,
}

impl Tally {
    pub(crate) const fn new(majority: Majority) -> Self {
        Self { majority, yes: 0, nobody: 0, other: 0, failed: 0 }
    }

    /// Whether a majority has answered.
    pub(crate) const fn has_quorum(&self) -> bool {
        self.yes + self.nobody + self.other >= self.majority.needed()
    }

    /// The finding, as soon as no answer that is missing can change it.
    pub(crate) const fn finding(&self) -> Option<Finding> {
        let needed = self.majority.needed();
        let missing = self.majority.members - self.yes - self.nobody - self.other - self.failed;
        if self.yes >= needed {
            return Some(Finding::Yes);
        }
        // A member that fails may have had the lock for this token.
        if self.yes + self.failed + missing < needed {
            if self.other >= needed {
                return Some(Finding::Other);
            }
            if self.other + missing < needed {
                return Some(Finding::Nobody);
            }
        } else if self.failed > self.majority.spare() || missing == 0 {
            return Some(Finding::Unclear);
        }
        None
    }

    /// The finding if those that have not answered will not.
    pub(crate) const fn without_the_missing(mut self) -> Finding {
        self.failed = self.majority.members - self.yes - self.nobody - self.other;
        match self.finding() {
            Some(finding) => finding,
            None => Finding::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways in which so many members can answer one of four things, or not yet.
    fn all_answers(members: usize) -> impl Iterator<Item = [usize; 4]> {
        let range = move || 0..=members;
        range()
            .flat_map(move |a| {
                range().flat_map(move |b| {
                    range().flat_map(move |c| range().map(move |d| [a, b, c, d]))
                })
            })
            .filter(move |answers| answers.iter().sum::<usize>() <= members)
    }

    #[test]
    fn two_majorities_have_a_member_in_common() {
        for members in 3..=15 {
            let majority = Majority::of(members);
            assert!(majority.needed() * 2 > members);
            assert_eq!(majority.needed() + majority.spare(), members);
        }
        assert_eq!((Majority::of(3).spare(), Majority::of(4).spare()), (1, 1));
        assert_eq!(Majority::of(5).spare(), 2);
    }

    #[test]
    fn a_verdict_stands_whatever_the_missing_answers_are_and_comes_with_the_last_one() {
        for members in 3..=7 {
            let majority = Majority::of(members);
            for [granted, refused, failed, _] in all_answers(members).filter(|all| all[3] == 0) {
                let ballot = Ballot { majority, granted, refused, failed };
                let missing = members - granted - refused - failed;
                let verdict = ballot.verdict();
                assert!(verdict.is_some() || missing > 0, "{ballot:?}");
                let Some(verdict) = verdict else { continue };
                assert_eq!(verdict == Verdict::Granted, granted * 2 > members, "{ballot:?}");
                if missing > 0 {
                    for next in [
                        Ballot { granted: granted + 1, ..ballot },
                        Ballot { refused: refused + 1, ..ballot },
                        Ballot { failed: failed + 1, ..ballot },
                    ] {
                        assert_eq!(next.verdict(), Some(verdict), "{ballot:?}, then {next:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_finding_stands_whatever_the_missing_answers_are_and_comes_with_the_last_one() {
        for members in 3..=7 {
            let majority = Majority::of(members);
            for [yes, nobody, other, failed] in all_answers(members) {
                let tally = Tally { majority, yes, nobody, other, failed };
                let missing = members - yes - nobody - other - failed;
                let finding = tally.finding();
                assert!(finding.is_some() || missing > 0, "{tally:?}");
                let Some(finding) = finding else { continue };
                if finding == Finding::Nobody || finding == Finding::Other {
                    assert!((yes + failed) * 2 <= members, "{tally:?} may be a majority");
                }
                // More answers can only clear up what is unclear.
                if missing > 0 && finding != Finding::Unclear {
                    for next in [
                        Tally { yes: yes + 1, ..tally },
                        Tally { nobody: nobody + 1, ..tally },
                        Tally { other: other + 1, ..tally },
                        Tally { failed: failed + 1, ..tally },
                    ] {
                        assert_eq!(next.finding(), Some(finding), "{tally:?}, then {next:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_minority_that_is_down_changes_nothing_and_a_majority_that_is_down_is_said() {
        let majority = Majority::of(5);
        let granted = Ballot { granted: 3, failed: 2, ..Ballot::new(majority) };
        assert_eq!(granted.verdict(), Some(Verdict::Granted));
        let refused = Ballot { granted: 1, refused: 2, failed: 2, ..Ballot::new(majority) };
        assert_eq!(refused.verdict(), Some(Verdict::Refused));
        let down = Ballot { granted: 1, failed: 3, ..Ballot::new(majority) };
        assert_eq!(down.verdict(), Some(Verdict::NoMajority));

        let majority = Majority::of(3);
        let released = Tally { yes: 2, ..Tally::new(majority) };
        assert_eq!(released.finding(), Some(Finding::Yes));
        // One has it, one has lost it, and the third may have had it.
        let unclear = Tally { yes: 1, nobody: 1, failed: 1, ..Tally::new(majority) };
        assert_eq!(unclear.finding(), Some(Finding::Unclear));
        let lost = Tally { yes: 1, nobody: 2, ..Tally::new(majority) };
        assert_eq!(lost.finding(), Some(Finding::Nobody));
        let waiting = Tally { nobody: 1, other: 1, ..Tally::new(majority) };
        assert_eq!((waiting.finding(), waiting.without_the_missing()), (None, Finding::Nobody));
    }
}

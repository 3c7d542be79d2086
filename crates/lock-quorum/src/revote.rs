//! When a round in which nobody got a majority is followed by another one.

use std::time::Duration;

use lock_core::backend::Instant;

use crate::members::Members;
use crate::votes::Majority;

/// For how long after a request was asked it votes again at most.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// Members that refuse so many rounds in a row have a holder, who has a majority.
const REFUSED_BY_THE_SAME: u32 = 4;
/// A pause is at least drawn from this time.
const SHORTEST_WINDOW: Duration = Duration::from_micros(500);
/// After so many rounds the pauses do not grow any more.
const MOST_DOUBLINGS: u32 = 6;

/// Decides for one request.
///
/// Where several ask at the same moment, each may get the votes of a few members, and none gets a
/// majority. So whoever has got a vote gives it back and asks again after a pause, drawn at random
/// from a time that grows: sooner or later one of them is alone. Whoever got no vote has met a
/// holder, or others who go on.
pub(crate) struct Revotes {
    until: Instant,
    rounds: u32,
    /// Their last answer was a refusal.
    refusing: Members,
    /// How many rounds in a row these did.
    refused_rounds: u32,
}

impl Revotes {
    /// For a request that was asked then, for this lease.
    pub(crate) fn new(asked_at: Instant, ttl: Duration) -> Self {
        // A grant that comes late is worth less.
        let until = asked_at + (ttl / 4).min(LONGEST);
        Self { until, rounds: 0, refusing: Members::default(), refused_rounds: 0 }
    }

    /// Whether no vote may be cast any more.
    pub(crate) fn are_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// When to vote again after a round that took this long, if at all. `granted` have given their
    /// votes back, and `refused` have none to give.
    pub(crate) fn next(
        &mut self,
        majority: Majority,
        (granted, refused): (Members, Members),
        took: Duration,
        now: Instant,
    ) -> Option<Instant> {
        if granted.is_empty() || granted.union(refused).len() < majority.needed() {
            return None;
        }
        // One whose answer came too late for this round would hardly have changed its mind.
        let refusing = self.refusing.without(granted).union(refused);
        self.refused_rounds = if self.refusing == refusing { self.refused_rounds + 1 } else { 1 };
        self.refusing = refusing;
        let is_held = refusing.len() >= majority.needed();
        if is_held && self.refused_rounds >= REFUSED_BY_THE_SAME {
            return None;
        }
        let window = took.max(SHORTEST_WINDOW) * (1 << self.rounds.min(MOST_DOUBLINGS));
        self.rounds += 1;
        let at = now + window.mul_f64(fastrand::f64());
        (!self.are_over(at)).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn revotes() -> (Revotes, Instant) {
        (Revotes::new(Instant::ORIGIN, Duration::from_secs(60)), Instant::ORIGIN + MS)
    }

    fn members(all: &[usize]) -> Members {
        let mut members = Members::default();
        all.iter().for_each(|member| members.insert(*member));
        members
    }

    /// Votes among so many members, in rounds that take a millisecond each.
    fn votes(count: usize) -> impl FnMut(&[usize], &[usize]) -> Option<Instant> {
        let (mut revotes, now) = revotes();
        move |granted, refused| {
            revotes.next(Majority::of(count), (members(granted), members(refused)), MS, now)
        }
    }

    #[test]
    fn only_who_got_a_vote_and_can_get_a_majority_votes_again() {
        let (mut next, now) = (votes(3), revotes().1);
        assert_eq!(next(&[], &[0, 1, 2]), None);
        assert_eq!(next(&[0], &[]), None);
        let at = next(&[0], &[1]).unwrap();
        assert!(at >= now && at <= now + MS);
    }

    #[test]
    fn a_lock_that_the_same_members_refuse_has_a_holder() {
        let mut next = votes(3);
        for refused in [&[1, 2], &[1, 2], &[1, 2], &[0, 2], &[1, 2], &[1, 2], &[1, 2]] {
            assert!(next(&[0], refused).is_some());
        }
        assert_eq!(next(&[0], &[1, 2]), None);
    }

    #[test]
    fn a_member_that_is_late_still_counts_among_those_that_refuse() {
        let mut next = votes(5);
        for refused in [&[1, 2, 3][..], &[1, 2, 3], &[1, 2]] {
            assert!(next(&[0], refused).is_some());
        }
        assert_eq!(next(&[0], &[1, 2]), None);
    }

    #[test]
    fn a_member_that_gives_its_vote_does_not_refuse_any_more() {
        let mut next = votes(5);
        assert!(next(&[0], &[1, 2, 3]).is_some());
        for _ in 0..5 {
            assert!(next(&[0, 1], &[2, 3]).is_some());
        }
    }

    #[test]
    fn nobody_votes_for_longer_than_a_second_or_a_quarter_of_the_lease() {
        let majority = Majority::of(3);
        for (ttl, longest) in [(60_000, 1_000), (400, 100)] {
            let mut revotes = Revotes::new(Instant::ORIGIN, MS * ttl);
            let (mut now, mut rounds) = (Instant::ORIGIN + MS, 0);
            while let Some(at) = revotes.next(majority, (members(&[0, 1]), members(&[2])), MS, now)
            {
                now = at + MS;
                rounds += 1;
            }
            assert!(now <= Instant::ORIGIN + MS * (longest + 1) && rounds > 3, "{rounds} rounds");
        }
    }
}

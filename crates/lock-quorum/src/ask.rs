//! Asking for a lock: one round of votes, or several where nobody got a majority.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{AcquireReply, AcquireRequest, Grant, Instant, ReleaseRequest};
use lock_core::{LockError, LockErrorKind, Result};

use crate::absent::Absent;
use crate::failure::Failures;
use crate::member::Member;
use crate::members::Members;
use crate::revote::Revotes;
use crate::round::{Next, Rest, Round};
use crate::undo::Owner;
use crate::votes::{Ballot, Majority, Verdict};

/// What is known of a token whose lease has ended is kept for so long.
const MARGIN: Duration = Duration::from_secs(5);

/// Once a majority has answered, the rest has as much time again, and at least this.
const PATIENCE: Duration = Duration::from_millis(50);

/// Until when to wait for the rest of a round.
pub(crate) fn patience(began: Instant, now: Instant) -> Instant {
    now + now.saturating_duration_since(began).max(PATIENCE)
}

/// Why a member counts as failed that has not answered yet.
pub(crate) fn silence() -> LockError {
    LockError::new(LockErrorKind::Unavailable, "it has not answered in time")
}

/// A round of votes.
struct Vote {
    ballot: Ballot,
    granted: Members,
    /// Have answered that another token has the lock.
    refused: Members,
    /// Have failed, and prove that the request had no effect and will have none.
    untouched: Members,
    /// Have failed, and the request may still take effect.
    doubtful: Members,
    lease: Duration,
    failures: Failures,
}

impl Vote {
    fn new(majority: Majority, ttl: Duration) -> Self {
        Self {
            ballot: Ballot::new(majority),
            granted: Members::default(),
            refused: Members::default(),
            untouched: Members::default(),
            doubtful: Members::default(),
            lease: ttl,
            failures: Failures::default(),
        }
    }

    fn count(&mut self, member: usize, answer: Result<AcquireReply>) {
        match answer {
            Ok(AcquireReply::Granted(grant)) => {
                self.ballot.granted += 1;
                self.granted.insert(member);
                self.lease = self.lease.min(grant.granted_ttl.unwrap_or(self.lease));
            }
            Ok(AcquireReply::Held { .. }) => {
                self.ballot.refused += 1;
                self.refused.insert(member);
            }
            Ok(_) => {
                let text = "it answered that the request is queued, which was not asked for";
                self.fail(member, LockError::new(LockErrorKind::Backend, text));
            }
            Err(error) => self.fail(member, error),
        }
    }

    fn count_all(&mut self, answers: impl IntoIterator<Item = (usize, Result<AcquireReply>)>) {
        answers.into_iter().for_each(|(member, answer)| self.count(member, answer));
    }

    fn fail(&mut self, member: usize, error: LockError) {
        self.ballot.failed += 1;
        let kind = if error.is_not_applied() { &mut self.untouched } else { &mut self.doubtful };
        kind.insert(member);
        self.failures.add(member, error);
    }
}

/// Asks for a lock.
pub(crate) async fn ask(
    members: &[Arc<Member>],
    absent: &Absent,
    mut request: AcquireRequest,
) -> Result<AcquireReply> {
    // Numbers of different members have no order among them.
    (request.queue, request.ticket, request.fencing) = (false, None, false);
    let majority = Majority::of(members.len());
    let mut revotes = Revotes::new(request.asked_at, request.ttl);
    let mut voters = Members::first(members.len());
    // Later than that no grant is of use, in whichever round it comes.
    let end_of_lease = request.asked_at + request.ttl;
    loop {
        let began = request.clock.now();
        let (mut vote, verdict, round) =
            one_round(members, voters, &request, began, end_of_lease).await;
        if verdict == Verdict::Granted {
            leave(members, &mut vote, round, &request, true);
            let nothing = vote.refused.union(vote.untouched);
            if !nothing.is_empty() {
                let end = request.asked_at + request.ttl + MARGIN;
                absent.note(request.token, nothing, end, request.clock.now());
            }
            return Ok(AcquireReply::granted(if vote.lease < request.ttl {
                Grant::new().with_granted_ttl(vote.lease)
            } else {
                Grant::new()
            }));
        }
        let given_back = undo(members, &mut vote, round, &request, began).await;
        if verdict == Verdict::NoMajority {
            let clean = given_back.union(vote.refused).union(vote.untouched);
            let error = vote.failures.into_error(majority, |member| members[member].name());
            return Err(if clean.len() == members.len() { error.not_applied() } else { error });
        }
        let now = request.clock.now();
        let took = now.saturating_duration_since(began);
        let again = revotes.next(majority, (given_back, vote.refused), took, now);
        match again.filter(|_| !request.given_up.is_set()) {
            // Nothing of this token is left at these members, so they can be asked again: a
            // release that is still under way would take the next vote away.
            Some(at) => {
                voters = given_back.union(vote.refused);
                request.clock.sleep_until(at).await;
                // The members' timeouts are for one round. The lease counts from the first one.
                request.asked_at = request.clock.now();
                if revotes.are_over(request.asked_at) {
                    return Ok(AcquireReply::held());
                }
            }
            // Without the time at which the lock may be free: many who wait for it would ask at
            // the same moment, and share the votes.
            None => return Ok(AcquireReply::held()),
        }
    }
}

async fn one_round(
    members: &[Arc<Member>],
    voters: Members,
    request: &AcquireRequest,
    began: Instant,
    end_of_lease: Instant,
) -> (Vote, Verdict, Round<AcquireReply>) {
    let majority = Majority::of(members.len());
    let mut vote = Vote::new(majority, request.ttl);
    vote.ballot.failed = majority.members() - voters.len();
    let mut exchanges = Vec::with_capacity(voters.len());
    let mut slowest = Duration::ZERO;
    for number in voters.iter() {
        let member = &members[number];
        match member.may_be_asked() {
            Ok(()) => {
                slowest = slowest.max(member.capabilities().late_after);
                exchanges.push((number, member.acquire(request.clone())));
            }
            Err(error) => vote.fail(number, error),
        }
    }
    let mut round = Round::new(exchanges.into_iter());
    // The members' own timeouts are mostly shorter.
    let mut deadline = (request.ttl < slowest).then_some(end_of_lease);
    let verdict = loop {
        if let Some(verdict) = vote.ballot.verdict() {
            break verdict;
        }
        if vote.ballot.has_quorum() {
            let until = patience(began, request.clock.now());
            deadline = Some(deadline.map_or(until, |at| at.min(until)));
        }
        match round.next_by(request.clock, deadline).await {
            Next::Answer(member, answer) => vote.count(member, answer),
            Next::Silence if vote.ballot.has_quorum() => break Verdict::Refused,
            Next::Silence => {
                let silent = round.silent();
                silent.for_each(|member| vote.failures.add(member, silence()));
                break Verdict::NoMajority;
            }
        }
    };
    if verdict == Verdict::NoMajority {
        // Members that are down fail at once, and the others answer a moment later. What those have
        // granted can be given back now; else it would be looked after until the end of the lease,
        // for each request that fails.
        let until = (request.clock.now() + PATIENCE).min(end_of_lease);
        while let Next::Answer(member, answer) = round.next_by(request.clock, Some(until)).await {
            vote.count(member, answer);
        }
    }
    vote.count_all(round.heard());
    (vote, verdict, round)
}

/// Counts the answers that are there, and leaves what is under way to the background. `is_wanted`:
/// the token has the lock.
fn leave(
    members: &[Arc<Member>],
    vote: &mut Vote,
    round: Round<AcquireReply>,
    request: &AcquireRequest,
    is_wanted: bool,
) {
    let Rest { answers, under_way } = round.rest();
    vote.count_all(answers);
    for (member, exchange) in under_way {
        members[member].follow_request(request, exchange, is_wanted);
    }
    for member in vote.doubtful.iter() {
        members[member].doubt_request(request, is_wanted);
    }
}

/// Gives back what members have granted in a round that was lost. Returns those that have it back for
/// certain; the others are seen to in the background.
async fn undo(
    members: &[Arc<Member>],
    vote: &mut Vote,
    mut round: Round<AcquireReply>,
    request: &AcquireRequest,
    began: Instant,
) -> Members {
    let release = ReleaseRequest::new(request.key.clone(), request.token, request.clock);
    let granted = vote.granted;
    let given_back = give_back(members, granted, &release, began).await;
    // Most of the answers that were missing have come meanwhile. Who has answered votes again.
    round.hear().await;
    leave(members, vote, round, request, false);
    for member in vote.granted.without(granted).iter() {
        let owner = Owner::releasing(&release);
        members[member].follow_return(owner, members[member].release(release.clone()));
    }
    given_back
}

async fn give_back(
    members: &[Arc<Member>],
    granted: Members,
    release: &ReleaseRequest,
    began: Instant,
) -> Members {
    let mut given_back = Members::default();
    if granted.is_empty() {
        return given_back;
    }
    let owner = Owner::releasing(release);
    let clock = release.clock;
    let deadline = patience(began, clock.now());
    let exchanges = granted.iter().map(|member| (member, members[member].release(release.clone())));
    let mut round = Round::new(exchanges);
    while let Next::Answer(member, answer) = round.next_by(clock, Some(deadline)).await {
        members[member].released(&owner, &answer);
        if answer.is_ok() {
            given_back.insert(member);
        }
    }
    let Rest { answers, under_way } = round.rest();
    for (member, answer) in answers {
        members[member].released(&owner, &answer);
    }
    for (member, exchange) in under_way {
        members[member].follow_return(owner.clone(), exchange);
    }
    given_back
}

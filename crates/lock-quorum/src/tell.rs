//! Questions about locks that are held, or were: to release, to renew, to look.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lock_core::backend::{
    Clock, Instant, LockKey, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{Holder, LockError, LockErrorKind, LockStatus, Result, ServerInfo, Who};

use crate::absent::Absent;
use crate::ask::{patience, silence};
use crate::failure::Failures;
use crate::member::Member;
use crate::round::{Next, Rest, Round};
use crate::undo::Owner;
use crate::votes::{Finding, Majority, Tally};

/// A status is looked at so often, since it may be unclear only while the lock is taken or released.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Releases a lock everywhere, and says what a majority has found.
pub(crate) async fn release(
    members: &[Arc<Member>],
    absent: &Absent,
    request: ReleaseRequest,
) -> Result<ReleaseReply> {
    let majority = Majority::of(members.len());
    let (mut tally, mut failures) = (Tally::new(majority), Failures::default());
    let nothing = absent.take(request.token);
    tally.nobody = nothing.len();
    let owner = Owner::releasing(&request);
    let exchanges = (0..members.len()).filter(|member| !nothing.contains(*member)).map(|number| {
        let member = &members[number];
        member.give_up(request.token, request.clock);
        (number, member.release(request.clone()))
    });
    let mut round = Round::new(exchanges);
    let began = request.clock.now();
    let mut deadline = None;
    let finding = loop {
        if let Some(finding) = tally.finding() {
            break finding;
        }
        if tally.has_quorum() && deadline.is_none() {
            deadline = Some(patience(began, request.clock.now()));
        }
        match round.next_by(request.clock, deadline).await {
            Next::Answer(number, answer) => {
                members[number].released(&owner, &answer);
                match answer {
                    Ok(ReleaseReply::Released) => tally.yes += 1,
                    Ok(ReleaseReply::HeldByOther) => tally.other += 1,
                    Ok(_) => tally.nobody += 1,
                    Err(error) => {
                        tally.failed += 1;
                        failures.add(number, error);
                    }
                }
            }
            Next::Silence => {
                round.silent().for_each(|member| failures.add(member, silence()));
                break tally.without_the_missing();
            }
        }
    };
    let Rest { answers, under_way } = round.rest();
    let is_all_known = under_way.is_empty();
    for (number, answer) in answers {
        members[number].released(&owner, &answer);
    }
    for (number, exchange) in under_way {
        members[number].follow_release(owner.clone(), exchange);
    }
    match finding {
        Finding::Yes => Ok(ReleaseReply::Released),
        Finding::Nobody => Ok(ReleaseReply::NotHeld),
        Finding::Other => Ok(ReleaseReply::HeldByOther),
        Finding::Unclear => {
            let nothing_done = tally.yes == 0 && is_all_known && failures.are_not_applied();
            let error = unclear(&tally, majority, failures, members);
            let error = if nothing_done { error.not_applied() } else { error };
            Err(error.or_unknown())
        }
    }
}

/// Renews leases, each by a majority; one batch for each member.
pub(crate) async fn renew(
    members: &[Arc<Member>],
    batch: Vec<RenewRequest>,
) -> Result<Vec<RenewReply>> {
    let majority = Majority::of(members.len());
    let Some(clock) = batch.first().map(|request| request.clock) else { return Ok(Vec::new()) };
    let began = clock.now();
    let exchanges = (0..members.len()).map(|number| (number, members[number].renew(batch.clone())));
    let mut round = Round::new(exchanges);
    let mut renewals: Vec<_> =
        batch.iter().map(|_| Renewal { tally: Tally::new(majority), cause: None }).collect();
    let (mut answered, mut failures) = (0, Failures::default());
    let mut has_answered = vec![false; members.len()];
    let mut deadline = None;
    while renewals.iter().any(|renewal| renewal.tally.finding().is_none()) {
        if answered >= majority.needed() && deadline.is_none() {
            deadline = Some(patience(began, clock.now()));
        }
        match round.next_by(clock, deadline).await {
            Next::Answer(number, Ok(replies)) => {
                answered += 1;
                has_answered[number] = true;
                let (member, now) = (&members[number], clock.now());
                for ((renewal, request), reply) in renewals.iter_mut().zip(&batch).zip(replies) {
                    renewal.count(member, request, reply, (began, now));
                }
            }
            Next::Answer(number, Err(error)) => {
                renewals.iter_mut().for_each(|renewal| renewal.tally.failed += 1);
                failures.add(number, error);
            }
            Next::Silence => break,
        }
    }
    for (number, _) in has_answered.iter().enumerate().filter(|(_, has)| !**has) {
        let now = clock.now();
        for request in batch.iter().filter(|request| request.exact) {
            doubt_set(&members[number], request, began, now);
        }
    }
    // The leases are renewed at these members, too, so that they can take part in the next round.
    let Rest { under_way, .. } = round.rest();
    for (number, exchange) in under_way {
        members[number].together.spawn(clock, async move { drop(exchange.await) });
    }
    if answered < majority.needed() {
        return Err(failures.into_error(majority, |member| members[member].name()));
    }
    Ok(renewals.into_iter().map(Renewal::reply).collect())
}

/// One lease of a batch.
struct Renewal {
    tally: Tally,
    cause: Option<LockError>,
}

impl Renewal {
    fn count(
        &mut self,
        member: &Member,
        request: &RenewRequest,
        reply: RenewReply,
        (began, now): (Instant, Instant),
    ) {
        match reply {
            // What it has now it may lose before its time is over.
            RenewReply::Renewed if !member.is_reliable(request.token, now) => {
                self.tally.failed += 1;
            }
            RenewReply::Renewed => self.tally.yes += 1,
            RenewReply::NotHeld => self.tally.nobody += 1,
            RenewReply::HeldByOther => self.tally.other += 1,
            other => {
                self.tally.failed += 1;
                if request.exact {
                    doubt_set(member, request, began, now);
                }
                if let RenewReply::Failed(error) = other {
                    self.cause.get_or_insert(error);
                }
            }
        }
    }

    fn reply(self) -> RenewReply {
        let finding = match self.tally.finding() {
            Some(finding) => finding,
            None => self.tally.without_the_missing(),
        };
        match finding {
            Finding::Yes => RenewReply::Renewed,
            Finding::Nobody => RenewReply::NotHeld,
            Finding::Other => RenewReply::HeldByOther,
            Finding::Unclear => RenewReply::Failed(self.cause.unwrap_or_else(|| {
                let text = "too few members of the quorum have renewed the lease to tell whether \
                            it is still held";
                LockError::new(LockErrorKind::Unavailable, text)
            })),
        }
    }
}

/// An exact renewal of this member has no answer, so it may take effect after a later renewal, and
/// make that one's lease shorter.
fn doubt_set(member: &Member, request: &RenewRequest, sent: Instant, now: Instant) {
    let late_after = member.capabilities().late_after;
    // Its lateness is judged by the member's clock, which may run a little slower.
    let until = sent + late_after + late_after / 10;
    if until > now {
        member.set_in_doubt(request.token, until, now);
    }
}

/// Looks at a lock: it is held if it is held at a majority.
pub(crate) async fn status(members: &[Arc<Member>], key: LockKey) -> Result<Option<LockStatus>> {
    let mut looks = 1;
    loop {
        match look(members, key.clone()).await {
            Err(unclear) if unclear.has_quorum && looks < LOOKS => {
                looks += 1;
                Clock::SYSTEM.sleep(BETWEEN_LOOKS).await;
            }
            looked => return looked.map_err(|unclear| unclear.error),
        }
    }
}

/// A majority neither holds a lock nor has it free.
pub(crate) struct Unclear {
    /// Whether a majority has answered all the same.
    pub(crate) has_quorum: bool,
    pub(crate) error: LockError,
}

/// As [`status`].
pub(crate) async fn look(
    members: &[Arc<Member>],
    key: LockKey,
) -> std::result::Result<Option<LockStatus>, Unclear> {
    let majority = Majority::of(members.len());
    let clock = Clock::SYSTEM;
    let (mut tally, mut failures) = (Tally::new(majority), Failures::default());
    let exchanges = (0..members.len()).map(|number| (number, members[number].status(key.clone())));
    let mut round = Round::new(exchanges);
    // The remaining times that members told; a lease without an end comes last.
    let mut remaining = Vec::with_capacity(members.len());
    let mut holders = Vec::with_capacity(members.len());
    let began = clock.now();
    let (mut deadline, mut holder) = (None, None);
    let finding = loop {
        if let Some(finding) = tally.finding() {
            holder = agreed_on(&holders, majority);
            // A vote that is about to be given back names somebody else, so a majority is waited for.
            if finding != Finding::Yes || holder.is_some() || holders.is_empty() {
                break finding;
            }
        }
        if tally.has_quorum() && deadline.is_none() {
            deadline = Some(patience(began, clock.now()));
        }
        match round.next_by(clock, deadline).await {
            Next::Answer(_, Ok(Some(status))) => {
                tally.yes += 1;
                remaining.push(status.remaining);
                holders.extend(status.holder);
            }
            Next::Answer(_, Ok(None)) => tally.nobody += 1,
            Next::Answer(number, Err(error)) => {
                tally.failed += 1;
                failures.add(number, error);
            }
            Next::Silence => {
                round.silent().for_each(|member| failures.add(member, silence()));
                break tally.without_the_missing();
            }
        }
    };
    match finding {
        Finding::Yes => {
            // Until the first of this majority ends.
            let shortest = remaining.into_iter().flatten().min();
            let status = LockStatus::new(shortest);
            Ok(Some(match holder {
                Some(holder) => status.with_holder(holder),
                None => status,
            }))
        }
        Finding::Nobody | Finding::Other => Ok(None),
        Finding::Unclear => Err(Unclear {
            has_quorum: tally.has_quorum(),
            error: unclear(&tally, majority, failures, members),
        }),
    }
}

/// Why it cannot be told what a majority has.
fn unclear(
    tally: &Tally,
    majority: Majority,
    failures: Failures,
    members: &[Arc<Member>],
) -> LockError {
    let name = |member: usize| members[member].name();
    if tally.has_quorum() {
        return failures.into_disagreement(majority, (tally.yes, tally.nobody + tally.other), name);
    }
    failures.into_error(majority, name)
}

/// Whom a majority names; one of them may know more of it than another.
fn agreed_on(holders: &[Holder], majority: Majority) -> Option<Holder> {
    let is_same = |one: &Holder, other: &Holder| {
        one == other || one.since.is_some() && one.since == other.since
    };
    let named = |one: &Holder| holders.iter().filter(|other| is_same(one, other)).count();
    let mut agreed = holders.iter().filter(|one| named(one) >= majority.needed());
    let known = agreed.clone().find(|one| matches!(one.who, Who::Process(_)));
    known.or_else(|| agreed.next()).cloned()
}

/// Whether a majority answers.
pub(crate) async fn ping(members: &[Arc<Member>]) -> Result<()> {
    let majority = Majority::of(members.len());
    let mut failures = Failures::default();
    let (mut answered, mut failed) = (0, 0);
    let mut round = Round::new((0..members.len()).map(|number| (number, members[number].ping())));
    while answered < majority.needed() {
        match round.next().await {
            Next::Answer(_, Ok(())) => answered += 1,
            Next::Answer(number, Err(error)) => {
                failed += 1;
                failures.add(number, error);
            }
            Next::Silence => {}
        }
        if failed > majority.spare() {
            return Err(failures.into_error(majority, |member| members[member].name()));
        }
    }
    // Who else does not answer is logged.
    let Rest { under_way, .. } = round.rest();
    for (number, exchange) in under_way {
        members[number].together.spawn(Clock::SYSTEM, async move { drop(exchange.await) });
    }
    Ok(())
}

/// What the servers of all members say of themselves, in the order of the members.
pub(crate) async fn servers(members: &[Arc<Member>]) -> Result<Vec<ServerInfo>> {
    let majority = Majority::of(members.len());
    let answers = join_all(members.iter().map(Member::servers)).await;
    let (mut all, mut failures, mut answered) = (Vec::new(), Failures::default(), 0);
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(servers) => {
                answered += 1;
                all.extend(servers);
            }
            Err(error) => {
                let address = members[number].name();
                all.push(ServerInfo::new(address).with_fact("error", error.message().to_owned()));
                failures.add(number, error);
            }
        }
    }
    if answered == 0 {
        return Err(failures.into_error(majority, |member| members[member].name()));
    }
    Ok(all)
}

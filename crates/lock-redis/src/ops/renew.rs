//! Renewing leases, many in one exchange.

use futures_util::future::join_all;
use lock_core::Instant;
use lock_core::backend::{Clock, Lane, RenewReply, RenewRequest};
use redis::Cmd;

use crate::ops::confirm::Lock;
use crate::ops::parts::Parts;
use crate::protocol::owner::Owner;
use crate::protocol::reply::{self, Renewed};
use crate::protocol::scripts::Scripts;
use crate::protocol::slots::slot;
use crate::protocol::units::whole_millis;
use crate::topology::home::Home;
use crate::topology::tries::Tries;
use crate::wire::connection::Connection;
use crate::wire::failure::{Failure, OfCluster};

/// Locks that a script renews in one go: more would keep the server from others for long.
const MAX_A_SCRIPT: usize = 500;

/// A lease to renew, and its place in the batch.
struct Lease<'a> {
    place: usize,
    lock: String,
    slot: u16,
    request: &'a RenewRequest,
}

/// The leases of one server.
struct Group<'a> {
    home: Home<'a>,
    leases: Vec<Lease<'a>>,
}

pub(crate) async fn renew(
    parts: &Parts,
    batch: &[RenewRequest],
) -> Result<Vec<RenewReply>, Failure> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut leases = Vec::with_capacity(batch.len());
    for (place, request) in batch.iter().enumerate() {
        let lock = parts.lock_key(&request.key)?;
        leases.push(Lease { place, slot: slot(&lock), lock, request });
    }
    let slots = leases.iter().map(|lease| lease.slot);
    let homes = parts.topology.homes_of(slots, deadline_of(parts, &leases)).await;
    let mut replies = Vec::with_capacity(batch.len());
    let groups = by_home(leases, homes, &mut replies)?;
    let exchanges = join_all(groups.iter().map(|group| group.renew(parts)));
    for (group, exchanged) in groups.iter().zip(exchanges.await) {
        match exchanged {
            Ok(answered) => replies.extend(answered),
            // Nothing else could be asked for either: that is said once for all.
            Err(failure) if groups.len() == 1 && replies.is_empty() => return Err(failure),
            Err(failure) => replies.extend(group.leases.iter().map(|lease| lease.failed(&failure))),
        }
    }
    replies.sort_by_key(|(place, _)| *place);
    Ok(replies.into_iter().map(|(_, reply)| reply).collect())
}

impl Group<'_> {
    /// Fails if there is no connection; nothing was sent then.
    async fn renew(&self, shared: &Parts) -> Result<Vec<(usize, RenewReply)>, Failure> {
        // That of one server's leases is not that of another's, which may be dead.
        let deadline = deadline_of(shared, &self.leases);
        // All parts are written before the first is answered.
        let parts = self.parts();
        let exchanges =
            join_all(parts.iter().map(|part| renew_part(shared, &self.home, part, deadline)));
        let exchanged = exchanges.await;
        let mut failures = exchanged.iter().map(|exchanged| exchanged.as_ref().err());
        if let Some(Some(first)) = failures.next()
            && first.is_unconnected
            && failures.all(|failure| failure.is_some_and(|failure| failure.is_unconnected))
        {
            return Err(first.clone());
        }
        let mut replies = Vec::with_capacity(self.leases.len());
        for (part, exchanged) in parts.iter().zip(exchanged) {
            match exchanged {
                Ok(answers) => {
                    replies.extend(part.iter().map(|lease| lease.place).zip(answers));
                }
                Err(failure) => {
                    let failure = failure.or_unknown();
                    replies.extend(part.iter().map(|lease| lease.failed(&failure)));
                }
            }
        }
        Ok(replies)
    }

    /// What one script can renew.
    fn parts(&self) -> Vec<&[Lease<'_>]> {
        if self.home.keeps_slots_apart() {
            let of_slots = self.leases.chunk_by(|one, other| one.slot == other.slot);
            of_slots.flat_map(|of_slot| of_slot.chunks(MAX_A_SCRIPT)).collect()
        } else {
            self.leases.chunks(MAX_A_SCRIPT).collect()
        }
    }
}

impl Lease<'_> {
    fn failed(&self, failure: &Failure) -> (usize, RenewReply) {
        (self.place, RenewReply::Failed(failure.clone().into_error()))
    }

    /// What came of renewing it alone.
    fn reply(&self, renewed: Result<Vec<RenewReply>, Failure>) -> RenewReply {
        let missing = || self.failed(&Failure::unavailable("the server did not answer")).1;
        match renewed {
            Ok(replies) => replies.into_iter().next().unwrap_or_else(missing),
            Err(failure) => self.failed(&failure.or_unknown()).1,
        }
    }
}

/// When these leases, which are sent for now, have to be answered.
fn deadline_of(parts: &Parts, leases: &[Lease<'_>]) -> Instant {
    let within = leases.iter().map(|lease| lease.request.within).min();
    let within = within.map_or(parts.response_timeout, |within| within.min(parts.response_timeout));
    Clock::SYSTEM.now() + within
}

/// The leases by their servers. One of which it is not known where it is has failed, unless that is so
/// with all.
fn by_home<'a>(
    leases: Vec<Lease<'a>>,
    homes: Vec<Result<Home<'a>, Failure>>,
    failed: &mut Vec<(usize, RenewReply)>,
) -> Result<Vec<Group<'a>>, Failure> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut last = None;
    for (lease, home) in leases.into_iter().zip(homes) {
        match home {
            Ok(home) => match groups.iter_mut().find(|group| group.home == home) {
                Some(group) => group.leases.push(lease),
                None => groups.push(Group { home, leases: vec![lease] }),
            },
            Err(failure) => {
                failed.push(lease.failed(&failure));
                last = Some(failure);
            }
        }
    }
    if let Some(failure) = last
        && groups.is_empty()
    {
        return Err(failure);
    }
    for group in &mut groups {
        if group.home.keeps_slots_apart() {
            group.leases.sort_by_key(|lease| lease.slot);
        }
    }
    Ok(groups)
}

/// Renews leases that one script can renew, at this server or at where their slot has moved to.
async fn renew_part(
    parts: &Parts,
    home: &Home<'_>,
    leases: &[Lease<'_>],
    deadline: Instant,
) -> Result<Vec<RenewReply>, Failure> {
    match renew_at(parts, home, leases, deadline).await {
        // In a place of its own: this is rare.
        Err(failure) if home.keeps_slots_apart() => {
            Box::pin(renew_elsewhere(parts, home, leases, failure, deadline)).await
        }
        renewed => renewed,
    }
}

/// Goes on when the node that was asked did not renew.
async fn renew_elsewhere(
    parts: &Parts,
    home: &Home<'_>,
    leases: &[Lease<'_>],
    mut failure: Failure,
    deadline: Instant,
) -> Result<Vec<RenewReply>, Failure> {
    let Some(slot) = leases.first().map(|lease| lease.slot) else { return Ok(Vec::new()) };
    let (mut tries, mut moved) = (Tries::default(), None);
    loop {
        let at = moved.as_ref().unwrap_or(home);
        if let Some(Ok(connection)) = at.asking(&failure, deadline).await {
            match renew_over(parts, &connection, leases, deadline).await {
                Err(other) => failure = other,
                renewed => return renewed,
            }
        }
        if failure.of_cluster.as_deref() == Some(&OfCluster::TryAgain) && leases.len() > 1 {
            // Some have moved already and some have not; each alone is at one of both nodes.
            let alone = leases.chunks(1).map(|lease| renew_part(parts, at, lease, deadline));
            let alone = join_all(alone).await;
            return Ok(leases.iter().zip(alone).map(|(lease, alone)| lease.reply(alone)).collect());
        }
        at.again(failure, &mut tries, deadline).await?;
        let at = moved.insert(parts.topology.home(slot, deadline).await?);
        match renew_at(parts, at, leases, deadline).await {
            Err(other) => failure = other,
            renewed => return renewed,
        }
    }
}

/// Renews leases at this server.
async fn renew_at(
    parts: &Parts,
    home: &Home<'_>,
    leases: &[Lease<'_>],
    deadline: Instant,
) -> Result<Vec<RenewReply>, Failure> {
    let connection = home.route(Lane::Background).connection(deadline).await?;
    renew_over(parts, &connection, leases, deadline).await
}

async fn renew_over(
    parts: &Parts,
    connection: &Connection,
    leases: &[Lease<'_>],
    deadline: Instant,
) -> Result<Vec<RenewReply>, Failure> {
    let mut sent = Clock::SYSTEM.now();
    let mut renewed = send(parts, connection, leases, deadline).await?;
    let late = renewed.iter().find_map(|renewed| match renewed {
        Renewed::TooLate { server_micros } => Some(*server_micros),
        _ => None,
    });
    if let Some(server_micros) = late {
        // Its clock was set forwards. What is renewed twice is renewed.
        connection.note_time(server_micros);
        sent = Clock::SYSTEM.now();
        renewed = send(parts, connection, leases, deadline).await?;
    }
    let replies = renewed.into_iter().map(reply_of).zip(leases);
    Ok(join_all(replies.map(|(reply, lease)| confirmed(parts, reply, lease, sent, deadline))).await)
}

/// An extension is a promise of its own, so replicas have to confirm it.
///
/// Another renewal that a failover loses leaves the lease before it, of which two thirds are left.
async fn confirmed(
    parts: &Parts,
    reply: RenewReply,
    lease: &Lease<'_>,
    sent: Instant,
    deadline: Instant,
) -> RenewReply {
    let Lease { lock, request, .. } = lease;
    if !(parts.asks_replicas && request.exact && matches!(reply, RenewReply::Renewed)) {
        return reply;
    }
    let slot = slot(lock);
    let stands = Lock { key: lock, slot, token: request.token };
    match Box::pin(stands.stands(parts, sent + request.ttl, deadline)).await {
        Ok(()) => reply,
        Err(failure) => RenewReply::Failed(failure.applied().or_unknown().into_error()),
    }
}

async fn send(
    parts: &Parts,
    connection: &Connection,
    leases: &[Lease<'_>],
    deadline: Instant,
) -> Result<Vec<Renewed>, Failure> {
    let sets_any = leases.iter().any(|lease| lease.request.exact);
    let not_after = match connection.clock() {
        Some(clock) => clock.not_after(deadline),
        None if sets_any => {
            return Err(Failure::unavailable("the server did not report its time").not_applied());
        }
        None => 0,
    };
    let arguments = |command: &mut Cmd| {
        command.arg(leases.len());
        for lease in leases {
            command.arg(&lease.lock);
        }
        for Lease { request, .. } in leases {
            Owner(request.token).write_to(command);
            let ttl = whole_millis(request.ttl);
            if request.exact {
                command.arg(format!("-{ttl}"))
            } else {
                command.arg(ttl)
            };
        }
        command.arg(not_after);
    };
    let script = &Scripts::of(connection.dialect()).renew;
    let answer = script.run(connection, arguments, deadline).await;
    let answer = match answer {
        Ok(answer) => answer,
        failed => {
            let keys: Vec<&str> = leases.iter().map(|lease| lease.lock.as_str()).collect();
            parts.named(failed, connection, &keys, deadline).await?
        }
    };
    connection.judge(reply::renewed(&answer, leases.len()))
}

fn reply_of(renewed: Renewed) -> RenewReply {
    match renewed {
        Renewed::Confirmed => RenewReply::Renewed,
        Renewed::NotHeld => RenewReply::NotHeld,
        Renewed::HeldByOther => RenewReply::HeldByOther,
        Renewed::TooLate { .. } => {
            let message = "the server did not get the request in time, or its clock jumps";
            RenewReply::Failed(Failure::unavailable(message).not_applied().into_error())
        }
    }
}

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
use crate::protocol::slots;
use crate::protocol::units::whole_millis;
use crate::topology::route::Route;
use crate::topology::standalone::Standalone;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

/// Locks that a script renews in one go: more would keep the server from others for long.
const MAX_A_SCRIPT: usize = 500;

/// A lease to renew, and its place in the batch.
struct Lease<'a> {
    place: usize,
    lock: String,
    request: &'a RenewRequest,
}

/// The leases of one route.
struct Group<'a> {
    route: Route<'a>,
    leases: Vec<Lease<'a>>,
}

pub(crate) async fn renew(
    parts: &Parts,
    batch: &[RenewRequest],
) -> Result<Vec<RenewReply>, Failure> {
    let Some(within) = batch.iter().map(|request| request.within).min() else {
        return Ok(Vec::new());
    };
    let deadline = Clock::SYSTEM.now() + within.min(parts.response_timeout);
    let mut leases = Vec::with_capacity(batch.len());
    for (place, request) in batch.iter().enumerate() {
        leases.push(Lease { place, lock: parts.lock_key(&request.key)?, request });
    }
    let groups = by_route(&parts.topology, leases);
    let mut replies = Vec::with_capacity(batch.len());
    let exchanges = join_all(groups.iter().map(|group| group.renew(parts, deadline)));
    for (group, exchanged) in groups.iter().zip(exchanges.await) {
        match exchanged {
            Ok(answered) => replies.extend(answered),
            // Nothing else could be asked for either: that is said once for all.
            Err(failure) if groups.len() == 1 => return Err(failure),
            Err(failure) => replies.extend(group.leases.iter().map(|lease| lease.failed(&failure))),
        }
    }
    replies.sort_by_key(|(place, _)| *place);
    Ok(replies.into_iter().map(|(_, reply)| reply).collect())
}

impl Group<'_> {
    /// Fails if there is no connection; nothing was sent then.
    async fn renew(
        &self,
        shared: &Parts,
        deadline: Instant,
    ) -> Result<Vec<(usize, RenewReply)>, Failure> {
        let connection = self.route.connection(deadline).await?;
        // All parts are written before the first is answered.
        let parts = || self.leases.chunks(MAX_A_SCRIPT);
        let exchanges =
            join_all(parts().map(|part| renew_part(shared, &connection, part, deadline)));
        let mut replies = Vec::with_capacity(self.leases.len());
        for (part, exchanged) in parts().zip(exchanges.await) {
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
}

impl Lease<'_> {
    fn failed(&self, failure: &Failure) -> (usize, RenewReply) {
        (self.place, RenewReply::Failed(failure.clone().into_error()))
    }
}

/// Keys of different routes cannot be named in one script.
fn by_route<'a>(topology: &'a Standalone, leases: Vec<Lease<'a>>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for lease in leases {
        let route = topology.route(slots::slot(&lease.lock), Lane::Background);
        match groups.iter_mut().find(|group| group.route == route) {
            Some(group) => group.leases.push(lease),
            None => groups.push(Group { route, leases: vec![lease] }),
        }
    }
    groups
}

async fn renew_part(
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
    let slot = slots::slot(lock);
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
            return Err(Failure::unavailable("the server did not tell the time").not_applied());
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

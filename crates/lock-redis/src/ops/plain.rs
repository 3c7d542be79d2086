//! The operations of locks that are taken by `SET NX PX`: they touch the lock's key alone.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Grant, Lane, LockKey, ReleaseReply, ReleaseRequest,
};
use lock_core::{Instant, LockStatus};
use redis::Cmd;

use crate::ops::parts::Parts;
use crate::ops::release;
use crate::ops::status;
use crate::protocol::owner::Owner;
use crate::protocol::reply;
use crate::protocol::slots;
use crate::protocol::units::whole_millis;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

pub(crate) async fn acquire(
    parts: &Parts,
    request: &AcquireRequest,
) -> Result<AcquireReply, Failure> {
    let lock = parts.lock_key(&request.key)?;
    let deadline = parts.deadline_of(request);
    let route = parts.topology.route(slots::slot(&lock), Lane::Caller);
    let connection = route.connection(deadline).await?;
    let mut command = Cmd::with_capacity(6, 128);
    command.arg("SET").arg(&lock);
    Owner::Plain(request.token).write_to(&mut command);
    command.arg("NX").arg("PX").arg(whole_millis(request.ttl));
    let answer = connection.send_unless(Some(&request.given_up), command, deadline).await;
    let answer = parts.named(answer, &connection, &[&lock], deadline).await?;
    if connection.judge(reply::was_set(&answer))? {
        return Ok(AcquireReply::granted(Grant::new()));
    }
    let mut question = redis::cmd("PTTL");
    question.arg(&lock);
    let left = connection.send(question, deadline).await;
    // Not to know how long it is held is no reason to fail.
    let left = left.ok().and_then(|left| reply::time_to_live(&left).ok());
    Ok(match left {
        Some(Some(Some(left))) => AcquireReply::held_for(left),
        _ => AcquireReply::held(),
    })
}

pub(crate) async fn release(
    parts: &Parts,
    request: &ReleaseRequest,
) -> Result<ReleaseReply, Failure> {
    let lock = parts.lock_key(&request.key)?;
    let deadline = parts.deadline();
    let route = parts.topology.route(slots::slot(&lock), request.lane);
    let keys = [lock.as_str()];
    let exchange = |connection| give_back(parts, connection, &keys, request, deadline);
    release::over(route, deadline, exchange).await
}

async fn give_back(
    parts: &Parts,
    connection: Arc<Connection>,
    keys: &[&str],
    request: &ReleaseRequest,
    deadline: Instant,
) -> Result<ReleaseReply, Failure> {
    let words = release::Words {
        owner: Owner::Plain(request.token),
        min_hold: request.min_hold,
        gap: Duration::ZERO,
        place: None,
    };
    let released = release::send(parts, &connection, keys, words, deadline).await;
    Ok(released.map_err(Failure::or_unknown)?.reply)
}

pub(crate) async fn status(parts: &Parts, key: &LockKey) -> Result<Option<LockStatus>, Failure> {
    let lock = parts.lock_key(key)?;
    status::look(parts, slots::slot(&lock), &lock, None).await
}

//! Looking at a lock without touching it.

use std::collections::HashMap;

use futures_util::future::join_all;
use lock_core::backend::{InstanceId, Lane, LockKey, OwnerToken, holder_of};
use lock_core::{Holder, Instant, LockStatus, ProcessInfo, Who};
use redis::{Pipeline, Value};

use crate::ops::parts::{Parts, about};
use crate::protocol::keys::Keys;
use crate::protocol::slots::slot;
use crate::protocol::{holder, process, reply};
use crate::topology::home::Home;
use crate::topology::tries::Tries;
use crate::wire::failure::Failure;

/// Reads the lease of a lock and whose it is, and who waits in its queue.
pub(crate) async fn status(parts: &Parts, key: &LockKey) -> Result<Option<LockStatus>, Failure> {
    let keys = Keys::new(&parts.key_prefix, key)?;
    let deadline = parts.deadline();
    let mut tries = Tries::default();
    loop {
        let home = parts.topology.home(keys.slot, deadline).await?;
        let status = at(parts, &keys, &home, deadline).await;
        let Err(failure) = status else { return status };
        home.again(failure, &mut tries, deadline).await?;
    }
}

/// Asks one server.
async fn at(
    parts: &Parts,
    keys: &Keys,
    home: &Home<'_>,
    deadline: Instant,
) -> Result<Option<LockStatus>, Failure> {
    let (lock, queue) = (keys.lock.as_str(), keys.queue());
    let connection = home.route(Lane::Caller).connection(deadline).await?;
    let mut question = Pipeline::new();
    // The first only asks for the type: a key that is no lock must not be shown as one.
    question.cmd("STRLEN").arg(lock).cmd("PTTL").arg(lock).cmd("GET").arg(lock);
    // Also where this backend's own waiters do not queue: others may.
    question.cmd("ZCARD").arg(&queue);
    question.cmd("ZRANGE").arg(&queue).arg(0).arg(LockStatus::MAX_QUEUE - 1);
    let mut answers = connection.send_all(&question, deadline).await?.into_iter();
    let mut next = || {
        let missing = || Err(Failure::unavailable("the server did not answer"));
        answers.next().unwrap_or_else(missing).map_err(|failure| about(failure, lock))
    };
    parts.named(next(), &connection, &[lock], deadline).await?;
    let left = parts.named(next(), &connection, &[lock], deadline).await?;
    let Some(left) = connection.judge(reply::time_to_live(&left))? else { return Ok(None) };
    // Not to know who holds it and who waits, for want of a permission, is no reason to fail.
    let owner = next().ok().and_then(|stored| reply::text(&stored).map(holder::value));
    let waiters = next().ok().and_then(|count| reply::count(&count));
    let waiting = next().ok().map(|entries| tokens(&entries)).unwrap_or_default();
    let holding = owner.iter().filter_map(|owner| match owner {
        holder::Value::Ours { token, .. } => Some(token),
        holder::Value::Other(_) => None,
    });
    let known = registered(parts, holding.chain(&waiting), deadline).await;
    let of = |token: OwnerToken| holder_of(token, known.get(&token.instance()).cloned());
    let mut status =
        LockStatus::new(left).with_queue(waiting.iter().map(|&token| of(token).into()));
    status.holder = owner.map(|owner| match owner {
        holder::Value::Ours { token, has_released } => of(token).with_released(has_released),
        holder::Value::Other(shown) => Holder::new(Who::Other(shown)),
    });
    Ok(Some(match waiters {
        Some(waiters) => status.with_waiters(waiters),
        None => status,
    }))
}

/// The tokens of a queue's entries.
fn tokens(entries: &Value) -> Vec<OwnerToken> {
    let Value::Array(entries) = entries else { return Vec::new() };
    entries.iter().filter_map(reply::text).filter_map(holder::entry).collect()
}

/// What the servers know of the processes of these tokens; they are not asked about this one.
async fn registered(
    parts: &Parts,
    tokens: impl Iterator<Item = &OwnerToken>,
    deadline: Instant,
) -> HashMap<InstanceId, ProcessInfo> {
    let own = InstanceId::current().ok();
    let mut instances: Vec<InstanceId> =
        tokens.map(OwnerToken::instance).filter(|instance| Some(*instance) != own).collect();
    instances.sort_unstable();
    instances.dedup();
    // Where there is one server, they leave in one write.
    let asking = instances.into_iter().map(|instance| registered_as(parts, instance, deadline));
    join_all(asking).await.into_iter().flatten().collect()
}

/// What is known of one process; none if it cannot be had at once.
async fn registered_as(
    parts: &Parts,
    instance: InstanceId,
    deadline: Instant,
) -> Option<(InstanceId, ProcessInfo)> {
    let key = process::key(instance);
    let home = parts.topology.home(slot(&key), deadline).await.ok()?;
    let connection = home.route(Lane::Caller).connection(deadline).await.ok()?;
    let mut question = redis::cmd("GET");
    question.arg(key);
    let answer = connection.send(question, deadline).await.ok()?;
    Some((instance, process::read(reply::text(&answer)?)?))
}

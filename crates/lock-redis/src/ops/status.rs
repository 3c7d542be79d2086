//! Looking at a lock without touching it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use lock_core::backend::{InstanceId, Lane, LockKey, OwnerToken, holder_of};
use lock_core::{Holder, HolderId, Instant, LockStatus, ProcessInfo, Who};
use redis::{Pipeline, Value};

use crate::ops::parts::{Parts, about};
use crate::protocol::keys::Keys;
use crate::protocol::slots::slot;
use crate::protocol::{holder, process, reply};
use crate::topology::home::Home;
use crate::topology::tries::Tries;
use crate::wire::connection::Connection;
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

/// Looks at one server.
async fn at(parts: &Parts, keys: &Keys, home: &Home<'_>, deadline: Instant) -> Found {
    let connection = home.route(Lane::Caller).connection(deadline).await?;
    let looked = look(parts, &connection, std::slice::from_ref(keys), "GET", deadline).await?;
    looked.into_iter().next().unwrap_or(Ok(None))
}

/// What is found of one lock.
type Found = Result<Option<LockStatus>, Failure>;

/// Looks at locks that are on the server of this connection, in one exchange, and in another one for
/// the names of their processes.
///
/// `read` is the command that reads a lock's key; `GETRANGE` reads a part of it.
pub(super) async fn look(
    parts: &Parts,
    connection: &Connection,
    locks: &[Keys],
    read: &str,
    deadline: Instant,
) -> Result<Vec<Found>, Failure> {
    let mut question = Pipeline::new();
    for keys in locks {
        let (lock, queue) = (keys.lock.as_str(), keys.queue());
        // The first only asks for the type: a key that is no lock must not be shown as one.
        question.cmd("STRLEN").arg(lock).cmd("PTTL").arg(lock);
        question.cmd(read).arg(lock);
        if read == "GETRANGE" {
            question.arg(0).arg(MAX_READ - 1);
        }
        // Also where this backend's own waiters do not queue: others may.
        question.cmd("ZCARD").arg(&queue);
        question.cmd("ZRANGE").arg(&queue).arg(0).arg(LockStatus::MAX_QUEUE - 1);
    }
    let mut answers = connection.send_all(&question, deadline).await?.into_iter();
    let mut seen = Vec::with_capacity(locks.len());
    for keys in locks {
        seen.push(see(parts, connection, &keys.lock, &mut answers, deadline).await);
    }
    let held = || seen.iter().filter_map(|seen| seen.as_ref().ok()?.as_ref());
    let known = registered(parts, held().flat_map(Seen::tokens), deadline).await;
    Ok(seen.into_iter().map(|seen| Ok(seen?.map(|seen| seen.status(&known)))).collect())
}

/// So much of a value is read where a part of it will do: more than any of ours has.
const MAX_READ: usize = 256;

/// What stands at the keys of a lock that is held.
struct Seen {
    left: Option<Duration>,
    stored: Option<Stored>,
    waiters: Option<u64>,
    waiting: Vec<OwnerToken>,
}

struct Stored {
    owner: holder::Value,
    /// The value, if all of it was read.
    value: Option<Vec<u8>>,
}

/// Takes the answers of one lock.
async fn see(
    parts: &Parts,
    connection: &Connection,
    lock: &str,
    answers: &mut (impl Iterator<Item = Result<Value, Failure>> + Send),
    deadline: Instant,
) -> Result<Option<Seen>, Failure> {
    let [length, left, stored, waiters, waiting] = [(); 5].map(|()| {
        let missing = || Err(Failure::unavailable("the server did not answer"));
        answers.next().unwrap_or_else(missing).map_err(|failure| about(failure, lock))
    });
    let length = parts.named(length, connection, &[lock], deadline).await?;
    let left = parts.named(left, connection, &[lock], deadline).await?;
    let Some(left) = connection.judge(reply::time_to_live(&left))? else { return Ok(None) };
    let length = reply::count(&length).and_then(|length| usize::try_from(length).ok());
    // Not to know who holds it and who waits, for want of a permission, is no reason to fail.
    let stored = stored.ok().and_then(|stored| {
        let stored =
            reply::text(&stored).filter(|stored| !stored.is_empty() || length == Some(0))?;
        let value = (length == Some(stored.len())).then(|| stored.to_vec());
        Some(Stored { owner: holder::value(stored), value })
    });
    let waiters = waiters.ok().and_then(|count| reply::count(&count));
    let waiting = waiting.ok().map(|entries| tokens(&entries)).unwrap_or_default();
    Ok(Some(Seen { left, stored, waiters, waiting }))
}

impl Seen {
    fn tokens(&self) -> impl Iterator<Item = &OwnerToken> {
        let holding = self.stored.iter().filter_map(|stored| match &stored.owner {
            holder::Value::Ours { token, .. } => Some(token),
            holder::Value::Other(_) => None,
        });
        holding.chain(&self.waiting)
    }

    fn status(self, known: &HashMap<InstanceId, ProcessInfo>) -> LockStatus {
        let of = |token: OwnerToken| holder_of(token, known.get(&token.instance()).cloned());
        let queue = self.waiting.iter().map(|&token| of(token).into());
        let mut status = LockStatus::new(self.left).with_queue(queue);
        status.holder = self.stored.map(|Stored { owner, value }| match owner {
            holder::Value::Ours { token, has_released } => of(token).with_released(has_released),
            holder::Value::Other(shown) => {
                let holder = Holder::new(Who::Other(shown));
                match value {
                    Some(value) => holder.with_id(HolderId::of_value(value)),
                    None => holder,
                }
            }
        });
        match self.waiters {
            Some(waiters) => status.with_waiters(waiters),
            None => status,
        }
    }
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
    let mut tries = Tries::default();
    let answer = loop {
        let home = parts.topology.home(slot(&key), deadline).await.ok()?;
        let connection = home.route(Lane::Caller).connection(deadline).await.ok()?;
        let mut question = redis::cmd("GET");
        question.arg(&key);
        let mut answer = connection.send(question.clone(), deadline).await;
        if let Err(failure) = &answer
            && let Some(connection) = home.asking(failure, deadline).await
        {
            answer = connection.ok()?.send(question, deadline).await;
        }
        match answer {
            Ok(answer) => break answer,
            // Its slot may be elsewhere by now.
            Err(failure) => home.again(failure, &mut tries, deadline).await.ok()?,
        }
    };
    Some((instance, process::read(reply::text(&answer)?)?))
}

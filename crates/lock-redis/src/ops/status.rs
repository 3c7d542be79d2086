//! Looking at a lock without touching it.

use lock_core::LockStatus;
use lock_core::backend::{Lane, LockKey};
use redis::Pipeline;

use crate::ops::parts::{Parts, about};
use crate::protocol::keys::Keys;
use crate::protocol::reply;
use crate::wire::failure::Failure;

pub(crate) async fn status(parts: &Parts, key: &LockKey) -> Result<Option<LockStatus>, Failure> {
    let keys = Keys::new(&parts.key_prefix, key)?;
    let (queue, Keys { lock, slot }) = (keys.queue(), keys);
    // Also where this backend's own waiters do not queue: others may.
    look(parts, slot, &lock, Some(&queue)).await
}

/// Reads the lease of a lock, and how many wait in its queue if one is named.
pub(crate) async fn look(
    parts: &Parts,
    slot: u16,
    lock: &str,
    queue: Option<&str>,
) -> Result<Option<LockStatus>, Failure> {
    let deadline = parts.deadline();
    let connection = parts.topology.route(slot, Lane::Caller).connection(deadline).await?;
    let mut question = Pipeline::new();
    // The first only asks for the type: a key that is no lock must not be shown as one.
    question.cmd("STRLEN").arg(lock).cmd("PTTL").arg(lock);
    if let Some(queue) = queue {
        question.cmd("ZCARD").arg(queue);
    }
    let mut answers = connection.send_all(&question, deadline).await?.into_iter();
    let mut next = || {
        let missing = || Err(Failure::unavailable("the server did not answer"));
        answers.next().unwrap_or_else(missing).map_err(|failure| about(failure, lock))
    };
    parts.named(next(), &connection, &[lock], deadline).await?;
    let left = parts.named(next(), &connection, &[lock], deadline).await?;
    let left = connection.judge(reply::time_to_live(&left))?;
    // Not to know how many wait, for want of a permission, is no reason to fail.
    let waiters = next().ok().and_then(|count| reply::count(&count));
    Ok(left.map(|left| match waiters {
        Some(waiters) => LockStatus::new(left).with_waiters(waiters),
        None => LockStatus::new(left),
    }))
}

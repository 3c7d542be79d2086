//! Taking a lock from a holder that a status has named.

use lock_core::Instant;
use lock_core::backend::{EvictRequest, Lane, ReleaseReply, ReleaseRequest};
use redis::{Cmd, Value};

use crate::ops::parts::Parts;
use crate::ops::{release, uncontended};
use crate::protocol::keys::Keys;
use crate::queue::Queue;
use crate::topology::home::Home;
use crate::topology::tries::Tries;
use crate::wire::failure::Failure;

/// The holder's own release, or the deletion of what another program has stored.
pub(crate) async fn evict(
    parts: &Parts,
    queue: Option<&Queue>,
    request: EvictRequest,
) -> Result<ReleaseReply, Failure> {
    let EvictRequest { key, holder, clock, .. } = request;
    if let Some(token) = holder.token() {
        let request = ReleaseRequest::new(key, token, clock).with_lane(Lane::Background);
        return release::release(parts, queue, &request).await;
    }
    let keys = Keys::new(&parts.key_prefix, &key)?;
    let deadline = parts.deadline();
    let mut tries = Tries::default();
    loop {
        let home = parts.topology.home(keys.slot, deadline).await?;
        let value = holder.value().unwrap_or_default();
        let deleted = at(parts, &keys, &home, value, deadline).await;
        let Err(failure) = deleted else { return deleted };
        home.again(failure, &mut tries, deadline).await?;
    }
}

/// Deletes what another program has stored, at one server.
async fn at(
    parts: &Parts,
    keys: &Keys,
    home: &Home<'_>,
    value: &[u8],
    deadline: Instant,
) -> Result<ReleaseReply, Failure> {
    let connection = home.route(Lane::Background).connection(deadline).await?;
    let deleted = uncontended::delete(&connection, &keys.lock, value, deadline).await;
    let deleted = deleted.map_err(Failure::or_unknown);
    if parts.named(deleted, &connection, &[&keys.lock], deadline).await? {
        return Ok(ReleaseReply::Released);
    }
    let mut look = Cmd::new();
    look.arg("EXISTS").arg(&keys.lock);
    let is_there = connection.send(look, deadline).await? != Value::Int(0);
    Ok(if is_there { ReleaseReply::HeldByOther } else { ReleaseReply::NotHeld })
}

//! What replicas have to confirm: a grant before it is believed, and an extension.
//!
//! What is pushed to a waiter is asked for once more first, and so is a grant like any other.

use std::sync::Arc;
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, OwnerToken, ReleaseRequest, in_time,
};

use crate::ops::parts::Parts;
use crate::ops::release;
use crate::protocol::keys;
use crate::protocol::keys::Keys;
use crate::protocol::owner::Owner;
use crate::queue::Queue;
use crate::topology::tries::Tries;
use crate::wire::confirmer::{Claim, Standing};
use crate::wire::failure::Failure;

/// The server counts in whole milliseconds, and its clock may be a little slow.
const ROUNDING: Duration = Duration::from_millis(2);

/// A grant that replicas have; one that they have not is given back.
pub(crate) async fn granted(
    parts: &Parts,
    queue: Option<&Arc<Queue>>,
    request: &AcquireRequest,
    reply: AcquireReply,
) -> Result<AcquireReply, Failure> {
    let AcquireReply::Granted(grant) = &reply else { return Ok(reply) };
    let keys = Keys::new(&parts.key_prefix, &request.key)?;
    let lease = grant.granted_ttl.unwrap_or(request.ttl);
    let elapsed = request.clock.now().saturating_duration_since(request.asked_at);
    let deadline = parts.deadline_of(request);
    let now = Clock::SYSTEM.now();
    let until = now - elapsed + lease;
    // The rest is for giving it back.
    let patience = deadline.saturating_duration_since(now) / 4 * 3;
    let lock = Lock { key: &keys.lock, slot: keys.slot, token: request.token };
    let confirmed = lock.stands(parts, until, now + patience).await;
    let Err(failure) = confirmed else { return Ok(reply) };
    let failure = failure
        .while_doing("the lock was granted and given back, because replicas have not confirmed it");
    let undo = ReleaseRequest::new(request.key.clone(), request.token, request.clock);
    let undone = release::release(parts, queue.map(Arc::as_ref), &undo);
    // Nothing of ours is left there, whatever the answer says.
    Err(match in_time(deadline, undone).await {
        Some(Ok(_)) => failure.not_applied(),
        _ => failure.applied(),
    })
}

/// A lock that a token is to have.
pub(crate) struct Lock<'a> {
    pub(crate) key: &'a str,
    pub(crate) slot: u16,
    pub(crate) token: OwnerToken,
}

impl Lock<'_> {
    /// Whether replicas have it, with a lease until then at least.
    pub(crate) async fn stands(
        self,
        parts: &Parts,
        until: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let Some(standing) = self.standing(parts, deadline).await? else { return Ok(()) };
        let left = until.saturating_duration_since(Clock::SYSTEM.now());
        if Owner(self.token).is_in(&standing.value) && standing.left + ROUNDING >= left {
            return Ok(());
        }
        let message = "the server does not have it any more; a failover may be under way";
        Err(Failure::unavailable(message))
    }

    /// What stands there, and is on the replicas of the server that has the slot by now; none where
    /// nobody need be asked.
    ///
    /// A server that the lock has moved to has it from the one before, and so wrote it before what is
    /// waited for there.
    async fn standing(
        &self,
        parts: &Parts,
        deadline: Instant,
    ) -> Result<Option<Standing>, Failure> {
        let mut tries = Tries::default();
        loop {
            let home = parts.topology.home(self.slot, deadline).await?;
            let Some(confirmer) = home.confirmer() else { return Ok(None) };
            let claim = Claim { marker: keys::marker(self.slot), key: self.key.to_owned() };
            match confirmer.confirm(claim, deadline).await {
                Ok(standing) => return Ok(Some(standing)),
                Err(failure) => home.again(failure, &mut tries, deadline).await?,
            }
        }
    }
}

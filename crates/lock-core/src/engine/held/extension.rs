//! Setting a lease anew, for its holder.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::RenewReply;
use crate::engine::held::Holding;
use crate::engine::renew::{self, GRACE};
use crate::time::clock::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::loss::LossReason;

impl Holding {
    pub(crate) async fn extend(self: &Arc<Self>, ttl: Duration) -> Result<()> {
        let capabilities = self.service.backend().capabilities();
        if !capabilities.renew {
            let message = format!("the {} backend cannot renew leases", self.service.kind());
            return Err(LockError::new(LockErrorKind::Unsupported, message).not_applied());
        }
        let (min, max) = (capabilities.ttl_min, capabilities.ttl_max);
        if ttl < min || ttl > max {
            let message = format!("ttl is {ttl:?}; the backend accepts {min:?} to {max:?}");
            return Err(LockError::new(LockErrorKind::InvalidConfig, message).not_applied());
        }
        if let Some(reason) = self.ended() {
            return Err(LockError::lost(reason));
        }
        let sent = self.service.clock().now();
        let mine = self.begin_extension(sent, ttl)?;
        let backend = Arc::clone(self.service.backend());
        let renewing = renew::renew_one(backend, self.renew_request(ttl));
        let reply = self.service.within(renewing).await;
        let now = self.service.clock().now();
        let reason = match reply {
            Ok(RenewReply::Renewed) => return self.finish_extension(mine, sent, now, ttl),
            Ok(RenewReply::NotHeld) => LossReason::Removed,
            Ok(RenewReply::HeldByOther) => LossReason::HeldByOther,
            Ok(RenewReply::Failed(error)) | Err(error) => return Err(not_known(error)),
        };
        let reason = self.lose(reason);
        self.schedule(now + GRACE);
        Err(LockError::lost(reason))
    }

    /// Lowers the deadline if the new lease is shorter: before anything is sent, so that no answer
    /// is needed for it.
    fn begin_extension(&self, now: Instant, ttl: Duration) -> Result<u32> {
        let mut state = self.lock();
        let Some(machine) = &mut state.machine else {
            return Err(LockError::lost(LossReason::Released));
        };
        machine.renewal_sent(now, ttl);
        state.is_unconfirmed = true;
        state.extensions = state.extensions.wrapping_add(1);
        let local_end = now + ttl;
        if local_end < self.deadline() {
            // The store's lease is long enough as it is.
            state.is_window = false;
            state.lowered = state.lowered.wrapping_add(1);
            self.set_deadline(local_end);
        }
        if !self.keep_alive && !state.is_window {
            // The store's lease may outlive the guard's from now on: the keeper is to undo it.
            self.schedule(self.deadline());
        }
        let mine = state.extensions;
        drop(state);
        self.changed.ring();
        Ok(mine)
    }

    fn finish_extension(
        &self,
        mine: u32,
        sent: Instant,
        now: Instant,
        ttl: Duration,
    ) -> Result<()> {
        self.confirmed(sent, now, ttl, |state, bound| {
            if state.extensions == mine {
                // The store's bound may lie later, from a longer lease before; this one counts.
                let asked = sent + ttl;
                self.set_deadline(bound.min(asked).min(self.max_hold_end));
            }
        })
    }
}

/// An `extend` that got no answer: the store's lease may be longer than the guard believes.
fn not_known(error: LockError) -> LockError {
    if !error.is_retryable() {
        return error;
    }
    let message = format!("the store did not confirm the new lease; the old one stays: {error}");
    LockError::new(LockErrorKind::Unknown, message).with_source(error)
}

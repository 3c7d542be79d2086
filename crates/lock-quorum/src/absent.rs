//! Members where a token that has a lock is known to have nothing: they were down, or others had
//! their votes.

use std::collections::HashMap;
use std::sync::Mutex;

use lock_core::backend::{Instant, OwnerToken};

use crate::member::locked;
use crate::members::Members;

/// Tokens whose leases have ended unseen are thrown out when there are this many.
const SWEEP_MIN: usize = 64;

/// Remembers it, so that a release need not ask a member that is down for what it cannot have.
#[derive(Default)]
pub(crate) struct Absent(Mutex<Tokens>);

#[derive(Default)]
struct Tokens {
    tokens: HashMap<OwnerToken, (Members, Instant)>,
    sweep_at: usize,
}

impl Absent {
    /// The token has nothing at these members, and will have nothing; its lease ends then, unless
    /// it is renewed.
    pub(crate) fn note(&self, token: OwnerToken, members: Members, end: Instant, now: Instant) {
        let mut all = locked(&self.0);
        if all.tokens.len() >= all.sweep_at.max(SWEEP_MIN) {
            all.tokens.retain(|_, (_, end)| *end > now);
            all.sweep_at = all.tokens.len() * 2;
        }
        all.tokens.insert(token, (members, end));
    }

    /// Where the token has nothing, as far as is known; asked once, by its release.
    pub(crate) fn take(&self, token: OwnerToken) -> Members {
        locked(&self.0).tokens.remove(&token).map(|(members, _)| members).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_known_of_a_token_is_given_out_once_and_forgotten_after_its_lease() {
        let (absent, one) = (Absent::default(), Members::first(1));
        let token = |number: u8| OwnerToken::from_bytes([number; 16]);
        let (now, later) = (Instant::ORIGIN, Instant::ORIGIN + Duration::from_secs(1));
        absent.note(token(0), one, later, now);
        assert_eq!((absent.take(token(0)), absent.take(token(0))), (one, Members::default()));
        for number in 0..128 {
            absent.note(token(number), one, later, now);
        }
        absent.note(token(128), one, later + Duration::from_secs(1), later);
        assert_eq!(locked(&absent.0).tokens.len(), 1, "leases that have ended are kept");
    }
}

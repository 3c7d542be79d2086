//! The server: one key, its owner and its expiry, and the counter of fencing numbers.

use crate::attempt::settings::SeededBug;
use crate::message::{Answer, Request, Token};
use crate::time::Tick;

/// The state of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Who owns the lock, and until when.
    pub lease: Option<(Token, Tick)>,
    /// The stored counter of fencing numbers.
    pub counter: u8,
    /// The highest number that was ever handed out; only the properties know it.
    pub highest: u8,
}

impl Server {
    /// Runs a request. `None` if it came too late, and nothing was done.
    pub fn run(
        &mut self,
        now: Tick,
        token: Token,
        request: Request,
        bug: Option<SeededBug>,
    ) -> Option<Answer> {
        match request {
            Request::Acquire { not_after, .. }
                if now > not_after && bug != Some(SeededBug::NoNotAfter) =>
            {
                None
            }
            Request::Acquire { ttl, .. } => Some(self.acquire(now + ttl, token, bug)),
            Request::Release { .. } => Some(self.release(token, bug)),
            Request::Renew { ttl } => Some(self.renew(now + ttl, token, bug)),
        }
    }

    /// Forgets a lease that is over.
    pub fn expire(&mut self, now: Tick) {
        self.lease.take_if(|(_, expires)| *expires <= now);
    }

    /// Hands out the next fencing number; `false` if it does not rise.
    pub fn issue(&mut self, bug: Option<SeededBug>) -> bool {
        let number = self.counter + 1;
        if bug != Some(SeededBug::FenceRepeats) {
            self.counter = number;
        }
        let rises = number > self.highest;
        self.highest = self.highest.max(number);
        // Only the distance of the two matters, and small numbers make fewer states.
        let common = self.counter.min(self.highest);
        self.counter -= common;
        self.highest -= common;
        rises
    }

    fn acquire(&mut self, expires: Tick, token: Token, bug: Option<SeededBug>) -> Answer {
        match &mut self.lease {
            Some((owner, _)) if *owner != token => return Answer::HeldByOther,
            Some(_) if bug == Some(SeededBug::RegrantKeepsExpiry) => {}
            Some((_, stored)) => *stored = expires.max(*stored),
            None => self.lease = Some((token, expires)),
        }
        // The properties compare the numbers here, and no client needs them.
        Answer::Granted(0)
    }

    fn release(&mut self, token: Token, bug: Option<SeededBug>) -> Answer {
        match self.lease {
            None => Answer::NotHeld,
            Some((owner, _)) if owner != token && bug != Some(SeededBug::NoOwnerCheck) => {
                Answer::HeldByOther
            }
            Some(_) => {
                self.lease = None;
                Answer::Released
            }
        }
    }

    fn renew(&mut self, expires: Tick, token: Token, bug: Option<SeededBug>) -> Answer {
        match &mut self.lease {
            None if bug == Some(SeededBug::RenewalRevives) => {
                self.lease = Some((token, expires));
                Answer::Renewed
            }
            None => Answer::NotHeld,
            Some((owner, _)) if *owner != token => Answer::HeldByOther,
            Some((_, stored)) => {
                let shortens = bug == Some(SeededBug::RenewalShortens);
                *stored = if shortens { expires } else { expires.max(*stored) };
                Answer::Renewed
            }
        }
    }
}

//! The server: one key, its owner and its expiry, and the counter of fencing numbers.

use std::fmt;

use crate::attempt::settings::SeededBug;
use crate::time::Tick;

/// One attempt of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Which client.
    pub client: usize,
    /// Its how many-th attempt.
    pub attempt: u8,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// For the lock, and not after this tick.
    Acquire {
        /// The lease.
        ttl: Tick,
        /// A later run is refused.
        not_after: Tick,
    },
    /// For the end of its lease.
    Release,
    /// For a longer lease.
    Renew {
        /// The lease from now on.
        ttl: Tick,
    },
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire { ttl, not_after } => {
                write!(f, "acquire(ttl {ttl}, not after {not_after})")
            }
            Self::Release => write!(f, "release"),
            Self::Renew { ttl } => write!(f, "renew(ttl {ttl})"),
        }
    }
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// To an acquire: the asked lease was set.
    Granted,
    /// To a release: it was the owner's.
    Released,
    /// To a renewal: the lease has at least the asked length.
    Renewed,
    /// Nobody owns the lock.
    NotHeld,
    /// Another token owns the lock.
    HeldByOther,
    /// The server refuses to work now; nothing ran.
    NotApplied,
}

/// The state of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// Who owns the lock, and until when.
    pub lease: Option<(Token, Tick)>,
    /// The stored counter of fencing numbers.
    pub counter: u8,
    /// The highest number that was ever handed out; only the properties know it.
    pub highest: u8,
}

impl Store {
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
            Request::Release => Some(self.release(token, bug)),
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
        Answer::Granted
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

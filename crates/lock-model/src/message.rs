//! What clients and the server say to each other, the same in all models.

use std::fmt;

use crate::time::Tick;

/// What the server's counter issues: fencing numbers and tickets. Only their order matters.
pub type Number = u16;

/// One attempt of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// Which client.
    pub client: usize,
    /// Its how many-th attempt.
    pub attempt: u8,
}

/// How an acquire or a release is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// By the script.
    Script,
    /// By plain commands; or by the script, if its process knows that others want the lock.
    Plain,
    /// By the script, for a token that plain commands have granted the lock, under a number that is
    /// of no use.
    Confirm,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// For the lock.
    Acquire {
        /// The lease.
        ttl: Tick,
        /// A later run is refused.
        not_after: Tick,
        /// Whether to stand in the queue.
        wait: bool,
        /// The place in the queue; zero if there is none yet.
        ticket: Number,
        /// Where pushes go.
        channel: u8,
        /// How it is carried out.
        form: Form,
        /// The connection knows that the counter has lost nothing since it was made.
        counted: bool,
    },
    /// For the end of its lease and of its wait.
    Release {
        /// Where pushes went last.
        channel: u8,
        /// How it is carried out.
        form: Form,
        /// The connection knows that the counter has lost nothing since it was made.
        counted: bool,
    },
    /// For a longer lease.
    Renew {
        /// The lease from now on.
        ttl: Tick,
    },
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// To an acquire: the asked lease was set, under this number.
    Granted(Number),
    /// To an acquire: in the queue.
    Queued {
        /// The place.
        ticket: Number,
        /// How many stand in front.
        rank: u8,
        /// What is left of the holder's lease, or of a gap; `None` to somebody behind others, who
        /// watch the holder.
        left: Option<Tick>,
        /// The holder will tell nobody when it releases.
        is_foreign: bool,
        /// The counter.
        counter: Number,
    },
    /// To an acquire that does not wait: the queue is not empty.
    Busy,
    /// To an acquire by plain commands: the lock is not free.
    NotSet,
    /// To a release: it was the owner's.
    Released,
    /// To a release by a plain command: the lock's value is not the owner's, or it is marked.
    NotEqual,
    /// To a renewal: the lease has at least the asked length.
    Renewed,
    /// Nobody owns the lock.
    NotHeld,
    /// Another token owns the lock.
    HeldByOther,
    /// The server refuses to work now; nothing ran.
    NotApplied,
}

/// What the server pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum News {
    /// The lock is yours, for the window.
    Granted(Number),
    /// You are the next, and the holder's lease has this much left.
    Head(Tick),
}

/// One push on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pushed {
    /// Whose token it tells.
    pub attempt: u8,
    /// Over which of the client's connections it comes.
    pub channel: u8,
    /// What it tells.
    pub news: News,
    /// When it was sent.
    pub sent: Tick,
    /// Whether it is a slow one.
    pub slow: bool,
}

impl Request {
    /// Whether plain commands may carry it out.
    #[must_use]
    pub const fn may_be_plain(self) -> bool {
        matches!(
            self,
            Self::Acquire { form: Form::Plain, .. } | Self::Release { form: Form::Plain, .. }
        )
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire { ttl, form: Form::Plain, .. } => {
                write!(f, "acquire(ttl {ttl}, perhaps by plain commands)")
            }
            Self::Acquire { ttl, not_after, wait: false, .. } => {
                write!(f, "acquire(ttl {ttl}, not after {not_after})")
            }
            Self::Acquire { ttl, not_after, ticket, channel, .. } => {
                write!(f, "acquire(ttl {ttl}, not after {not_after}, ")?;
                write!(f, "wait with ticket {ticket} on channel {channel})")
            }
            Self::Release { form: Form::Plain, .. } => {
                write!(f, "release, perhaps by a plain command")
            }
            Self::Release { .. } => write!(f, "release"),
            Self::Renew { ttl } => write!(f, "renew(ttl {ttl})"),
        }
    }
}

impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.news {
            News::Granted(number) => write!(f, "\"granted under {number}\"")?,
            News::Head(left) => write!(f, "\"you are next, {left} ticks are left\"")?,
        }
        write!(f, " to attempt {}, pushed at {}", self.attempt, self.sent)
    }
}

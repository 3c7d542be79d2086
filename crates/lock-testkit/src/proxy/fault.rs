//! What can be done to the bytes and the connections of a [`Proxy`](super::Proxy).

use std::time::Duration;

/// The longest needle, in bytes, that a [`Cut`] or a [`Watch`](super::Watch) can look for.
pub const MAX_NEEDLE_BYTES: usize = 1024;

/// Which way bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: commands.
    ToServer,
    /// From the server to the client: replies and pushes.
    ToClient,
}

impl Direction {
    /// Both directions.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    pub(super) fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

/// One connection through the proxy, numbered from 0 in the order in which they were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) u64);

/// Which connections a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that are open and those that will be.
    All,
    /// Those that are open now; later ones are untouched.
    Existing,
    /// Those that are accepted from now on; open ones are untouched.
    New,
    /// This one.
    One(ConnectionId),
}

/// What happens to the bytes of one direction of a connection.
///
/// A fault acts on bytes when they leave the proxy, so bytes that [`Hold`](Self::Hold) or
/// [`Delay`](Self::Delay) keep back obey the fault that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes flow.
    Pass,
    /// Bytes are read and dropped: a half-open connection.
    ///
    /// The end of the stream is kept back as well, so the other side goes on believing in the
    /// connection; it arrives when the fault is over.
    Swallow,
    /// Bytes are kept back and flow in order once the fault is over.
    ///
    /// They flow even if their sender has closed its connection meanwhile: a command that arrives
    /// late, from a client that gave up long ago.
    Hold,
    /// Each chunk leaves this long after it was read; the chunks overlap, as they do on a long line.
    Delay(Duration),
    /// At most `bytes` leave in each interval `every`.
    Trickle {
        /// Bytes an interval; at least 1.
        bytes: usize,
        /// The interval.
        every: Duration,
    },
    /// All bits of each `one_in`-th byte are flipped, counted from the start of the connection.
    Corrupt {
        /// The distance of two flipped bytes; at least 1, which flips them all.
        one_in: u64,
    },
    /// What a Redis server pushes (RESP3) is dropped, message by message; all else passes.
    ///
    /// This is the one fault that reads a protocol.
    /// It acts on bytes to the client; those of other protocols pass.
    /// In RESP3 the answer to a `SUBSCRIBE` is a push as well.
    SwallowPushes,
}

impl Fault {
    pub(super) fn validate(self) {
        match self {
            Self::Trickle { bytes, .. } => {
                assert!(bytes > 0, "Fault::Trickle with 0 bytes never moves; use Fault::Hold");
            }
            Self::Corrupt { one_in } => {
                assert!(one_in > 0, "Fault::Corrupt needs one_in >= 1; use Fault::Pass for none");
            }
            Self::Pass | Self::Swallow | Self::Hold | Self::Delay(_) | Self::SwallowPushes => {}
        }
    }
}

/// What happens to connections that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They are served.
    Serve,
    /// They are closed at once, in order (FIN).
    Close,
    /// They are reset at once (RST).
    Reset,
}

/// What a [`Cut`] does to the connection on which it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Both sides are reset (RST); bytes still kept back are lost.
    Reset,
    /// Both sides are closed (FIN); bytes still kept back are lost.
    Close,
    /// The rest of this direction of this connection obeys the fault.
    Apply(Fault),
}

/// A fault at an exact place of a byte stream; it fires once.
///
/// A needle counts when its last byte is about to leave the proxy, over all connections together.
/// The proxy knows no protocol, so it cannot tell where a reply ends: everything behind the cut
/// shares its fate.
/// That is also what a real loss looks like, since TCP loses no bytes from the middle.
///
/// ```
/// use lock_testkit::proxy::{Cut, Direction, Fault, Then};
///
/// // The third `+OK` never arrives and the connection is reset.
/// let lost_reply = Cut::when(Direction::ToClient, b"+OK\r\n").nth(3);
/// // The command is kept back until the direction passes again.
/// let late = Cut::when(Direction::ToServer, b"EVALSHA").then(Then::Apply(Fault::Hold));
/// // 17 bytes of a reply arrive, then the line is dead.
/// let torn = Cut::after_bytes(Direction::ToClient, 17).then(Then::Apply(Fault::Swallow));
/// # let _cuts = [lost_reply, late, torn];
/// ```
#[derive(Clone, Debug)]
#[must_use = "a cut does nothing until it is given to `Proxy::arm`"]
pub struct Cut {
    pub(super) direction: Direction,
    pub(super) trigger: Trigger,
    pub(super) then: Then,
}

#[derive(Clone, Debug)]
pub(super) enum Trigger {
    Bytes(u64),
    Needle { needle: Vec<u8>, left: u64, keep: bool },
}

impl Cut {
    /// Cuts before the first byte of `needle`.
    ///
    /// Bytes of the needle that came in an earlier chunk have left already; the whole needle
    /// never gets through.
    ///
    /// # Panics
    ///
    /// Panics when `needle` is empty or longer than [`MAX_NEEDLE_BYTES`].
    pub fn when(direction: Direction, needle: impl AsRef<[u8]>) -> Self {
        let needle = checked_needle(needle.as_ref());
        let trigger = Trigger::Needle { needle, left: 1, keep: false };
        Self { direction, trigger, then: Then::Reset }
    }

    /// Cuts the first connection on which `count` bytes have passed since the cut was armed.
    ///
    /// With a `count` of 0 it fires when the next byte arrives.
    pub fn after_bytes(direction: Direction, count: u64) -> Self {
        Self { direction, trigger: Trigger::Bytes(count), then: Then::Reset }
    }

    /// Fires at the `n`-th occurrence of the needle, counted from 1 since the cut was armed.
    ///
    /// # Panics
    ///
    /// Panics when `n` is 0, or when the cut counts bytes.
    pub fn nth(mut self, n: u64) -> Self {
        assert!(n > 0, "Cut::nth counts from 1");
        match &mut self.trigger {
            Trigger::Needle { left, .. } => *left = n,
            Trigger::Bytes(_) => panic!("Cut::nth needs a needle; this cut counts bytes"),
        }
        self
    }

    /// Lets the needle through and cuts behind its last byte.
    ///
    /// # Panics
    ///
    /// Panics when the cut counts bytes.
    pub fn behind(mut self) -> Self {
        match &mut self.trigger {
            Trigger::Needle { keep, .. } => *keep = true,
            Trigger::Bytes(_) => panic!("Cut::behind needs a needle; this cut counts bytes"),
        }
        self
    }

    /// Sets what the cut does; the default is [`Then::Reset`].
    ///
    /// # Panics
    ///
    /// Panics when the fault to apply is out of its range.
    pub fn then(mut self, then: Then) -> Self {
        if let Then::Apply(fault) = then {
            fault.validate();
        }
        self.then = then;
        self
    }
}

pub(super) fn checked_needle(needle: &[u8]) -> Vec<u8> {
    let len = needle.len();
    assert!(
        (1..=MAX_NEEDLE_BYTES).contains(&len),
        "a needle of {len} bytes is out of range; 1..={MAX_NEEDLE_BYTES} are accepted"
    );
    needle.to_vec()
}

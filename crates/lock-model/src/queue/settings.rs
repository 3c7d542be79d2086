//! What a scenario says, and the bugs that may be seeded in one.

use crate::budget::{Budget, NONE};
use crate::time::Tick;

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// How many clients.
    pub clients: usize,
    /// How many of them, the last ones, ask again and again instead of standing in the queue.
    pub pollers: usize,
    /// How many of them, the last ones, have no use for a number, and are granted the lock without
    /// one where that takes no script.
    pub unnumbered: usize,
    /// How often each wants the lock, one time after the other.
    pub waits: u8,
    /// The lease that each asks for.
    pub ttls: [Tick; 4],
    /// The lease of a pushed grant.
    pub window: Tick,
    /// The lease that a renewal asks for.
    pub renewal: Tick,
    /// The lease of another library's client.
    pub foreign: Tick,
    /// Whether it may release before its lease is over, which tells nobody.
    pub foreign_releases: bool,
    /// How long an ordinary message takes at most.
    pub latency: Tick,
    /// How long a slow message takes at most.
    pub slow: Tick,
    /// How long a client stands still at most.
    pub freeze: Tick,
    /// How many in the queue a script looks at before it gives up.
    pub skips: u8,
    /// After so many ticks the queue leaves the lock to those who poll.
    pub turn: Tick,
    /// For so many ticks; zero if it never does.
    pub gap: Tick,
    /// For so many ticks a poller may ask in vain.
    pub in_vain: Tick,
    /// Whether clients use plain commands while nobody waits, as far as they know.
    pub plain: bool,
    /// Whether a client keeps its channel when it makes a new connection.
    pub one_channel: bool,
    /// The trouble.
    pub budget: Budget,
    /// So many may overtake a client.
    pub overtaking: u8,
    /// For so many ticks the lock may be free while somebody stands in the queue.
    pub queue_free: Tick,
    /// For so many ticks the lock may be free while somebody waits, perhaps unknown to the server:
    /// until the end of the lease that the client was told of.
    pub free: Tick,
    /// The bug.
    pub bug: Option<SeededBug>,
    /// Whether it is small enough for every change: a million states at most.
    pub quick: bool,
}

impl Scenario {
    /// Whether this client does not stand in the queue.
    #[must_use]
    pub const fn polls(&self, client: usize) -> bool {
        client + self.pollers >= self.clients
    }

    /// Whether this client has use for a number.
    #[must_use]
    pub const fn wants_number(&self, client: usize) -> bool {
        client + self.unnumbered < self.clients
    }

    /// The lease of a grant that is pushed to this client.
    #[must_use]
    pub fn window_of(&self, client: usize) -> Tick {
        self.window.min(self.ttls[client])
    }
}

/// What the scenarios have in common.
pub const COMMON: Scenario = Scenario {
    name: "",
    clients: 2,
    pollers: 0,
    unnumbered: 0,
    waits: 1,
    ttls: [4; 4],
    window: 3,
    renewal: 5,
    foreign: 3,
    foreign_releases: false,
    latency: 0,
    slow: 4,
    freeze: 5,
    skips: 64,
    turn: 0,
    gap: 0,
    in_vain: Tick::MAX,
    plain: false,
    one_channel: false,
    budget: NONE,
    overtaking: 0,
    queue_free: 0,
    free: 0,
    bug: None,
    quick: true,
};

/// A long lease before short ones: whoever is told of it waits long.
pub const LONG: Scenario = Scenario { ttls: [8, 3, 3, 3], window: 2, ..COMMON };

/// The last client polls, and the queue leaves the lock to it now and then: for two ticks, since who
/// asks once a tick may have asked just before.
pub const GAPS: Scenario = Scenario {
    pollers: 1,
    ttls: [2; 4],
    window: 2,
    turn: 1,
    gap: 2,
    in_vain: 4,
    queue_free: 2,
    free: 2,
    ..COMMON
};

/// Clients use plain commands while nobody waits, as far as they know.
pub const PLAIN: Scenario = Scenario { plain: true, ..COMMON };

/// The last client polls and wants no number, as each member of a quorum is asked.
pub const UNNUMBERED: Scenario = Scenario { pollers: 1, unnumbered: 1, ..PLAIN };

/// A bug that is put into the modelled server or driver, to see that the properties notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeededBug {
    /// The server publishes a grant and takes a count of zero for "nobody got it".
    PublishTells,
    /// The server runs an acquire however late it arrives.
    NoNotAfter,
    /// The server grants again without raising the expiry.
    RegrantKeepsExpiry,
    /// The server sets the expiry to the renewal's, also if that is earlier.
    RenewalShortens,
    /// The server does not say that the holder is foreign.
    ForeignIsNotTold,
    /// The server never leaves the lock to those who poll.
    NoGap,
    /// The server begins a gap and grants the lock to the first in the queue as well.
    GapGrantsToo,
    /// The server begins a gap anew whenever somebody asks.
    GapNeverEnds,
    /// The server tells nobody that a poller has released the lock in a gap.
    PollerTellsNobody,
    /// The server gives the lock to whoever comes in a gap, also to stand in the queue.
    NewcomerTakesGap,
    /// The server tells the next in the queue nothing.
    NoHint,
    /// The server tells the next in the queue nothing when the head leaves.
    LeaveWithoutHint,
    /// The server hands the lock over for the whole lease.
    FullLeaseAtHandOver,
    /// The server grants a free lock to whoever does not wait, past the queue.
    PollerOvertakes,
    /// The server hands a lock over that is not free.
    AdvanceOverHolder,
    /// The server releases whoever owns the lock.
    NoOwnerCheck,
    /// The server forgets to store the counter.
    FenceRepeats,
    /// The server finds an entry of the queue by its connection, and leaves older ones.
    OldEntryStays,
    /// The server does not mark the lock when somebody comes to stand in the queue.
    NoMark,
    /// The server marks the lock, which then has no end any more.
    MarkLosesExpiry,
    /// The server marks the value of another library's client.
    ForeignIsMarked,
    /// The server grants the lock without a mark while others stay in the queue.
    GrantIsUnmarked,
    /// The server does not know the owner of a marked lock when it renews.
    RenewalMissesMark,
    /// The server does not know the owner of a marked lock when it asks again.
    RepetitionMissesMark,
    /// A plain release deletes a marked lock as well.
    PlainReleaseIgnoresMark,
    /// The number is believed although the lock may have been deleted before it was drawn.
    NumberOfLostLock,
    /// The number is drawn before the lock is set.
    NumberBeforeSet,
    /// The driver does not kill the connection that may still carry a plain command.
    NoKill,
    /// The driver kills it over another connection than that of the release.
    KillElsewhere,
    /// The driver kills it before the next command only, and does not wait for the answer.
    KillOnce,
    /// The driver hands out a number that shows that the counter was lost.
    LostCounterIsBelieved,
    /// The driver uses plain commands on a new connection at once.
    NoLift,
    /// The driver takes any answer of the script for one that lifted the counter.
    AnyAnswerLifts,
    /// The driver takes a plain release that found another value for one that found nothing.
    NotEqualIsNotHeld,
    /// The driver takes a refusal of the second request of a step for one of the whole step.
    RefusalAfterSet,
    /// The driver allows the second request of a step as much time as the first.
    SecondRequestHasOwnTime,
    /// The driver counts a pushed window from the arrival of the push.
    DeadlineFromPush,
    /// The driver tells the waiter no counter.
    NoCounterRule,
    /// The driver takes a push for the answer to the step that is under way.
    PushAnswersStep,
    /// The driver does not send the ticket.
    NoTicket,
    /// The driver forgets older news when an answer arrives.
    OldAnswerWins,
    /// The driver forgets what came for a token that nobody wants any more.
    AbandonedIsIgnored,
    /// The driver sends a release while a step is under way, and takes its answer for final.
    ReleaseOvertakesStep,
    /// The driver takes the first answer to a release for the final one.
    FirstAnswerIsFinal,
    /// The driver believes that an acquire can take effect no later than its timeout, to the tick.
    LateAfterTooShort,
    /// The driver takes a step without an answer for one that did nothing.
    DoubtForgotten,
    /// The driver does not claim windows.
    ClaimMissing,
}

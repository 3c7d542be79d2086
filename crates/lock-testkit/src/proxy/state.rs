//! The state that the control calls and the connections share, and what it decides.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::fault::{Admission, ConnectionId, Cut, Direction, Fault, Scope, Then, Trigger};
use super::frames::Frames;
use super::scan::Tail;
use super::stats::Stats;

/// Shared by the proxy's handle and its thread.
///
/// A connection decides under the lock about each chunk that it has read.
/// So a control call, which takes the same lock, holds for every byte read after it returned.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    progress: Condvar,
    /// Rises with every count, for those who wait for counts.
    pub(super) ticks: watch::Sender<u64>,
    /// Rises with every control call, for the connections.
    pub(super) orders: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) upstream: SocketAddr,
    pub(super) admission: Admission,
    pub(super) stopped: bool,
    /// The faults that new connections start with, by direction.
    pub(super) fresh: [Fault; 2],
    pub(super) links: BTreeMap<ConnectionId, Link>,
    pub(super) cuts: Vec<ArmedCut>,
    pub(super) needles: Vec<(Direction, Vec<u8>)>,
    pub(super) stats: Stats,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) faults: [Fault; 2],
    pub(super) ending: Option<Ending>,
    /// Bytes that were let through, by direction.
    passed: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Reset,
    Close,
}

#[derive(Debug)]
pub(super) struct ArmedCut {
    cut: Cut,
    /// What had passed on each connection when the cut was armed.
    passed_before: BTreeMap<ConnectionId, u64>,
}

/// One direction of one connection: what was read and has not left.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) id: ConnectionId,
    pub(super) direction: Direction,
    pub(super) inbox: VecDeque<Chunk>,
    pub(super) ended: bool,
    pub(super) read: Tail,
    pub(super) written: Tail,
    cut: Tail,
    frames: Frames,
    next_trickle: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) read_at: Instant,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// Nothing may leave before this instant, or before something else happens.
    Wait(Option<Instant>),
    /// These bytes leave now, and then the cut takes effect.
    Send(Vec<u8>, Option<Then>),
    /// The stream has ended and all of it has left.
    Finish,
}

impl Shared {
    pub(super) fn new(upstream: SocketAddr) -> Self {
        let state = State {
            upstream,
            admission: Admission::Serve,
            stopped: false,
            fresh: [Fault::Pass; 2],
            links: BTreeMap::new(),
            cuts: Vec::new(),
            needles: Vec::new(),
            stats: Stats::default(),
        };
        Self {
            state: Mutex::new(state),
            progress: Condvar::new(),
            ticks: watch::Sender::new(0),
            orders: watch::Sender::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something that nobody but a waiting test looks at.
    pub(super) fn count<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.lock());
        self.progress.notify_all();
        self.ticks.send_modify(|tick| *tick += 1);
        value
    }

    /// Changes what the connections obey.
    pub(super) fn order<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = self.count(change);
        self.orders.send_modify(|order| *order += 1);
        value
    }

    /// Blocks until `done` holds or the time is over; says which.
    pub(super) fn block_until(
        &self,
        deadline: std::time::Instant,
        mut done: impl FnMut(&State) -> bool,
    ) -> bool {
        let mut state = self.lock();
        loop {
            if done(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.progress.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    /// Takes a new connection in.
    pub(super) fn open(&mut self) -> ConnectionId {
        let id = ConnectionId(self.stats.accepted);
        self.links.insert(id, Link { faults: self.fresh, ending: None, passed: [0; 2] });
        self.stats.accepted += 1;
        self.stats.open += 1;
        id
    }

    pub(super) fn close(&mut self, id: ConnectionId) {
        if self.links.remove(&id).is_some() {
            self.stats.open -= 1;
        }
    }

    pub(super) fn set(&mut self, scope: Scope, direction: Direction, fault: Fault) {
        if matches!(scope, Scope::All | Scope::New) {
            self.fresh[direction.index()] = fault;
        }
        for link in self.select(scope) {
            link.1.faults[direction.index()] = fault;
        }
    }

    /// The open connections of a scope.
    pub(super) fn select(
        &mut self,
        scope: Scope,
    ) -> impl Iterator<Item = (ConnectionId, &mut Link)> {
        let links = self.links.iter_mut().map(|(id, link)| (*id, link));
        links.filter(move |(id, _)| match scope {
            Scope::All | Scope::Existing => true,
            Scope::New => false,
            Scope::One(one) => one == *id,
        })
    }

    pub(super) fn arm(&mut self, cut: Cut) {
        let index = cut.direction.index();
        let passed_before = self.links.iter().map(|(id, link)| (*id, link.passed[index])).collect();
        self.cuts.push(ArmedCut { cut, passed_before });
    }

    /// Decides what the next bytes of a lane do.
    pub(super) fn plan(&mut self, lane: &mut Lane, now: Instant) -> Step {
        let Some(link) = self.links.get(&lane.id) else { return Step::Finish };
        if link.ending.is_some() {
            return Step::Wait(None);
        }
        let fault = link.faults[lane.direction.index()];
        if matches!(fault, Fault::Hold) {
            return Step::Wait(None);
        }
        if matches!(fault, Fault::Swallow) {
            let lost = lane.clear();
            self.stats.traffic_mut(lane.direction).dropped += lost;
            return Step::Wait(None);
        }
        let Some(head) = lane.inbox.front() else {
            return if lane.ended { Step::Finish } else { Step::Wait(None) };
        };
        let size = match fault {
            Fault::Delay(delay) if now < head.read_at + delay => {
                return Step::Wait(Some(head.read_at + delay));
            }
            Fault::Trickle { bytes, every } => {
                if let Some(next) = lane.next_trickle.filter(|next| now < *next) {
                    return Step::Wait(Some(next));
                }
                lane.next_trickle = Some(now + every);
                bytes.min(head.bytes.len())
            }
            _ => head.bytes.len(),
        };
        self.release(lane, size, fault)
    }

    /// Lets up to `size` bytes of the first chunk go, or fewer when a cut is in the way.
    fn release(&mut self, lane: &mut Lane, size: usize, fault: Fault) -> Step {
        let Some(mut head) = lane.inbox.pop_front() else { return Step::Wait(None) };
        let passed = self.links.get(&lane.id).map_or(0, |link| link.passed[lane.direction.index()]);
        let (size, then) = self.cut(lane, &head.bytes[..size], passed);
        let rest = head.bytes.split_off(size);
        let mut bytes = head.bytes;
        if !rest.is_empty() {
            lane.inbox.push_front(Chunk { read_at: head.read_at, bytes: rest });
        }
        lane.cut.advance(&bytes);
        if let Fault::Corrupt { one_in } = fault {
            for (place, byte) in (passed + 1..).zip(&mut bytes) {
                *byte ^= if place % one_in == 0 { 0xff } else { 0 };
            }
        }
        if let Some(link) = self.links.get_mut(&lane.id) {
            link.passed[lane.direction.index()] += bytes.len() as u64;
        }
        if lane.direction == Direction::ToClient {
            let size = bytes.len();
            bytes = lane.frames.passing(bytes, matches!(fault, Fault::SwallowPushes));
            let lost = (size - bytes.len()) as u64;
            self.stats.traffic_mut(lane.direction).dropped += lost;
        }
        Step::Send(bytes, then)
    }

    /// How many of these bytes pass before the first cut fires, and what that cut does.
    fn cut(&mut self, lane: &Lane, bytes: &[u8], passed: u64) -> (usize, Option<Then>) {
        let places = self.cuts.iter().enumerate().filter_map(|(index, armed)| {
            armed.place(lane, bytes, passed).map(|place| (place, index))
        });
        let first = places.min();
        let size = first.map_or(bytes.len(), |(place, _)| place);
        for armed in &mut self.cuts {
            armed.count(lane, &bytes[..size]);
        }
        let then = first.map(|(_, index)| self.cuts.remove(index).cut.then);
        (size, then)
    }

    /// Carries out what a cut does, after the bytes before it have left.
    pub(super) fn fire(&mut self, lane: &Lane, then: Then) {
        self.stats.cuts_fired += 1;
        let Some(link) = self.links.get_mut(&lane.id) else { return };
        match then {
            Then::Reset => link.ending = Some(Ending::Reset),
            Then::Close => link.ending = Some(Ending::Close),
            Then::Apply(fault) => link.faults[lane.direction.index()] = fault,
        }
    }

    /// Counts the needles that end in `chunk`, when it is read or when it has been written.
    pub(super) fn sight(&mut self, lane: &mut Lane, chunk: &[u8], written: bool) {
        let tail = if written { &mut lane.written } else { &mut lane.read };
        for ((direction, needle), sightings) in self.needles.iter().zip(&mut self.stats.watches) {
            if *direction != lane.direction {
                continue;
            }
            let found = tail.ends_of(chunk, needle).len() as u64;
            if written {
                sightings.forwarded += found;
                continue;
            }
            sightings.seen += found;
            if found > 0 && !sightings.carriers.contains(&lane.id) {
                sightings.carriers.push(lane.id);
            }
        }
        tail.advance(chunk);
    }
}

impl ArmedCut {
    /// The number of bytes before the place where this cut fires, if it is among these bytes.
    fn place(&self, lane: &Lane, bytes: &[u8], passed: u64) -> Option<usize> {
        if self.cut.direction != lane.direction {
            return None;
        }
        match &self.cut.trigger {
            Trigger::Bytes(count) => {
                let since = passed - self.passed_before.get(&lane.id).copied().unwrap_or(0);
                let left = usize::try_from(count.saturating_sub(since)).ok()?;
                (left <= bytes.len()).then_some(left)
            }
            Trigger::Needle { needle, left, keep } => {
                let nth = usize::try_from(*left - 1).ok()?;
                let end = *lane.cut.ends_of(bytes, needle).get(nth)?;
                Some(if *keep { end } else { end.saturating_sub(needle.len()) })
            }
        }
    }

    /// Counts the needles that pass with these bytes.
    fn count(&mut self, lane: &Lane, bytes: &[u8]) {
        if self.cut.direction != lane.direction {
            return;
        }
        if let Trigger::Needle { needle, left, .. } = &mut self.cut.trigger {
            let found = lane.cut.ends_of(bytes, needle).len() as u64;
            // The one that fires is not counted off, so at least one is left.
            *left = left.saturating_sub(found).max(1);
        }
    }
}

impl Lane {
    pub(super) fn new(id: ConnectionId, direction: Direction) -> Self {
        Self {
            id,
            direction,
            inbox: VecDeque::new(),
            ended: false,
            read: Tail::default(),
            written: Tail::default(),
            cut: Tail::default(),
            frames: Frames::default(),
            next_trickle: None,
        }
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.inbox.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    /// Empties the inbox and says how many bytes that were.
    pub(super) fn clear(&mut self) -> u64 {
        let lost = self.kept_bytes() as u64;
        self.inbox.clear();
        lost
    }
}

//! What all handles of a cluster share: who has which slots, and the asking for it.

use std::future::pending;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lock_core::backend::{Clock, background_runtime};
use lock_core::{Instant, LockErrorKind, event};

use crate::topology::address::Address;
use crate::topology::cluster::ask::{self, AT_ONCE, Asking};
use crate::topology::cluster::node::{Node, Surroundings};
use crate::topology::cluster::refresh::{Next, Rounds};
use crate::topology::cluster::settings::Settings;
use crate::topology::cluster::table::{Losers, Table};
use crate::topology::dialer::Dialer;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

/// While a connection to a node does not come about, the others are asked this often whether it is to
/// be had elsewhere.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// How long a round may take that nobody waits for: somebody who needs one may come meanwhile.
const NEWS_WITHIN: Duration = Duration::from_millis(250);

/// See the [module's documentation](self).
pub(crate) struct Shared {
    settings: Settings,
    dialer: Dialer,
    table: RwLock<Table>,
    rounds: Rounds,
    is_closed: AtomicBool,
    /// What the newest connection that tells says.
    forbids_pushes: Arc<AtomicBool>,
    me: Weak<Self>,
}

impl Shared {
    pub(super) fn new(settings: Settings, dialer: Dialer) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            settings,
            dialer,
            table: RwLock::new(Table::new()),
            rounds: Rounds::default(),
            is_closed: AtomicBool::new(false),
            forbids_pushes: Arc::default(),
            me: Weak::clone(me),
        })
    }

    /// Where the cluster is, for people.
    pub(super) fn address(&self) -> &str {
        &self.settings.address
    }

    /// Whether a node forbids pushes.
    pub(super) fn is_push_forbidden(&self) -> bool {
        self.forbids_pushes.load(Ordering::Relaxed)
    }

    /// The node that has this slot, if that is known.
    pub(super) fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        self.table().owner(slot).map(Arc::clone)
    }

    /// The nodes that have slots, with these in their order.
    pub(super) fn owners(&self) -> Vec<(Arc<Node>, Vec<RangeInclusive<u16>>)> {
        self.table().slots_by_owner()
    }

    /// The node at this address, also if it is new.
    pub(super) fn node_at(&self, address: &Address) -> Arc<Node> {
        self.table_mut().node(address, |address| self.node(address))
    }

    /// Ends the connections for good.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        let nodes: Vec<Arc<Node>> = self.table().nodes().map(Arc::clone).collect();
        nodes.iter().for_each(|node| node.pair.close());
    }

    pub(super) fn check_open(&self) -> Result<(), Failure> {
        if self.is_closed.load(Ordering::Acquire) {
            let failure = Failure::new(LockErrorKind::ShutDown, "the Redis backend was closed");
            return Err(failure.not_applied());
        }
        Ok(())
    }

    /// Asks the nodes, once for all who want that, and waits for what they say.
    pub(super) async fn refresh(&self, deadline: Instant) -> Result<(), Failure> {
        let number = self.wanted(self.rounds.want());
        self.rounds.wait(number, deadline).await
    }

    /// This node says that the slot is there, which may be news.
    pub(super) fn moved(&self, slot: u16, from: &Node, to: &Address) {
        let losers = self.table_mut().moved(slot, from, to, |address| self.node(address));
        losers.told();
        self.wanted(self.rounds.want_news(to.clone()));
    }

    /// Sees to it that somebody carries out the round that is wanted; returns its number.
    fn wanted(&self, (number, begins): (u64, bool)) -> u64 {
        if begins {
            match (background_runtime(), self.me.upgrade()) {
                (Ok(runtime), Some(me)) => drop(runtime.spawn(carry_out(Carrier(me)))),
                (Err(error), _) => {
                    self.rounds.stop(Failure::unavailable(error.to_string()).not_applied());
                }
                // Nobody is left who could wait for it.
                (_, None) => {}
            }
        }
        number
    }

    /// Asks some nodes who has which slots.
    ///
    /// What nobody waits for is worth no new connection, unless there is none.
    async fn round(&self, is_awaited: bool, first: Vec<Address>) -> Result<(), Failure> {
        self.check_open()?;
        let mut nodes = self.to_ask(first);
        let connected = || nodes.iter().filter(|node| self.up(node).is_some()).take(AT_ONCE);
        let connected: Vec<Address> =
            if is_awaited { Vec::new() } else { connected().cloned().collect() };
        let by_any = !connected.is_empty();
        let mut within = self.settings.reach.response_timeout;
        if by_any {
            nodes = connected;
            within = within.min(NEWS_WITHIN);
        }
        let in_background = |node: &Address| {
            self.table().node_at(node).and_then(|node| node.pair.up_in_background())
        };
        let asking = Asking {
            settings: &self.settings,
            credentials: &self.dialer.credentials,
            up: &|node| if by_any { self.up(node) } else { in_background(node) },
            by_any,
        };
        let views = ask::some_of(&asking, &nodes, Clock::SYSTEM.now() + within).await?;
        let losers = self.table_mut().believe(&views, |address| self.node(address));
        losers.told();
        Ok(())
    }

    /// A connection to the node that is up: rather the library's own.
    fn up(&self, node: &Address) -> Option<Arc<Connection>> {
        self.table().node_at(node)?.pair.up().last()
    }

    /// Whom to ask, in this order: those that are to be asked first, those that have slots, and those
    /// that were given.
    fn to_ask(&self, first: Vec<Address>) -> Vec<Address> {
        let mut known: Vec<Address> =
            self.table().owners().map(|node| node.address.clone()).collect();
        fastrand::shuffle(&mut known);
        let mut all = first;
        for address in known.into_iter().chain(self.settings.seeds.iter().cloned()) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    fn node(&self, address: Address) -> Node {
        let surroundings: Weak<Self> = Weak::clone(&self.me);
        let node = Node::new(address, surroundings, self.settings.reach);
        if self.is_closed.load(Ordering::Acquire) {
            node.pair.close();
        }
        node
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Surroundings for Shared {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    fn forbids_pushes(&self) -> &Arc<AtomicBool> {
        &self.forbids_pushes
    }

    fn refresh_soon(&self) {
        self.wanted(self.rounds.want());
    }

    fn until_left<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, ()> {
        async move {
            let has_slots = || self.table().owners().any(|node| node.address == *address);
            if !has_slots() {
                // The first slot that it gets is on its way, and leases in it are renewed there.
                pending::<()>().await;
            }
            while has_slots() {
                let until = Clock::SYSTEM.now() + ASK_EVERY;
                self.rounds.any(until).await;
                if Clock::SYSTEM.now() >= until {
                    self.refresh_soon();
                }
            }
        }
        .boxed()
    }
}

impl Losers {
    /// Does what follows from the loss. Whoever is told of the end of a connection may lock the table.
    fn told(self) {
        for node in self.some {
            node.lost_a_slot();
        }
        for node in self.all {
            let address = node.address.to_string();
            event!(
                INFO,
                "node_left",
                "redis",
                address,
                "the Redis node at {address} has no slot of the cluster any more"
            );
            node.leave();
        }
    }
}

/// Carries rounds out; if it panics, somebody else can begin to.
struct Carrier(Arc<Shared>);

async fn carry_out(carrier: Carrier) {
    let shared = &carrier.0;
    loop {
        match shared.rounds.next() {
            Next::End => return,
            Next::WaitUntil(at) => shared.rounds.pause(at).await,
            Next::Round { first, is_awaited } => {
                let result = shared.round(is_awaited, first).await;
                if let Err(failure) = &result {
                    let cause = failure.message();
                    event!(DEBUG, "slots_unknown", "redis", cause, "{cause}");
                }
                shared.rounds.end(result);
            }
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = Failure::new(LockErrorKind::Backend, "asking the cluster panicked");
            self.0.rounds.stop(failure.not_applied());
        }
    }
}

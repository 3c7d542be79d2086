//! What is known of the master, and the connections that end when it is no longer the master.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lock_core::event;
use tokio::sync::Notify;

use crate::topology::address::Address;
use crate::topology::sentinel::report::Report;
use crate::wire::health::Health;

/// See the [module's documentation](self).
#[derive(Default)]
pub(super) struct Masters {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Default)]
struct State {
    current: Option<Report>,
    connections: Vec<(Address, Weak<Health>)>,
    when_moved: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl Masters {
    /// Says what is to be done when the master is elsewhere.
    pub(super) fn when_moved(&self, then: impl Fn() + Send + Sync + 'static) {
        self.lock().when_moved.push(Arc::new(then));
    }

    /// The master as it was last heard of.
    pub(super) fn current(&self) -> Option<Report> {
        self.lock().current.clone()
    }

    /// The Sentinels were asked, and this is what they agree on.
    pub(super) fn agreed(&self, master: &Report) {
        self.set(|_| Some(master.clone()));
    }

    /// One Sentinel was asked. It counts if it knows of a newer failover than all before.
    pub(super) fn reported(&self, master: &Report) {
        self.set(|current| {
            let is_news = current.is_none_or(|current| master.epoch > current.epoch);
            is_news.then(|| master.clone())
        });
    }

    /// One Sentinel told of a failover.
    pub(super) fn switched(&self, address: Address) {
        self.set(|current| {
            // Its number is not told, so it is that of the one before until the Sentinels are asked.
            let epoch = current.and_then(|current| current.epoch);
            Some(Report { address, epoch, is_down: false })
        });
    }

    /// A connection to a master is about to be made. It is of no use when the master is elsewhere.
    pub(super) fn connecting(&self, address: &Address, health: &Arc<Health>) {
        let mut state = self.lock();
        state.connections.retain(|(_, health)| health.strong_count() > 0);
        state.connections.push((address.clone(), Arc::downgrade(health)));
        let is_current = state.current.as_ref().is_none_or(|master| master.address == *address);
        drop(state);
        if !is_current {
            health.close();
        }
    }

    /// Resolves when the master is not, or no longer, at this address.
    pub(super) async fn moved_from(&self, address: &Address) {
        loop {
            let moved = self.moved.notified();
            if self.lock().current.as_ref().is_some_and(|master| master.address != *address) {
                return;
            }
            moved.await;
        }
    }

    /// The server at this address is no master, whatever the Sentinels say: its connections end.
    pub(super) fn leave(&self, address: &Address) {
        let left = self.lock().remove(|connected| connected == address);
        left.iter().for_each(|health| health.close());
    }

    /// Takes note of where the master is, if it is told; connections to other servers end.
    fn set(&self, told: impl FnOnce(Option<&Report>) -> Option<Report>) {
        let mut state = self.lock();
        let before = state.current.as_ref();
        let Some(master) = told(before) else { return };
        let has_moved = before.is_some_and(|before| before.address != master.address);
        state.current = Some(master.clone());
        if !has_moved {
            return;
        }
        let left = state.remove(|connected| *connected != master.address);
        let told = state.when_moved.clone();
        drop(state);
        let address = master.address.to_string();
        event!(INFO, "master_changed", "redis", address, "the Redis master is at {address} now");
        self.moved.notify_waiters();
        told.iter().for_each(|told| told());
        // Whoever waits for a push asks again, and so comes to the new master.
        left.iter().for_each(|health| health.close());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out the connections to such servers. Whoever is told of their end may lock this again.
    fn remove(&mut self, is_left: impl Fn(&Address) -> bool) -> Vec<Arc<Health>> {
        let mut left = Vec::new();
        self.connections.retain(|(address, health)| {
            let Some(health) = health.upgrade() else { return false };
            let stays = !is_left(address);
            if !stays {
                left.push(health);
            }
            stays
        });
        left
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn at(port: u16, epoch: u64) -> Report {
        let address = Address { host: "h".into(), port };
        Report { address, epoch: Some(epoch), is_down: false }
    }

    fn connected(masters: &Masters, port: u16) -> Arc<Health> {
        let health = Arc::new(Health::new(None));
        masters.connecting(&at(port, 0).address, &health);
        health
    }

    #[test]
    fn connections_end_when_the_master_is_elsewhere_and_only_then() {
        let masters = Masters::default();
        masters.agreed(&at(1, 0));
        let first = connected(&masters, 1);
        masters.agreed(&at(1, 1));
        masters.switched(at(1, 0).address);
        assert!(first.is_open());
        masters.switched(at(2, 0).address);
        let second = connected(&masters, 2);
        assert!(!first.is_open() && second.is_open());
        // Told by the next Sentinel.
        masters.switched(at(2, 0).address);
        assert!(second.is_open());
        masters.agreed(&at(3, 3));
        assert!(!second.is_open());
    }

    #[test]
    fn a_server_that_is_a_replica_is_left_by_all_its_connections() {
        let masters = Masters::default();
        masters.agreed(&at(1, 0));
        let connections = [(); 2].map(|()| connected(&masters, 1));
        masters.leave(&at(2, 0).address);
        assert!(connections.iter().all(|connection| connection.is_open()));
        masters.leave(&at(1, 0).address);
        assert!(!connections.iter().any(|connection| connection.is_open()));
    }

    #[test]
    fn one_sentinel_counts_only_if_it_knows_of_a_newer_failover() {
        let masters = Masters::default();
        masters.agreed(&at(2, 5));
        let connection = connected(&masters, 2);
        for epoch in [0, 4, 5] {
            masters.reported(&at(1, epoch));
            assert!(connection.is_open(), "{epoch}");
        }
        masters.reported(&at(1, 6));
        assert!(!connection.is_open());
        assert_eq!(masters.current(), Some(at(1, 6)));
    }

    #[test]
    fn who_connects_to_a_master_that_is_no_longer_it_is_told_at_once() {
        let masters = Masters::default();
        masters.agreed(&at(1, 0));
        let (here, there) = (at(1, 0).address, at(2, 0).address);
        let mut moved = Box::pin(masters.moved_from(&here));
        assert!(moved.as_mut().now_or_never().is_none());
        masters.switched(there.clone());
        assert!(moved.now_or_never().is_some());
        assert!(masters.moved_from(&here).now_or_never().is_some());
        assert!(masters.moved_from(&there).now_or_never().is_none());
        assert!(!connected(&masters, 1).is_open());
    }
}

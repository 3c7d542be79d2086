//! The master that Sentinels name, which has all keys.
//!
//! A connection leads to the master that the Sentinels name when it is made.
//! It is left when they name another one, as soon as the first of them says so: the old master may
//! go on to accept writes for seconds, and whoever stays there shares no lock with the others.

mod ask;
mod masters;
mod report;
mod settings;
mod verdict;
mod watch;

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use lock_core::Instant;
use lock_core::backend::Clock;
use lock_core::message_text::quoted;
use redis::Client;

use crate::topology::dialer::Dialer;
use crate::topology::sentinel::masters::Masters;
use crate::topology::sentinel::report::Report;
use crate::topology::sentinel::watch::Watch;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::greeting;
use crate::wire::link::Connector;

pub(crate) use settings::{Sentinel, Settings};

/// Makes connections to the master.
pub(crate) struct Sentinels {
    settings: Arc<Settings>,
    dialer: Dialer,
    masters: Arc<Masters>,
    watch: Watch,
}

impl Sentinels {
    pub(crate) fn new(settings: Settings, dialer: Dialer) -> Self {
        let (settings, masters) = (Arc::new(settings), Arc::new(Masters::default()));
        let watch = Watch::new(Arc::clone(&settings), Arc::clone(&masters));
        Self { settings, dialer, masters, watch }
    }

    async fn open(&self, deadline: Instant) -> Result<Connection, Failure> {
        self.watch.ensure_started();
        loop {
            let master = self.resolve(deadline).await?;
            self.masters.agreed(&master);
            let moved = pin!(self.masters.moved_from(&master.address));
            let dialing = pin!(self.dial(&master, deadline));
            match select(dialing, moved).await {
                Either::Left((connected, _)) => return connected,
                // It need not be waited for any longer.
                Either::Right(_) => {}
            }
        }
    }

    /// The master that the Sentinels name now. Half of the time is left for the master itself.
    async fn resolve(&self, deadline: Instant) -> Result<Report, Failure> {
        let now = Clock::SYSTEM.now();
        let by = now + deadline.saturating_duration_since(now) / 2;
        let said = ask::all(&self.settings, by).await;
        verdict::of(&self.settings.master, &said)
    }

    async fn dial(&self, master: &Report, deadline: Instant) -> Result<Connection, Failure> {
        let (masters, address) = (Arc::clone(&self.masters), master.address.clone());
        let health = self.dialer.health().when_replica(move || masters.leave(&address));
        let health = Arc::new(health);
        self.masters.connecting(&master.address, &health);
        let client = master.address.client(&self.settings.data)?;
        let dialed = self.dialer.dial(&client, health, deadline).await;
        dialed.map_err(|failure| about(failure, master))
    }
}

impl Connector for Sentinels {
    fn connect(&self, deadline: Instant) -> BoxFuture<'_, Result<Connection, Failure>> {
        self.open(deadline).boxed()
    }

    fn too_slow(&self) -> Failure {
        let failure = greeting::too_slow(Client::open(self.settings.data.clone()).ok().as_ref());
        match self.masters.current() {
            Some(master) => named(failure, &master),
            None => failure,
        }
    }

    fn when_moved(&self, then: Box<dyn Fn() + Send + Sync>) {
        self.masters.when_moved(then);
    }

    fn address(&self) -> &str {
        &self.settings.address
    }

    fn close(&self) {
        self.watch.stop();
    }
}

/// Says where the master was looked for.
fn named(failure: Failure, master: &Report) -> Failure {
    let address = quoted(&master.address.to_string());
    failure.while_doing(&format!("the master that the Sentinels name is at {address}"))
}

/// Says where the master was looked for, and what the Sentinels think of it.
fn about(failure: Failure, master: &Report) -> Failure {
    let failure = named(failure, master);
    if !failure.is_passing() {
        return failure;
    }
    failure.with_hint(if master.is_down {
        "the Sentinels consider it down, and have not made another server the master yet"
    } else {
        "if that address cannot be reached from here, let the Sentinels announce another one \
         (replica-announce-ip, sentinel resolve-hostnames and announce-hostnames)"
    })
}

//! One server, which has all keys.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lock_core::Instant;
use lock_core::backend::Lane;
use redis::Client;
use redis::aio::MultiplexedConnection;

use crate::topology::route::Route;
use crate::wire::connection::Connection;
use crate::wire::credentials::Credentials;
use crate::wire::failure::Failure;
use crate::wire::greeting::{self, Greeting};
use crate::wire::health::{Health, PushListener};
use crate::wire::link::{Connector, Link};

/// The connections to one server.
pub(crate) struct Standalone {
    /// Carries the callers' commands, in order.
    callers: Link,
    /// Carries the commands of the core's background thread, so that user code cannot hold them up.
    background: Link,
}

/// Where the connections to a server come from.
pub(crate) enum Source {
    /// They are made as needed.
    Client(Client),
    /// There is only this one; to connect is to greet the server again.
    Existing(MultiplexedConnection),
}

/// A server, and how a connection to it is made.
pub(crate) struct Server {
    pub(crate) source: Source,
    pub(crate) credentials: Credentials,
    /// Where it is, for people; without a password.
    pub(crate) address: String,
    pub(crate) greeting: Greeting,
    /// Who is told of pushes; none where nothing can be pushed.
    pub(crate) listener: Option<Arc<dyn PushListener>>,
}

impl Standalone {
    pub(crate) fn new(server: Server, connect_timeout: Duration) -> Self {
        let is_shared = matches!(server.source, Source::Existing(_));
        let server: Arc<dyn Connector> = Arc::new(server);
        let callers = Link::new(Arc::clone(&server), connect_timeout);
        let background =
            if is_shared { callers.clone() } else { Link::new(server, connect_timeout) };
        Self { callers, background }
    }

    /// Where the commands of this lane go that name keys of this slot.
    pub(crate) fn route(&self, _slot: u16, lane: Lane) -> Route<'_> {
        match lane {
            Lane::Caller => Route::new(&self.callers).with_spare(&self.background),
            _ => Route::new(&self.background),
        }
    }

    /// Where a caller's command goes that names no key.
    pub(crate) fn keyless(&self) -> Route<'_> {
        Route::new(&self.callers)
    }

    /// Whether the server forbids pushes over the connection that carries attempts.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        self.callers.up().is_some_and(|connection| connection.is_push_forbidden())
    }

    /// Where the server is, for people.
    pub(crate) fn address(&self) -> &str {
        self.callers.address()
    }

    /// Ends the connections for good.
    pub(crate) fn close(&self) {
        self.callers.close();
        self.background.close();
    }
}

impl Server {
    async fn open(&self, deadline: Instant) -> Result<Connection, Failure> {
        let health = Arc::new(Health::new(self.listener.clone()));
        let channel = match &self.source {
            Source::Existing(channel) => channel.clone(),
            Source::Client(client) => {
                // They were in order when the backend was built, so they may be again.
                let client = self.credentials.read_into(client);
                let client =
                    client.map_err(|e| Failure::unavailable(e.to_string()).not_applied())?;
                greeting::open(&client, &health).await?
            }
        };
        self.greeting.greet(channel, health, deadline).await
    }
}

impl Connector for Server {
    fn connect(&self, deadline: Instant) -> BoxFuture<'_, Result<Connection, Failure>> {
        self.open(deadline).boxed()
    }

    fn too_slow(&self) -> Failure {
        greeting::too_slow(match &self.source {
            Source::Client(client) => Some(client),
            Source::Existing(_) => None,
        })
    }

    fn address(&self) -> &str {
        &self.address
    }
}

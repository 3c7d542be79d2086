//! One server at a time, which has all keys.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lock_core::{Instant, LockErrorKind};
use redis::Client;

use crate::topology::dialer::Dialer;
use crate::topology::home::Home;
use crate::topology::reach::Reach;
use crate::wire::channel::Channel;
use crate::wire::confirmer::Marks;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::greeting;
use crate::wire::link::{Connector, Driver, Link};
use crate::wire::pair::Pair;

/// The connections to one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Standalone(Pair);

/// Where the connections to a server come from.
pub(crate) enum Source {
    /// They are made as needed.
    Client(Client),
    /// There is only this one; to connect is to greet the server again.
    Existing(Channel),
}

/// A server, and how a connection to it is made.
pub(crate) struct Server {
    pub(crate) source: Source,
    /// Where it is, for people; without a password.
    pub(crate) address: String,
    pub(crate) dialer: Dialer,
}

impl Standalone {
    /// One server, wherever it is.
    pub(crate) fn new(server: Server, reach: Reach) -> Self {
        let is_shared = matches!(server.source, Source::Existing(_));
        let server: Arc<dyn Connector> = Arc::new(server);
        Self::over(&server, is_shared, reach)
    }

    /// Whatever server this leads to; over one connection alone if that is shared.
    pub(crate) fn over(connector: &Arc<dyn Connector>, is_shared: bool, reach: Reach) -> Self {
        let link = |driver| Link::new(Arc::clone(connector), driver, reach.response_timeout);
        let callers = (!is_shared).then(|| link(Driver::Caller));
        let confirmer = reach.confirmer(connector, Marks::One);
        Self(Pair::new(callers, link(Driver::Background)).confirmed_by(confirmer))
    }

    pub(crate) fn home(&self) -> Home<'_> {
        Home::Only(&self.0)
    }

    /// Whether the server forbids pushes over a connection that carries attempts.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        self.0.up().any(|connection| connection.is_push_forbidden())
    }

    /// Where the server is, for people.
    pub(crate) fn address(&self) -> &str {
        self.0.address()
    }

    /// Ends the connections for good.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

impl Server {
    async fn open(&self, deadline: Instant) -> Result<Connection, Failure> {
        let health = Arc::new(self.dialer.health());
        match &self.source {
            Source::Existing(channel) => {
                let greeting = &self.dialer.greeting;
                let greeted = greeting.greet(channel.clone(), health, deadline).await;
                greeted.map_err(
                    |failure| if channel.has_ended(&failure) { ended(&failure) } else { failure },
                )
            }
            Source::Client(client) => self.dialer.dial(client, health, deadline).await,
        }
    }
}

/// Nothing can be done about it, so it is of no use to try again.
fn ended(failure: &Failure) -> Failure {
    let message = format!(
        "the existing connection is closed, and nothing reopens it ({}); give the builder a \
         URL, a client, or a ConnectionManager",
        failure.message()
    );
    Failure::new(LockErrorKind::Backend, message)
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

//! How a connection to a server is made, wherever the server is.

use std::sync::Arc;

use lock_core::Instant;
use redis::Client;

use crate::wire::channel::Channel;
use crate::wire::connection::Connection;
use crate::wire::credentials::Credentials;
use crate::wire::failure::Failure;
use crate::wire::greeting::{self, Greeting};
use crate::wire::health::{Health, PushListener};

/// What all connections of a backend have in common.
pub(crate) struct Dialer {
    pub(crate) credentials: Credentials,
    pub(crate) greeting: Greeting,
    /// Who is told of pushes; none where nothing can be pushed.
    pub(crate) listener: Option<Arc<dyn PushListener>>,
}

impl Dialer {
    /// Refuses servers that follow a master.
    pub(crate) fn of_master(self) -> Self {
        Self { greeting: self.greeting.of_master(), ..self }
    }

    /// Takes nodes of a cluster that have slots.
    pub(crate) fn of_cluster(self) -> Self {
        Self { greeting: self.greeting.of_master().of_cluster(), ..self }
    }

    /// The health of a connection that is about to be made.
    pub(crate) fn health(&self) -> Health {
        Health::new(self.listener.clone())
    }

    /// Connects to the server of this client, with what its files hold now, and greets it.
    pub(crate) async fn dial(
        &self,
        client: &Client,
        health: Arc<Health>,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let ready = self.credentials.read_again(client)?;
        let channel = Channel::Connection(greeting::open(&ready, &health).await?);
        let greeted = self.greeting.greet(channel, health, deadline).await;
        greeted.map(Connection::replaceable)
    }
}

//! Where a command goes.

use std::sync::Arc;

use lock_core::Instant;
use lock_core::backend::Lane;
use tokio::runtime::Id;

use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::pair::Pair;

/// Where the commands of one lane go to a server.
#[derive(Clone, Copy)]
pub(crate) struct Route<'a> {
    pair: &'a Pair,
    lane: Lane,
}

impl<'a> Route<'a> {
    pub(crate) fn new(pair: &'a Pair, lane: Lane) -> Self {
        Self { pair, lane }
    }

    /// The connection, made if it is not there.
    pub(crate) async fn connection(self, deadline: Instant) -> Result<Arc<Connection>, Failure> {
        self.pair.connection(self.lane, deadline).await.map_err(Failure::unconnected)
    }

    /// As [`connection`](Self::connection), for a release by a task of this runtime of the user's.
    pub(crate) async fn connection_in_order(
        self,
        here: Option<Id>,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        let connecting = self.pair.connection_in_order(here, self.lane, deadline);
        connecting.await.map_err(Failure::unconnected)
    }

    /// A plain command was sent over this connection and not answered: the connection is ended
    /// before anything else goes this way.
    pub(crate) fn doom(self, connection: &Connection) {
        self.pair.doom(connection);
    }

    /// The way that depends on no runtime of the user's.
    pub(crate) fn in_background(self) -> Self {
        Self { lane: Lane::Background, ..self }
    }
}

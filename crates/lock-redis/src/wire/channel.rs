//! What carries commands: a connection of `redis-rs`, or something that keeps one alive.

#[cfg(feature = "connection-manager")]
use redis::aio::ConnectionManager;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};

use crate::wire::failure::Failure;

/// A cheap handle; all clones are the same channel.
#[derive(Clone)]
pub(crate) enum Channel {
    /// One connection, which ends once and for all.
    Connection(MultiplexedConnection),
    /// Something that connects again when its connection has ended.
    #[cfg(feature = "connection-manager")]
    Manager(ConnectionManager),
}

impl Channel {
    /// Whether this failure says that nothing will ever be answered over it again.
    pub(crate) fn has_ended(&self, failure: &Failure) -> bool {
        matches!(self, Self::Connection(_)) && failure.is_end_of_connection()
    }

    /// Sends one command; the first poll settles its place in the order.
    pub(crate) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Connection(connection) => connection.send_packed_command(command).await,
            #[cfg(feature = "connection-manager")]
            Self::Manager(manager) => manager.send_packed_command(command).await,
        }
    }

    /// Sends commands in one write.
    pub(crate) async fn send_all(&mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let count = commands.len();
        match self {
            Self::Connection(connection) => {
                connection.send_packed_commands(commands, 0, count).await
            }
            #[cfg(feature = "connection-manager")]
            Self::Manager(manager) => manager.send_packed_commands(commands, 0, count).await,
        }
    }
}

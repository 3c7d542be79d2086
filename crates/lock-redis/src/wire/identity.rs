//! By what a server knows a connection, so that another connection can end it.

use redis::Cmd;

/// The number of no connection, for trying whether connections may be ended.
const NOBODY: i64 = i64::MAX;

/// By what a server knows a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    client: i64,
    /// What tells a server from others, and from itself before it was started again: numbers of
    /// connections mean nothing to another one.
    server: Box<str>,
}

impl Identity {
    pub(crate) fn new(client: i64, server: &str) -> Self {
        Self { client, server: server.into() }
    }

    /// What the server calls itself while it runs.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Whether the same run of a server knows both connections.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.server == other.server
    }

    /// Ends the connection; it is no error if it has ended already.
    pub(crate) fn end(&self) -> Cmd {
        end(self.client)
    }

    /// Ends nothing, and is refused where ending is.
    pub(crate) fn try_to_end() -> Cmd {
        end(NOBODY)
    }
}

fn end(client: i64) -> Cmd {
    let mut command = redis::cmd("CLIENT");
    command.arg("KILL").arg("ID").arg(client);
    command
}

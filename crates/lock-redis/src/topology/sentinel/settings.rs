//! Which Sentinels are asked for which master, and how they are connected to.

use redis::{Client, ConnectionInfo};

use crate::wire::credentials::Credentials;

/// Which Sentinels are asked for which master, and how.
pub(crate) struct Settings {
    pub(crate) sentinels: Vec<Sentinel>,
    /// The files for connections to the Sentinels.
    pub(crate) credentials: Credentials,
    /// The name of the master.
    pub(crate) master: String,
    /// How the master is connected to, wherever it is.
    pub(crate) data: ConnectionInfo,
    /// What is looked for and where, for people.
    pub(crate) address: String,
}

/// One Sentinel.
pub(crate) struct Sentinel {
    pub(crate) client: Client,
    /// Where it is, for people.
    pub(crate) address: String,
}

//! Which Sentinels are asked for which master, and how they are connected to.

use redis::{Client, ConnectionAddr, ConnectionInfo};

use crate::topology::sentinel::report::Address;
use crate::wire::credentials::Credentials;
use crate::wire::failure::Failure;

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

impl Settings {
    /// The client of a master at this address.
    pub(super) fn client_of(&self, master: &Address) -> Result<Client, Failure> {
        let (host, port) = (master.host.clone(), master.port);
        let address = match self.data.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let client = Client::open(self.data.clone().set_addr(address));
        client.map_err(Failure::from)
    }
}

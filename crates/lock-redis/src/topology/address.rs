//! Where a server is, as other servers spell it.

use std::fmt;

use lock_core::message_text::host_and_port;
use redis::{Client, ConnectionAddr, ConnectionInfo};

use crate::wire::failure::Failure;

/// Where a server is, as other servers spell it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// The client of the server there, which is connected to as these settings say.
    pub(crate) fn client(&self, settings: &ConnectionInfo) -> Result<Client, Failure> {
        let (host, port) = (self.host.clone(), self.port);
        let address = match settings.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Client::open(settings.clone().set_addr(address)).map_err(Failure::from)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host_and_port(&self.host, self.port))
    }
}

//! What a connection shows to its server, and whom it trusts.

use std::borrow::Cow;
use std::path::PathBuf;

use lock_core::backend::files;
use lock_core::{LockError, LockErrorKind, Result};
use redis::{Client, ConnectionAddr, ConnectionInfo};

use crate::wire::failure::Failure;

const PASSWORD_FILE: &str = "password_file";
#[cfg(feature = "tls")]
const CA_FILE: &str = "tls_ca_file";
#[cfg(feature = "tls")]
const CERT_FILE: &str = "tls_cert_file";
#[cfg(feature = "tls")]
const KEY_FILE: &str = "tls_key_file";
#[cfg(feature = "tls")]
const SERVER_NAME: &str = "tls_server_name";

/// Files that are read anew for each connection, so that what was replaced in them counts, and the
/// name that a server proves to have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// In place of the host that is connected to.
    pub(crate) server_name: Option<String>,
}

/// A client that is ready to connect.
pub(crate) struct Ready {
    pub(crate) client: Client,
    /// Where the server is, if the client only has the name that it proves to have.
    pub(crate) at: Option<(String, u16)>,
}

impl Credentials {
    pub(crate) fn is_empty(&self) -> bool {
        self.password_file.is_none() && !self.has_tls()
    }

    /// Whether something is set that only TLS uses.
    pub(crate) fn has_tls(&self) -> bool {
        let files = [&self.ca_file, &self.cert_file, &self.key_file];
        self.server_name.is_some() || files.into_iter().any(Option::is_some)
    }

    /// Checks that a server takes them.
    pub(crate) fn check(&self, server: &ConnectionInfo) -> Result<()> {
        if self.password_file.is_some() && server.redis_settings().password().is_some() {
            return Err(invalid(
                "password_file is set, and the URL has a password too; remove one of them",
            ));
        }
        if self.has_tls() && !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(invalid(
                "TLS is configured (tls_ca_file, tls_cert_file, tls_key_file or tls_server_name), and \
                 the URL asks for a connection without TLS; write rediss:// or valkeys://",
            ));
        }
        Ok(())
    }

    /// The client with what the files hold now, for a connection. They were in order when the backend
    /// was built, so they may be again.
    pub(crate) fn read_again(&self, client: &Client) -> Result<Ready, Failure> {
        let client = self.read_into(client);
        client.map_err(|error| Failure::unavailable(error.to_string()).not_applied())
    }

    /// The client with what the files hold now.
    pub(crate) fn read_into(&self, client: &Client) -> Result<Ready> {
        let mut info = client.get_connection_info().clone();
        let mut at = None;
        // What a server has to prove is the host that `redis` connects to, so that is the name, and
        // where it leads to is said apart.
        if let Some(name) = &self.server_name
            && let ConnectionAddr::TcpTls { host, port, insecure, tls_params } = info.addr().clone()
        {
            at = Some((host, port));
            let host = name.clone();
            info = info.set_addr(ConnectionAddr::TcpTls { host, port, insecure, tls_params });
        }
        if let Some(path) = &self.password_file {
            let password = files::secret(PASSWORD_FILE, path)?;
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        let client = if self.has_tls() { self.with_tls(info) } else { opened(Client::open(info)) };
        Ok(Ready { client: client?, at })
    }

    #[cfg(feature = "tls")]
    fn with_tls(&self, info: ConnectionInfo) -> Result<Client> {
        use redis::{ClientTlsConfig, TlsCertificates};

        if let Some(name) = &self.server_name {
            pem::check_name(name)?;
        }
        let roots =
            self.ca_file.as_ref().map(|path| pem::certificates(CA_FILE, path)).transpose()?;
        let pair = files::both_or_none(self.cert_file.as_ref(), self.key_file.as_ref())?;
        let client_tls = pair.map(|(certificate, key)| {
            let client_cert = pem::certificates(CERT_FILE, certificate)?;
            let client_key = files::private_key(KEY_FILE, key)?.into_bytes();
            pem::check_pair(&client_cert, certificate, &client_key, key)?;
            Ok::<_, LockError>(ClientTlsConfig { client_cert, client_key })
        });
        let client_tls = client_tls.transpose()?;
        opened(Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: roots }))
    }

    /// Never called: such files are refused.
    #[cfg(not(feature = "tls"))]
    fn with_tls(&self, info: ConnectionInfo) -> Result<Client> {
        opened(Client::open(info))
    }
}

fn opened(client: redis::RedisResult<Client>) -> Result<Client> {
    client.map_err(|error| invalid("the client cannot be used").with_source(error))
}

fn invalid(message: impl Into<Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

/// Says which file is at fault; the `redis` crate does not, and takes a file without certificates
/// for one that trusts nobody.
#[cfg(feature = "tls")]
mod pem {
    use std::path::Path;

    use lock_core::Result;
    use lock_core::backend::files;
    use rustls::RootCertStore;
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::sign::CertifiedKey;

    use super::{CERT_FILE, KEY_FILE, SERVER_NAME, invalid};

    pub(super) fn certificates(setting: &str, path: &Path) -> Result<Vec<u8>> {
        let pem = files::certificates(setting, path)?.into_bytes();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate
                .map_err(|_| ())
                .and_then(|certificate| RootCertStore::empty().add(certificate).map_err(|_| ()));
            certificate.map_err(|()| {
                invalid(format!(
                    "{setting}: the file {} holds a certificate that cannot be read",
                    path.display()
                ))
            })?;
        }
        Ok(pem)
    }

    /// Checks that a certificate can be for this name.
    pub(super) fn check_name(name: &str) -> Result<()> {
        ServerName::try_from(name).map(drop).map_err(|_| {
            invalid(format!(
                "{SERVER_NAME} is {name:?}; it must be a host name or an IP address, without a port"
            ))
        })
    }

    /// Checks that a certificate and a key are a pair. No error says what is in them.
    pub(super) fn check_pair(
        certificates: &[u8],
        certificate_path: &Path,
        key: &[u8],
        key_path: &Path,
    ) -> Result<()> {
        let unreadable = || {
            let path = key_path.display();
            invalid(format!("{KEY_FILE}: the file {path} holds a private key that cannot be read"))
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates).flatten().collect();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| unreadable())?;
        let key = match CryptoProvider::get_default() {
            Some(provider) => provider.key_provider.load_private_key(key),
            None => ring::default_provider().key_provider.load_private_key(key),
        };
        let pair = CertifiedKey::new(chain, key.map_err(|_| unreadable())?);
        match pair.keys_match() {
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                Err(invalid(format!(
                    "{KEY_FILE}: the private key in the file {} does not belong to the first \
                     certificate in the file {} ({CERT_FILE})",
                    key_path.display(),
                    certificate_path.display()
                )))
            }
            // Where a provider cannot tell, the server will.
            _ => Ok(()),
        }
    }
}

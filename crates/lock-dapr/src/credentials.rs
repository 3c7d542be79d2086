//! What a sidecar is shown, and which ones are trusted.

use std::path::PathBuf;

use lock_core::backend::files;
use lock_core::{LockError, LockErrorKind, Result};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;

use crate::endpoint::Address;

/// The API token that each request carries.
pub(crate) enum ApiToken {
    None,
    Fixed(MetadataValue<Ascii>),
    /// It is read for each request, so that a token that was replaced counts.
    File(PathBuf),
}

impl ApiToken {
    pub(crate) fn fixed(token: String) -> Result<Self> {
        as_header(token).map(Self::Fixed)
    }

    /// The token in this file, which is read once to see that it can be.
    pub(crate) fn in_file(path: PathBuf) -> Result<Self> {
        let token = Self::File(path);
        token.read()?;
        Ok(token)
    }

    /// The token as it is now.
    pub(crate) fn read(&self) -> Result<Option<MetadataValue<Ascii>>> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(token) => Ok(Some(token.clone())),
            Self::File(path) => as_header(files::secret("api_token_file", path)?).map(Some),
        }
    }
}

/// Files for TLS that are read anew for each channel, so that what was replaced in them counts, and the
/// name that a sidecar proves to have.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsSettings {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// In place of the host that is connected to.
    pub(crate) server_name: Option<String>,
}

impl TlsSettings {
    pub(crate) fn is_empty(&self) -> bool {
        let files = [&self.ca, &self.cert, &self.key];
        self.server_name.is_none() && files.into_iter().all(Option::is_none)
    }
}

/// A sidecar behind TLS, with settings.
pub(crate) struct SecuredAddress {
    address: Address,
    tls: TlsSettings,
}

impl SecuredAddress {
    pub(crate) fn new(address: Address, tls: TlsSettings) -> Result<Self> {
        if !address.is_tls() {
            return Err(invalid(
                "TLS is configured (tls_ca_file, tls_cert_file, tls_key_file or \
                 tls_server_name), and the endpoint has no TLS; write https://HOST:PORT",
            ));
        }
        Ok(Self { address, tls })
    }

    /// The endpoint with what the files hold now.
    #[cfg(feature = "tls")]
    pub(crate) fn open(&self) -> Result<Endpoint> {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};

        let endpoint = self.address.open_plain()?;
        let TlsSettings { ca, cert, key, server_name } = &self.tls;
        let pair = files::both_or_none(cert.as_ref(), key.as_ref())?;
        let mut tls = ClientTlsConfig::new();
        if let Some(name) = server_name {
            // Tried before the files, to know that it is the name that is at fault.
            let named = ClientTlsConfig::new().domain_name(name);
            endpoint.clone().tls_config(named).map_err(|_| {
                invalid(format!(
                    "tls_server_name is {name:?}; it must be a host name or an IP address, without \
                     a port"
                ))
            })?;
            tls = tls.domain_name(name);
        }
        tls = match ca {
            Some(path) => {
                let pem = files::certificates("tls_ca_file", path)?;
                let tls = tls.ca_certificate(Certificate::from_pem(pem));
                // Tried before the client's own certificate, to know which file is at fault. No
                // error says what is in it.
                endpoint.clone().tls_config(tls.clone()).map_err(|_| {
                    let path = path.display();
                    invalid(format!("tls_ca_file: the certificates in the file {path} are broken"))
                })?;
                tls
            }
            None => tls.with_enabled_roots(),
        };
        let Some((cert, key)) = pair else {
            let secured = endpoint.tls_config(tls);
            return secured.map_err(|error| invalid(format!("TLS cannot be set up: {error}")));
        };
        let certificate = files::certificates("tls_cert_file", cert)?;
        let private_key = files::private_key("tls_key_file", key)?;
        let tls = tls.identity(Identity::from_pem(certificate, private_key));
        endpoint.tls_config(tls).map_err(|_| {
            invalid(format!(
                "the certificate in the file {} (tls_cert_file) and the private key in the file {} \
                 (tls_key_file) cannot be used; are they intact, and a pair?",
                cert.display(),
                key.display()
            ))
        })
    }

    /// Refused for the feature that is off.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn open(&self) -> Result<Endpoint> {
        let Self { address, tls: TlsSettings { .. } } = self;
        address.open()
    }
}

fn as_header(token: String) -> Result<MetadataValue<Ascii>> {
    // The cause is left out, because it may quote the token.
    let mut header: MetadataValue<Ascii> = token.try_into().map_err(|_| {
        invalid("the API token cannot be sent: it contains a character that is not visible ASCII")
    })?;
    // `Debug` does not show it, and the header tables of HTTP/2 do not keep it.
    header.set_sensitive(true);
    Ok(header)
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

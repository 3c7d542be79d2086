//! Certificates for servers and clients that speak TLS in a test.

use rcgen::{BasicConstraints, CertificateParams, DnType, Error, IsCa, Issuer, KeyPair};

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
}

impl Authority {
    /// An authority that nobody trusts yet.
    ///
    /// # Errors
    ///
    /// If no key can be made.
    pub fn new() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut root = CertificateParams::new(Vec::new())?;
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_pem = root.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(root, key), root_pem })
    }

    /// Its own certificate, which those who trust it know.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A certificate for this host, and its key.
    ///
    /// # Errors
    ///
    /// If no key can be made, or this is no name of a host.
    pub fn issue(&self, host: &str) -> Result<(String, String), Error> {
        let key = KeyPair::generate()?;
        let mut certificate = CertificateParams::new(vec![host.to_owned()])?;
        // With the authority's own name it would look as if it had signed itself.
        certificate.distinguished_name.push(DnType::CommonName, host);
        let certificate = certificate.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

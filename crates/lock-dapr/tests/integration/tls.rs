//! Sidecars behind TLS: whom the backend trusts, and what it says of those that it does not.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_core::{LockErrorKind, LockService};
use lock_dapr::{DaprBackend, DaprBackendBuilder};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

use crate::common::{LIMIT, build, soon};
use crate::fake::{Act, Fake};

/// Where the child of a test finds its sidecar.
const ENDPOINT_VARIABLE: &str = "DISTLOCK_TEST_TLS_ENDPOINT";

/// A sidecar with a certificate for a host, and the root that signed it.
struct TlsSidecar {
    fake: Fake,
    endpoint: String,
    root_pem: String,
}

impl TlsSidecar {
    async fn start(host: &str) -> Self {
        let root_key = rcgen::KeyPair::generate().unwrap();
        let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(root, root_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &issuer).unwrap();

        let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
        let tls = ServerTlsConfig::new().identity(identity);
        let fake = Fake::default();
        fake.then([Act::Lock(true), Act::Unlock(0)]);
        let server = Server::builder().tls_config(tls).unwrap();
        let address = fake.serve(server, std::future::pending()).await;
        Self { fake, endpoint: format!("https://localhost:{}", address.port()), root_pem }
    }

    /// A backend that trusts the root.
    fn trusting(&self) -> Arc<DaprBackend> {
        let roots = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.root_pem));
        let endpoint = Endpoint::from_shared(self.endpoint.clone()).unwrap();
        let channel = endpoint.tls_config(roots).unwrap().connect_lazy();
        build(DaprBackend::builder("lockstore").channel(channel))
    }
}

fn at(endpoint: &str) -> DaprBackendBuilder {
    DaprBackend::builder("lockstore").endpoint(endpoint)
}

async fn lock_and_release(backend: Arc<DaprBackend>) {
    let guard = LockService::new(backend).lock("x").wait(LIMIT).acquire().await.unwrap();
    assert!(guard.release().await.is_released());
}

#[tokio::test]
async fn a_sidecar_whose_root_is_trusted_by_the_channel_is_spoken_to() {
    let sidecar = TlsSidecar::start("localhost").await;
    lock_and_release(sidecar.trusting()).await;
    assert_eq!(sidecar.fake.methods(), ["lock", "unlock"]);
}

/// The system's roots are what the environment says when a program starts: so this test starts
/// itself once more, with the sidecar's root for the system's.
#[tokio::test]
async fn an_https_endpoint_trusts_the_roots_of_the_system() {
    if let Ok(endpoint) = std::env::var(ENDPOINT_VARIABLE) {
        return lock_and_release(build(at(&endpoint))).await;
    }
    let sidecar = TlsSidecar::start("localhost").await;
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    std::fs::write(&roots, &sidecar.root_pem).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "tls::an_https_endpoint_trusts_the_roots_of_the_system"])
        .env("SSL_CERT_FILE", roots)
        .env(ENDPOINT_VARIABLE, &sidecar.endpoint);
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(sidecar.fake.methods(), ["lock", "unlock"]);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_another_host_is_denied() {
    let stranger = TlsSidecar::start("localhost").await;
    let elsewhere = TlsSidecar::start("elsewhere.test").await;
    for backend in [build(at(&stranger.endpoint)), elsewhere.trusting()] {
        let error = soon(LIMIT, backend.ping()).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("TLS certificate"), "{error}");
        assert!(error.is_not_applied() && !error.is_retryable());
    }
    for sidecar in [stranger, elsewhere] {
        assert!(sidecar.fake.calls().is_empty());
    }
}

#[tokio::test]
async fn an_https_endpoint_speaks_tls_and_never_plain_text() {
    use tokio::io::AsyncReadExt;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let builder = DaprBackend::builder("lockstore").endpoint(endpoint).api_token("s3cret");
    let backend = build(builder.timeout(Duration::from_secs(1)));
    let ping = tokio::spawn(async move { backend.ping().await });
    let (mut stream, _) = listener.accept().await.unwrap();
    // The first bytes of a handshake, and not `PRI * HTTP/2.0`.
    let mut hello = [0; 2];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello, [0x16, 0x03]);
    drop(stream);
    let error = ping.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
}

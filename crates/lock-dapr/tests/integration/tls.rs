//! Sidecars behind TLS: whom the backend trusts, and what it says of those that it does not.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_core::{LockError, LockErrorKind, LockService};
use lock_dapr::{DaprBackend, DaprBackendBuilder};
use testbed::Authority;
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
    authority: Authority,
    files: tempfile::TempDir,
}

impl TlsSidecar {
    async fn start(host: &str) -> Self {
        Self::start_with(host, false).await
    }

    /// A sidecar that wants a certificate of its clients, too, from the same authority.
    async fn start_mutual() -> Self {
        Self::start_with("localhost", true).await
    }

    async fn start_with(host: &str, is_mutual: bool) -> Self {
        let authority = Authority::new().unwrap();
        let (certificate, key) = authority.issue(host).unwrap();
        let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        if is_mutual {
            tls = tls.client_ca_root(Certificate::from_pem(authority.root_pem()));
        }
        let fake = Fake::default();
        fake.then([Act::Lock(true), Act::Unlock(0)]);
        let server = Server::builder().tls_config(tls).unwrap();
        let address = fake.serve(server, std::future::pending()).await;
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("root.pem"), authority.root_pem()).unwrap();
        let endpoint = format!("https://localhost:{}", address.port());
        Self { fake, endpoint, root_pem: authority.root_pem().to_owned(), authority, files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Trusts the root by its file.
    fn by_file(&self) -> DaprBackendBuilder {
        at(&self.endpoint).tls_ca_file(self.file("root.pem"))
    }

    /// Writes a certificate and its key, and shows them.
    fn showing(&self, (certificate, key): (String, String)) -> DaprBackendBuilder {
        self.write_client((certificate, key));
        self.by_file().tls_cert_file(self.file("client.pem")).tls_key_file(self.file("client.key"))
    }

    fn write_client(&self, (certificate, key): (String, String)) {
        std::fs::write(self.file("client.pem"), certificate).unwrap();
        std::fs::write(self.file("client.key"), key).unwrap();
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

#[tokio::test]
async fn a_sidecar_may_prove_to_have_another_name_than_its_host() {
    let sidecar = TlsSidecar::start("locks.example").await;
    let named = |name: &str| build(sidecar.by_file().tls_server_name(name));
    let error = soon(LIMIT, named("other.example").ping()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("set tls_server_name"), "{error}");
    lock_and_release(named("locks.example")).await;
    assert_eq!(sidecar.fake.methods(), ["lock", "unlock"]);
    let error = at(&sidecar.endpoint).tls_server_name("locks.example:443").build().unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
    assert!(error.to_string().contains("without a port"), "{error}");
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

#[tokio::test]
async fn an_authority_is_trusted_by_its_file() {
    let sidecar = TlsSidecar::start("localhost").await;
    lock_and_release(build(sidecar.by_file())).await;
    assert_eq!(sidecar.fake.methods(), ["lock", "unlock"]);
}

#[tokio::test]
async fn a_client_shows_its_certificate_where_the_sidecar_wants_one() {
    let sidecar = TlsSidecar::start_mutual().await;
    let error = soon(LIMIT, build(sidecar.by_file()).ping()).await.unwrap_err();
    is_about_certificates(&error, "requires a TLS certificate from its clients");

    let stranger = build(sidecar.showing(Authority::new().unwrap().issue("client").unwrap()));
    let error = soon(LIMIT, stranger.ping()).await.unwrap_err();
    is_about_certificates(&error, "this client's TLS certificate");
    assert!(sidecar.fake.calls().is_empty());

    // The same backend, with other files: they count from the next channel on.
    sidecar.write_client(sidecar.authority.issue("client").unwrap());
    lock_and_release(stranger).await;
    assert_eq!(sidecar.fake.methods(), ["lock", "unlock"]);
}

/// In TLS 1.3 the sidecar's alert comes after the handshake, and when the sidecar closes the
/// connection before it has read everything, the system may throw the alert away.
fn is_about_certificates(error: &LockError, alert: &str) {
    let text = error.to_string();
    assert!(text.contains("tls_cert_file"), "{text}");
    match error.kind() {
        LockErrorKind::Denied => assert!(text.contains(alert), "{text}"),
        kind => assert_eq!(kind, LockErrorKind::Unavailable, "{text}"),
    }
}

#[tokio::test]
async fn a_bad_certificate_file_names_itself() {
    let sidecar = TlsSidecar::start("localhost").await;
    sidecar.write_client(sidecar.authority.issue("client").unwrap());
    let (other, _) = sidecar.authority.issue("client").unwrap();
    std::fs::write(sidecar.file("other.pem"), other).unwrap();
    std::fs::write(sidecar.file("text.pem"), "s3cret").unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\n!!s3cret!!\n-----END CERTIFICATE-----\n";
    std::fs::write(sidecar.file("broken.pem"), broken).unwrap();
    let root = |name| sidecar.by_file().tls_ca_file(sidecar.file(name));
    let pair = |certificate, key| {
        let builder = sidecar.by_file().tls_cert_file(sidecar.file(certificate));
        builder.tls_key_file(sidecar.file(key))
    };
    for (builder, file) in [
        (root("none.pem"), "none.pem"),
        (root("text.pem"), "text.pem"),
        (root("broken.pem"), "broken.pem"),
        (pair("none.pem", "client.key"), "none.pem"),
        (pair("client.pem", "client.pem"), "client.pem"),
        (pair("other.pem", "client.key"), "other.pem"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        let path = sidecar.file(file);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}

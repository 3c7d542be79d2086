//! F26: what is said when TLS does not come about, and that it works when it does.

use std::path::PathBuf;
use std::sync::Arc;

use lock_core::backend::LockBackend;
use lock_core::{LockError, LockErrorKind};
use lock_redis::{RedisBackend, RedisBackendBuilder};
use redis::{Client, TlsCertificates};
use testbed::{Authority, RedisServer, ReservedPort, ServerKind};

use crate::common::*;

/// What a server over TLS needs, in files, and who signed it.
pub(crate) struct TlsFiles {
    authority: Authority,
    directory: tempfile::TempDir,
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) root: String,
}

impl TlsFiles {
    pub(crate) fn of(host: &str) -> Self {
        let authority = Authority::new().unwrap();
        let (certificate, key) = authority.issue(host).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (certificate, key) = (file("certificate.pem", &certificate), file("key.pem", &key));
        let root = file("root.pem", authority.root_pem());
        Self { authority, directory, certificate, key, root }
    }
}

/// The certificate is not trusted at this URL; then this host is spoken to in plain.
pub(crate) async fn are_refused(untrusted: &str, plain: &str, host: &str) {
    let error = build(RedisBackend::builder().url(untrusted)).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
    let text = error.to_string();
    assert!(text.contains("certificate") && text.contains(host), "{text}");
    let error = soon(LIMIT, build(RedisBackend::builder().url(plain)).ping()).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("is it a TLS port"), "{text}");
}

/// A server with a plain and a TLS port, and who signed its certificate.
struct TlsServer {
    files: tempfile::TempDir,
    tls_port: ReservedPort,
    plain: RedisServer,
    authority: Authority,
}

impl TlsServer {
    fn start(kind: &ServerKind, host: &str) -> Self {
        Self::start_with(kind, host, "no")
    }

    /// A server that wants a certificate of its clients, too, from the same authority.
    fn start_mutual(kind: &ServerKind) -> Self {
        Self::start_with(kind, "localhost", "yes")
    }

    fn start_with(kind: &ServerKind, host: &str, auth_clients: &str) -> Self {
        let TlsFiles { authority, directory: files, certificate, key, root } = TlsFiles::of(host);
        let tls_port = ReservedPort::reserve().unwrap();
        let port = tls_port.number().to_string();
        let plain = RedisServer::start_with(
            kind,
            &[
                "--tls-port",
                &port,
                "--tls-cert-file",
                &certificate,
                "--tls-key-file",
                &key,
                "--tls-auth-clients",
                auth_clients,
                "--tls-ca-cert-file",
                &root,
            ],
        );
        Self { plain: plain.unwrap(), files, tls_port, authority }
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.tls_port.number())
    }

    /// A client of the `redis` crate that trusts the authority.
    fn trusting(&self, host: &str) -> Arc<RedisBackend> {
        let root_cert = Some(self.authority.root_pem().to_owned().into_bytes());
        let certificates = TlsCertificates { client_tls: None, root_cert };
        let client = Client::build_with_tls(self.url("rediss", host), certificates).unwrap();
        build(RedisBackend::builder().client(client))
    }

    /// Trusts the authority by its file.
    fn by_file(&self, host: &str) -> RedisBackendBuilder {
        RedisBackend::builder().url(self.url("valkeys", host)).tls_ca_file(self.file("root.pem"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a certificate and its key, which the client is to show.
    fn write_client(&self, (certificate, key): (String, String)) {
        std::fs::write(self.file("client.pem"), certificate).unwrap();
        std::fs::write(self.file("client.key"), key).unwrap();
    }
}

mod redis_7_0 {
    use super::*;

    const KIND: ServerKind = ServerKind::REDIS_7_0;

    #[tokio::test]
    async fn a_trusted_server_is_spoken_to_over_tls() {
        let server = TlsServer::start(&KIND, "localhost");
        let backend = server.trusting("localhost");
        let (owner, _) = take(&backend, "x", MINUTE).await;
        release(&backend, "x", owner).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_may_prove_to_have_another_name_than_its_host() {
        let server = TlsServer::start(&KIND, "locks.example");
        let named = |host, name| build(server.by_file(host).tls_server_name(name));
        for host in ["localhost", "127.0.0.1"] {
            let backend = named(host, "locks.example");
            let (owner, _) = take(&backend, "x", MINUTE).await;
            release(&backend, "x", owner).await.unwrap();
            assert!(backend.address().starts_with(host), "{}", backend.address());
            let error = soon(LIMIT, named(host, "other.example").ping()).await.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
            assert!(error.to_string().contains("set tls_server_name"), "{error}");
        }
        let refused = |url: &str, name: &str| {
            let error = RedisBackend::builder().url(url).tls_server_name(name).build().unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
            error.to_string()
        };
        let text = refused("rediss://localhost", "locks.example:6379");
        assert!(text.contains("without a port"), "{text}");
        let text = refused("redis://localhost", "locks.example");
        assert!(text.contains("tls_server_name") && text.contains("rediss://"), "{text}");
    }

    #[tokio::test]
    async fn an_authority_is_trusted_by_its_file() {
        let server = TlsServer::start(&KIND, "localhost");
        build(server.by_file("localhost")).ping().await.unwrap();
        let elsewhere = build(server.by_file("127.0.0.1"));
        let error = soon(LIMIT, elsewhere.ping()).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("the server's TLS certificate"), "{error}");
    }

    /// In TLS 1.3 the server's alert comes after the handshake, and when the server closes the
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
    async fn a_client_shows_its_certificate_where_the_server_wants_one() {
        let server = TlsServer::start_mutual(&KIND);
        let without = build(server.by_file("localhost"));
        let error = soon(LIMIT, without.ping()).await.unwrap_err();
        is_about_certificates(&error, "requires a TLS certificate from its clients");

        server.write_client(server.authority.issue("client").unwrap());
        let with = server.by_file("localhost").tls_cert_file(server.file("client.pem"));
        let with = build(with.tls_key_file(server.file("client.key")));
        let (owner, _) = take(&with, "x", MINUTE).await;
        release(&with, "x", owner).await.unwrap();
    }

    #[tokio::test]
    async fn a_certificate_that_was_replaced_counts_from_the_next_connection_on() {
        let server = TlsServer::start_mutual(&KIND);
        server.write_client(Authority::new().unwrap().issue("client").unwrap());
        let backend = server.by_file("localhost").tls_cert_file(server.file("client.pem"));
        let backend = build(backend.tls_key_file(server.file("client.key")));
        let error = soon(LIMIT, backend.ping()).await.unwrap_err();
        is_about_certificates(&error, "this client's TLS certificate");

        server.write_client(server.authority.issue("client").unwrap());
        answers(&backend).await;
    }

    #[test]
    fn a_bad_certificate_file_names_itself() {
        let server = TlsServer::start(&KIND, "localhost");
        server.write_client(server.authority.issue("client").unwrap());
        let (other_certificate, _) = server.authority.issue("client").unwrap();
        std::fs::write(server.file("other.pem"), other_certificate).unwrap();
        std::fs::write(server.file("text.pem"), "s3cret").unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nczNjcmV0\n-----END CERTIFICATE-----\n";
        std::fs::write(server.file("broken.pem"), broken).unwrap();
        let broken = "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n";
        std::fs::write(server.file("broken.key"), broken).unwrap();
        let at = |name: &str| server.file(name);
        let pair = |certificate: &str, key: &str| {
            let builder = server.by_file("localhost").tls_cert_file(at(certificate));
            builder.tls_key_file(at(key))
        };
        let root = |name: &str| server.by_file("localhost").tls_ca_file(at(name));
        for (builder, file, cause) in [
            (root("none.pem"), "none.pem", "tls_ca_file: the file"),
            (root("text.pem"), "text.pem", "holds no certificate"),
            (root("broken.pem"), "broken.pem", "a certificate that cannot be read"),
            (root("client.key"), "client.key", "holds no certificate"),
            (pair("client.pem", "none.key"), "none.key", "tls_key_file: the file"),
            (pair("client.pem", "client.pem"), "client.pem", "holds no private key"),
            (pair("client.pem", "broken.key"), "broken.key", "private key that cannot be read"),
            (pair("client.key", "client.key"), "client.key", "tls_cert_file: the file"),
            (pair("other.pem", "client.key"), "other.pem", "does not belong to"),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            let text = error.to_string();
            assert!(text.contains(at(file).to_str().unwrap()) && text.contains(cause), "{text}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        for (builder, cause) in [
            (server.by_file("localhost").tls_cert_file(at("client.pem")), "set both"),
            (server.by_file("localhost").tls_key_file(at("client.key")), "set both"),
            (root("root.pem").url("redis://localhost"), "write rediss://"),
        ] {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
    }

    #[tokio::test]
    async fn a_certificate_of_an_unknown_authority_or_another_host_is_denied() {
        let server = TlsServer::start(&KIND, "elsewhere.test");
        let unknown = build(RedisBackend::builder().url(server.url("rediss", "localhost")));
        for backend in [unknown, server.trusting("localhost")] {
            let error = soon(LIMIT, Arc::clone(&backend).ping()).await.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    }

    #[tokio::test]
    async fn tls_and_plain_ports_are_told_apart() {
        let server = TlsServer::start(&KIND, "localhost");
        let plain_to_tls = server.url("redis", "localhost");
        let tls_to_plain = format!("rediss://{}", server.plain.address());
        for url in [plain_to_tls, tls_to_plain] {
            let backend = build(RedisBackend::builder().url(url));
            let error = soon(LIMIT, backend.ping()).await.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
            assert!(error.to_string().contains("TLS"), "{error}");
        }
    }
}

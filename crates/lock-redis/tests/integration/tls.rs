//! F26: what is said when TLS does not come about, and that it works when it does.

use std::sync::Arc;

use lock_core::LockErrorKind;
use lock_core::backend::LockBackend;
use lock_redis::RedisBackend;
use redis::{Client, TlsCertificates};
use testbed::{RedisServer, ReservedPort, ServerKind};

use crate::common::*;

/// A server with a plain and a TLS port, and the root that signed its certificate.
struct TlsServer {
    _files: tempfile::TempDir,
    tls_port: ReservedPort,
    plain: RedisServer,
    root_pem: String,
}

impl TlsServer {
    fn start(kind: &ServerKind, host: &str) -> Self {
        let root_key = rcgen::KeyPair::generate().unwrap();
        let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(root, root_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &issuer).unwrap();

        let files = tempfile::tempdir().unwrap();
        let file = |name: &str, text: String| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let certificate = file("certificate.pem", certificate.pem());
        let key = file("key.pem", key.serialize_pem());
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
                "no",
                "--tls-ca-cert-file",
                &file("root.pem", root_pem.clone()),
            ],
        );
        Self { _files: files, tls_port, plain: plain.unwrap(), root_pem }
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.tls_port.number())
    }

    fn trusting(&self, host: &str) -> Arc<RedisBackend> {
        let root_cert = Some(self.root_pem.clone().into_bytes());
        let certificates = TlsCertificates { client_tls: None, root_cert };
        let client = Client::build_with_tls(self.url("rediss", host), certificates).unwrap();
        build(RedisBackend::builder().client(client))
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

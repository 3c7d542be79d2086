//! TLS to all nodes.

use lock_core::LockErrorKind;
use lock_core::backend::LockBackend;
use lock_redis::ClusterNodes;
use testbed::{Authority, ReservedPort};

use super::*;

mod redis_7_0 {
    use super::*;

    const KIND: ServerKind = ServerKind::REDIS_7_0;

    #[tokio::test]
    async fn nodes_are_spoken_to_over_tls_by_the_host_names_that_they_announce() {
        let authority = Authority::new().unwrap();
        let (certificate, key) = authority.issue("localhost").unwrap();
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let certificate = file("certificate.pem", &certificate);
        let (key, root) = (file("key.pem", &key), file("root.pem", authority.root_pem()));
        let port = ReservedPort::reserve().unwrap();
        let number = port.number().to_string();
        let settings = ClusterSettings::default().masters(1).without_replicas();
        let settings = settings.server_args(&[
            // Before 7.2, nodes announce one port for all: that of the cluster.
            "--tls-cluster",
            "yes",
            "--tls-port",
            &number,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &root,
            "--tls-auth-clients",
            "no",
            "--cluster-announce-hostname",
            "localhost",
            "--cluster-preferred-endpoint-type",
            "hostname",
        ]);
        let set = ClusterSet::start_with(&KIND, &settings).unwrap();
        let host = format!("localhost:{number}");
        let url = format!("valkeys+cluster://{host}");
        let backend = build(RedisBackend::builder().url(&url).tls_ca_file(&root));
        number_of(&backend, "x").await;
        let by_builder = ClusterNodes::from([host.as_str()]).tls();
        let by_builder = RedisBackend::builder().cluster(by_builder).tls_ca_file(&root);
        build(by_builder).ping().await.unwrap();

        // The certificate is not trusted; then it is spoken to in plain.
        let error = build(RedisBackend::builder().url(&url)).ping().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        let text = error.to_string();
        assert!(text.contains("certificate") && text.contains(&host), "{text}");
        let plain = format!("redis+cluster://{host}");
        let error = soon(LIMIT, build(RedisBackend::builder().url(plain)).ping()).await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("is it a TLS port"), "{text}");
        drop(set);
    }
}

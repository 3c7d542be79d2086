//! TLS to all nodes.

use lock_core::backend::LockBackend;
use lock_redis::ClusterNodes;
use testbed::ReservedPort;

use super::*;
use crate::tls::{TlsFiles, are_refused};

mod redis_7_0 {
    use super::*;

    const KIND: ServerKind = ServerKind::REDIS_7_0;

    /// A node that speaks TLS at this port.
    fn node(files: &TlsFiles, port: &str, announced: &[&str]) -> ClusterSet {
        let TlsFiles { certificate, key, root, .. } = files;
        let settings = ClusterSettings::default().masters(1).without_replicas();
        let tls = [
            // Before 7.2, nodes announce one port for all: that of the cluster.
            "--tls-cluster",
            "yes",
            "--tls-port",
            port,
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            root,
            "--tls-auth-clients",
            "no",
        ];
        let settings = settings.server_args(&[&tls, announced].concat());
        ClusterSet::start_with(&KIND, &settings).unwrap()
    }

    #[tokio::test]
    async fn nodes_are_spoken_to_over_tls_by_one_name_for_all() {
        let files = TlsFiles::of("locks.example");
        let port = ReservedPort::reserve().unwrap();
        let number = port.number().to_string();
        let set = node(&files, &number, &[]);
        let url = format!("rediss+cluster://127.0.0.1:{number}");
        let named = RedisBackend::builder().url(&url).tls_ca_file(&files.root);
        let backend = build(named.tls_server_name("locks.example"));
        number_of(&backend, "x").await;
        drop(set);
    }

    #[tokio::test]
    async fn nodes_are_spoken_to_over_tls_by_the_host_names_that_they_announce() {
        let files = TlsFiles::of("localhost");
        let root = &files.root;
        let port = ReservedPort::reserve().unwrap();
        let number = port.number().to_string();
        let set = node(
            &files,
            &number,
            &[
                "--cluster-announce-hostname",
                "localhost",
                "--cluster-preferred-endpoint-type",
                "hostname",
            ],
        );
        let host = format!("localhost:{number}");
        let url = format!("valkeys+cluster://{host}");
        let backend = build(RedisBackend::builder().url(&url).tls_ca_file(root));
        number_of(&backend, "x").await;
        let by_builder = ClusterNodes::from([host.as_str()]).tls();
        let by_builder = RedisBackend::builder().cluster(by_builder).tls_ca_file(root);
        build(by_builder).ping().await.unwrap();

        let plain = format!("redis+cluster://{host}");
        are_refused(&url, &plain, &host).await;
        drop(set);
    }
}

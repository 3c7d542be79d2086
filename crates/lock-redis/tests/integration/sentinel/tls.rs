//! TLS to the Sentinels and to the master.

use lock_core::backend::LockBackend;
use lock_redis::{RedisBackend, Sentinels};
use testbed::{RedisServer, ReservedPort, SentinelServer, SentinelSettings, ServerKind};

use crate::common::*;
use crate::tls::{TlsFiles, are_refused};

mod redis_7_0 {
    use super::*;

    const KIND: ServerKind = ServerKind::REDIS_7_0;

    #[tokio::test]
    async fn sentinels_and_master_are_spoken_to_over_tls() {
        let files = TlsFiles::of("localhost");
        let TlsFiles { certificate, key, root, .. } = &files;
        let lines = |port: &ReservedPort| {
            let port = port.number();
            format!(
                "tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\n\
                 tls-ca-cert-file {root}\ntls-auth-clients no\ntls-replication yes"
            )
        };
        let ports = [(); 2].map(|()| ReservedPort::reserve().unwrap());
        let arguments: Vec<String> = lines(&ports[0])
            .lines()
            .flat_map(|line| {
                line.split_once(' ').map(|(name, value)| [format!("--{name}"), value.into()])
            })
            .flatten()
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = RedisServer::start_with(&KIND, &arguments).unwrap();
        let settings = SentinelSettings::default().down_after(MINUTE).host("localhost");
        let settings = settings.config(&lines(&ports[1]));
        let sentinel = SentinelServer::start(&KIND, &settings).unwrap();
        sentinel.monitor(&settings, &ports[0].number().to_string()).unwrap();

        let host = format!("localhost:{}", ports[1].number());
        let url = format!("rediss+sentinel://{host}/main");
        let backend = build(RedisBackend::builder().url(&url).tls_ca_file(root));
        let (owner, _) = take(&backend, "x", MINUTE).await;
        release(&backend, "x", owner).await.unwrap();
        let by_builder = Sentinels::new([&host], "main").tls();
        let by_builder = RedisBackend::builder().sentinels(by_builder).tls_ca_file(root);
        build(by_builder).ping().await.unwrap();

        let plain = format!("redis+sentinel://{host}/main");
        are_refused(&url, &plain, &host).await;
        drop(server);
    }
}

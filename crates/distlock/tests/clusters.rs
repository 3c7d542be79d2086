//! A cluster, by every way in which that can be configured.

#![cfg(all(feature = "redis", feature = "serde"))]

use std::time::Duration;

use distlock::{LockConfig, LockErrorKind};
use testbed::{ClusterSet, ClusterSettings, ServerKind};

mod redis_8_2 {
    use super::*;

    const KIND: ServerKind = ServerKind::REDIS_8_2;

    #[tokio::test]
    async fn a_cluster_is_found_by_url_by_file_and_by_setters() {
        let settings = ClusterSettings::default().masters(2).without_replicas().password("d4ta");
        let settings = settings.node_timeout(Duration::from_secs(60));
        let set = ClusterSet::start_with(&KIND, &settings).unwrap();
        let files = tempfile::tempdir().unwrap();
        let password = files.path().join("password");
        std::fs::write(&password, "d4ta\n").unwrap();
        let password = password.to_str().unwrap();
        let at: Vec<String> = set.servers.iter().map(|it| it.address().to_string()).collect();
        let at = at.join(",");

        let by_file = format!(
            "url = \"valkey+cluster://{at}\"\nnamespace = \"a\"\npassword_file = {password:?}"
        );
        let by_setters = LockConfig::from_url(format!("redis+cluster://default@{at}")).unwrap();
        let configs = [
            LockConfig::from_url(format!("{}?namespace=a", set.url())).unwrap(),
            toml::from_str(&by_file).unwrap(),
            by_setters.password_file(password).namespace("a"),
        ];
        // Some at each node.
        let names: Vec<String> = (0..8).map(|number| format!("n{number}")).collect();
        let mut holders = Vec::new();
        for config in configs {
            let locks = config.connect().await.unwrap();
            for name in &names {
                holders.extend(locks.lock(name).try_acquire().await.unwrap());
            }
            // All of them have the same store.
            assert_eq!(holders.len(), names.len());
            assert_eq!(locks.list("").await.unwrap().len(), names.len());
        }

        let error = LockConfig::from_url(format!("redis+cluster://{at}")).unwrap();
        let error = error.connect().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("password"), "{error}");
    }
}

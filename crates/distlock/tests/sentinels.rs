//! A master that is found by Sentinels, by every way in which that can be configured.

#![cfg(all(feature = "redis", feature = "serde"))]

use std::time::Duration;

use distlock::{LockConfig, LockErrorKind};
use testbed::{RedisServer, SentinelServer, SentinelSet, SentinelSettings, ServerKind};

mod redis_8_2 {
    use super::*;

    const KIND: ServerKind = ServerKind::REDIS_8_2;

    #[tokio::test]
    async fn a_master_is_found_by_url_by_file_and_by_setters() {
        let server = RedisServer::start_with(&KIND, &["--requirepass", "d4ta"]).unwrap();
        let settings = SentinelSettings::default().down_after(Duration::from_secs(60));
        let settings = settings.password("w4tch");
        let sentinel = SentinelServer::start(&KIND, &settings).unwrap();
        sentinel.monitor(&settings, &server.port().to_string()).unwrap();
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (data, watch) = (file("data", "d4ta\n"), file("watch", "w4tch\n"));
        let at = format!("{}/{}", sentinel.address(), SentinelSet::MASTER);

        let by_url = format!("redis+sentinel://:d4ta@{at}?sentinel_pass=w4tch&namespace=a");
        let by_file = format!(
            "url = \"valkey+sentinel://{at}\"\nnamespace = \"a\"\n\
             password_file = {data:?}\nsentinel_password_file = {watch:?}"
        );
        let by_setters = LockConfig::from_url(format!("redis+sentinel://default@{at}")).unwrap();
        let by_setters = by_setters.password_file(&data).sentinel_password_file(&watch);
        let configs = [
            LockConfig::from_url(by_url).unwrap(),
            toml::from_str(&by_file).unwrap(),
            by_setters.namespace("a"),
        ];
        let mut holders = Vec::new();
        for config in configs {
            let locks = config.connect().await.unwrap();
            holders.extend(locks.lock("x").try_acquire().await.unwrap());
            // All of them have the same store.
            assert_eq!(holders.len(), 1);
        }

        let without = LockConfig::from_url(format!("redis+sentinel://:d4ta@{at}")).unwrap();
        let error = without.connect().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        let text = error.to_string();
        assert!(text.contains("sentinel_password_file") && text.contains(&at[..9]), "{text}");
        assert!(!text.contains("d4ta"), "{text}");
    }
}

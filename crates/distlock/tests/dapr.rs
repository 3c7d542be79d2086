//! `connect` to a real sidecar, and locks that Dapr and Redis share.

#![cfg(feature = "dapr")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

/// What needs a `daprd`: `cargo xtask test` leaves this module out where there is none.
mod daprd {
    use std::time::Duration;

    use distlock::dapr::DaprBackend;
    use distlock::{LockErrorKind, LockService, connect};
    use testbed::{DaprSidecar, RedisServer, ServerKind};

    fn redis() -> RedisServer {
        RedisServer::start(&ServerKind::REDIS_8_2).unwrap()
    }

    #[tokio::test]
    async fn locks_exclude_each_other_by_namespace_and_store() {
        let redis = redis();
        let sidecar = DaprSidecar::start(&redis).unwrap();
        let shop = connect(format!("{}&namespace=shop:", sidecar.url())).await.unwrap();
        let _guard = shop.lock("x").acquire().await.unwrap();
        for (query, name, is_held) in [
            ("&namespace=sh", "op:x", true),
            ("&key_prefix=ignored:", "shop:x", true),
            ("", "x", false),
        ] {
            let locks = connect(sidecar.url() + query).await.unwrap();
            let refused = locks.lock(name).try_acquire().await.unwrap().is_none();
            assert_eq!(refused, is_held, "{query}");
        }
        let backend = DaprBackend::builder("lockstore").endpoint(sidecar.address().to_string());
        let by_hand = LockService::builder(backend.build().unwrap()).namespace("shop:").build();
        assert!(by_hand.lock("x").try_acquire().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn connect_asks_the_sidecar_and_its_store_unless_it_is_lazy() {
        let redis = redis();
        let mut sidecar = DaprSidecar::start(&redis).unwrap();
        let unknown = sidecar.url().replace("lockstore", "other");
        let error = connect(&unknown).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains("no lock store \"other\""), "{error}");
        sidecar.kill();
        let error = connect(sidecar.url()).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
        let (text, address) = (error.to_string(), sidecar.address().to_string());
        assert!(text.starts_with("connect: ") && text.contains(&address), "{text}");
        let locks = connect(sidecar.url() + "&lazy=true").await.unwrap();
        sidecar.restart().unwrap();
        assert!(locks.lock("x").try_acquire().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_dapr_cannot_do_is_unsupported_before_anything_is_sent() {
        let redis = redis();
        let sidecar = DaprSidecar::start(&redis).unwrap();
        let locks = connect(sidecar.url()).await.unwrap();
        for (lock, what) in [
            (locks.lock("x").keep_alive(), "keep_alive"),
            (locks.lock("x").require_fencing(), "fencing"),
        ] {
            let error = lock.check().unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!(lock.try_acquire().await.unwrap_err().kind(), LockErrorKind::Unsupported);
        }
        let error = locks.status("x").await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unsupported, "{error}");
        let error = locks.lock("a||b").try_acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidName, "{error}");
        let guard = locks.lock("x").acquire().await.unwrap();
        assert_eq!(guard.fencing_token(), None);
        let error = guard.extend(Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unsupported, "{error}");
    }

    #[cfg(feature = "redis")]
    #[tokio::test]
    async fn dapr_and_redis_exclude_each_other_where_their_prefixes_agree() {
        use distlock::redis::{DaprKeyPrefix, RedisBackend};

        let server = redis();
        let before = || DaprSidecar::before(server.address()).app_id("app").store("lockstore");
        for (settings, prefix, agree) in [
            (before(), DaprKeyPrefix::AppId("app".into()), true),
            (before(), DaprKeyPrefix::AppId("other".into()), false),
            (before().key_prefix("name"), DaprKeyPrefix::StoreName("lockstore".into()), true),
            (before().key_prefix("none"), DaprKeyPrefix::None, true),
            (before().key_prefix("shop"), DaprKeyPrefix::Custom("shop".into()), true),
            (before().key_prefix("none"), DaprKeyPrefix::AppId("app".into()), false),
        ] {
            let sidecar = settings.start().unwrap();
            let dapr = connect(sidecar.url()).await.unwrap();
            let shared = RedisBackend::builder().url(server.url()).dapr_compatible(prefix.clone());
            let redis = LockService::new(shared.build().unwrap());
            for (holder, other) in [(&dapr, &redis), (&redis, &dapr)] {
                let guard = holder.lock("order:1").acquire().await.unwrap();
                let theirs = other.lock("order:1").try_acquire().await.unwrap();
                assert_eq!(theirs.is_none(), agree, "{prefix:?}");
                assert!(guard.release().await.is_released());
                let theirs = match theirs {
                    Some(theirs) => theirs,
                    None => other.lock("order:1").acquire().await.unwrap(),
                };
                // Awaited: the sidecar ends soon, and its last lock would stay.
                assert!(theirs.release().await.is_released());
            }
        }
    }
}

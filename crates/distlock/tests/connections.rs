//! Clients and connections of the program's own, under the names of the facade; and replicas, by every
//! way in which they can be configured.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::time::Duration;

use distlock::redis::{RedisBackend, RedisBackendBuilder, redis_rs};
use distlock::{LockConfig, LockError, LockErrorKind, LockService};
use testbed::{ClusterSet, ClusterSettings, RedisServer, ServerKind};

mod redis_7_0 {
    use super::*;

    const KIND: ServerKind = ServerKind::REDIS_7_0;

    #[tokio::test]
    async fn a_client_and_a_connection_of_the_program_are_stores() {
        let server = RedisServer::start(&KIND).unwrap();
        let client = redis_rs::Client::open(server.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let services = [
            RedisBackend::builder().connection(connection.clone()),
            RedisBackend::builder().client(client.clone()),
            #[cfg(feature = "connection-manager")]
            RedisBackend::builder()
                .connection_manager(client.get_connection_manager().await.unwrap()),
        ]
        .map(|way| LockService::new(way.build().unwrap()));
        for holder in &services {
            let guard = holder.lock("x").acquire().await.unwrap();
            for other in &services {
                assert!(other.lock("x").try_acquire().await.unwrap().is_none());
            }
            assert!(guard.release().await.is_released());
        }
        // It is still the program's.
        let mut connection = connection;
        let pong: String = redis_rs::cmd("PING").query_async(&mut connection).await.unwrap();
        assert_eq!(pong, "PONG");

        // Whoever waits for replicas holds the connection up.
        let error = refused(RedisBackend::builder().connection(connection).replicas(1));
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        assert!(error.to_string().contains("leave out replicas"), "{error}");
    }

    #[tokio::test]
    async fn replicas_are_asked_for_by_url_by_file_by_setter_and_by_builder() {
        // It has none, and says so in a quarter of the time.
        let server = RedisServer::start(&KIND).unwrap();
        are_asked_for(&server.url()).await;
    }

    #[tokio::test]
    async fn replicas_of_the_nodes_of_a_cluster_are_asked_for_in_the_same_ways() {
        let settings = ClusterSettings::default().masters(1).without_replicas();
        let set = ClusterSet::start_with(&KIND, &settings).unwrap();
        are_asked_for(&set.url()).await;
    }
}

/// At this address, where there are none.
async fn are_asked_for(store: &str) {
    let url = format!("{store}?response_timeout=6s");
    let builder = RedisBackend::builder().url(store).replicas(2);
    let builder = builder.response_timeout(Duration::from_secs(6)).build().unwrap();
    let services = [
        LockService::new(builder),
        connected(LockConfig::from_url(format!("{url}&replicas=2"))).await,
        connected(LockConfig::from_url(&url).map(|config| config.replicas(2))).await,
        #[cfg(feature = "serde")]
        connected(Ok(toml::from_str(&format!("url = \"{url}\"\nreplicas = 2")).unwrap())).await,
    ];
    for locks in services {
        let error = locks.lock("x").try_acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("0 of 2 did in time"), "{error}");
    }
    let locks = connected(LockConfig::from_url(format!("{url}&replicas=0"))).await;
    assert!(locks.lock("x").try_acquire().await.unwrap().is_some());
}

fn refused(builder: RedisBackendBuilder) -> LockError {
    builder.build().unwrap_err()
}

async fn connected(config: distlock::Result<LockConfig>) -> LockService {
    config.unwrap().connect().await.unwrap()
}

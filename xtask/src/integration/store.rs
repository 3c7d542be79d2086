//! A lock store in containers, and how to reach it.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::select_all;
use lock_core::Result;
use lock_core::backend::LockBackend;
use lock_redis::RedisBackend;
use lock_testkit::conformance::{Harness, Need};

use super::engine::{Container, Engine, Wanted};
use super::options::{Image, Service};
use super::suites::Finding;

const REDIS_PORT: u16 = 6379;

/// A running store; it ends when it is dropped.
pub(super) struct Store {
    containers: Vec<Container>,
    address: Address,
}

/// Where the store is.
#[derive(Clone)]
pub(super) struct Address {
    /// For `DISTLOCK_URL`.
    pub(super) url: String,
}

impl Store {
    pub(super) async fn start(engine: &Engine, image: &Image) -> std::result::Result<Self, String> {
        match image.service {
            Service::Redis | Service::Valkey => {
                let server = engine.start(redis(&image.reference, vec![REDIS_PORT])).await?;
                let url = format!("redis://127.0.0.1:{}", server.port(REDIS_PORT).await?);
                Ok(Self { containers: vec![server], address: Address { url } })
            }
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Runs a suite, which has failed if a container ends before it.
    pub(super) async fn while_running(&self, suite: impl Future<Output = Finding>) -> Finding {
        let ends = self.containers.iter().map(|container| Box::pin(container.ended()));
        tokio::select! {
            finding = suite => finding,
            _ = select_all(ends) => Finding::failed("a container ended in the middle of the suite"),
        }
    }

    /// The ends of the logs of its containers.
    pub(super) async fn logs(&self) -> String {
        let mut logs = String::new();
        for container in &self.containers {
            logs += &container.log().await;
            logs += "\n";
        }
        logs
    }
}

/// Redis or Valkey, open to whoever reaches the port, which is this machine alone.
fn redis(reference: &str, ports: Vec<u16>) -> Wanted {
    // The official images, as those that have the server as their entry point, take its options.
    let command = ["--protected-mode", "no", "--save", "", "--appendonly", "no"];
    Wanted {
        reference: reference.to_owned(),
        command: command.map(str::to_owned).to_vec(),
        ports,
        ready: "Ready to accept connections",
    }
}

#[async_trait]
impl Harness for Address {
    async fn backend(&self) -> Result<Arc<dyn LockBackend>> {
        Ok(Arc::new(RedisBackend::builder().url(&self.url).build()?))
    }

    fn lacks(&self) -> Vec<Need> {
        vec![Need::Queueing, Need::Metadata]
    }
}

//! What the tests share.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use lock_core::backend::{
    Attempt, AttemptRequest, Clock, LockBackend, LockKey, OwnerToken, ReleaseReply, ReleaseRequest,
};
use lock_core::{LockName, Result};
use lock_dapr::{DaprBackend, DaprBackendBuilder};
use lock_testkit::server::{DaprSidecar, RedisServer, ServerKind};
use tonic::transport::{Channel, Endpoint};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Far above what anything here takes, and still an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A sidecar, and the Redis behind it.
pub(crate) struct Stand {
    pub(crate) sidecar: DaprSidecar,
    pub(crate) redis: RedisServer,
}

impl Stand {
    pub(crate) fn start() -> Self {
        let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
        let sidecar = DaprSidecar::start(&redis).unwrap();
        Self { sidecar, redis }
    }

    /// A backend that is connected directly.
    pub(crate) fn backend(&self) -> Arc<DaprBackend> {
        build(self.builder())
    }

    pub(crate) fn builder(&self) -> DaprBackendBuilder {
        at(self.sidecar.address())
    }

    /// Runs a command on the Redis behind the sidecar.
    pub(crate) fn redis(&self, command: &str) -> String {
        redis(self.redis.address(), command)
    }

    /// Who owns a lock, as Redis has it.
    pub(crate) fn owner(&self, name: &str) -> Option<String> {
        let answer = self.redis(&format!("GET {}", self.sidecar.redis_key(name)));
        answer.strip_prefix("$32\r\n").map(|owner| owner.trim_end().to_owned())
    }
}

/// The generated client.
pub(crate) type Client = DaprClient<Channel>;

/// A client of the sidecar at this address, without the backend between.
pub(crate) fn client(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    DaprClient::new(endpoint.connect_lazy())
}

/// A backend on the lock store `lockstore` of the sidecar at this address.
pub(crate) fn at(address: SocketAddr) -> DaprBackendBuilder {
    DaprBackend::builder("lockstore").endpoint(address.to_string())
}

pub(crate) fn build(builder: DaprBackendBuilder) -> Arc<DaprBackend> {
    Arc::new(builder.build().unwrap())
}

pub(crate) fn key(name: &str) -> LockKey {
    LockKey::new("", &LockName::from(name)).unwrap()
}

pub(crate) fn token() -> OwnerToken {
    OwnerToken::random().unwrap()
}

pub(crate) fn hex(token: OwnerToken) -> String {
    String::from_utf8(token.to_hex().to_vec()).unwrap()
}

pub(crate) async fn attempt(
    backend: &Arc<DaprBackend>,
    name: &str,
    token: OwnerToken,
    ttl: Duration,
) -> Result<Attempt> {
    let request = AttemptRequest::new(key(name), token, ttl, Clock::SYSTEM);
    Arc::clone(backend).attempt(request).await
}

/// Takes a lock that is free.
pub(crate) async fn take(backend: &Arc<DaprBackend>, name: &str, ttl: Duration) -> OwnerToken {
    let token = token();
    let attempt = attempt(backend, name, token, ttl).await.unwrap();
    assert!(matches!(attempt, Attempt::Granted(_)), "not granted: {attempt:?}");
    token
}

pub(crate) async fn release(
    backend: &Arc<DaprBackend>,
    name: &str,
    token: OwnerToken,
) -> Result<ReleaseReply> {
    let request = ReleaseRequest::new(key(name), token, Clock::SYSTEM);
    Arc::clone(backend).release(request).await
}

pub(crate) fn is_held(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Held { .. })
}

/// Whether something takes less than the limit, which is far from what it takes.
pub(crate) async fn soon<T>(limit: Duration, what: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let output = tokio::time::timeout(limit * 4, what).await.unwrap();
    assert!(begin.elapsed() < limit, "it took {:?}", begin.elapsed());
    output
}

/// Asks until the answer is yes.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT * 2, "in vain for {:?}", begin.elapsed());
        tokio::task::yield_now().await;
    }
}

/// Runs one command on a Redis and returns its raw answer.
pub(crate) fn redis(address: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.strip_suffix("+OK\r\n").unwrap().to_owned()
}

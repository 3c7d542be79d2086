//! What the tests against real servers share.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, LockBackend, LockKey, OwnerToken, ReleaseReply,
    ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{FencingToken, Handover, LockService, Result};
use lock_redis::{RedisBackend, RedisBackendBuilder};
use lock_testkit::proxy::Proxy;
use testbed::{RedisServer, ServerKind};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// A test that takes longer hangs.
pub(crate) const TEST_LIMIT: Duration = Duration::from_secs(120);
/// Far above what anything here takes, and still an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A service in strict order, whose every task stands in the server's line by itself.
pub(crate) fn strict(backend: impl LockBackend) -> LockService {
    LockService::builder(backend).handover(Handover::OFF).build()
}

/// Makes one test a server version of each function, in a module named after the version.
#[macro_export]
macro_rules! on_every_server {
    ($($test:ident),+ $(,)?) => {
        $crate::on_every_server!(@ redis_6_2 REDIS_6_2 $($test)+);
        $crate::on_every_server!(@ redis_7_0 REDIS_7_0 $($test)+);
        $crate::on_every_server!(@ redis_8_2 REDIS_8_2 $($test)+);
        $crate::on_every_server!(@ valkey_9_1 VALKEY_9_1 $($test)+);
    };
    (@ $module:ident $kind:ident $($test:ident)+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let kind = testbed::ServerKind::$kind;
                    let test = super::$test(&kind);
                    tokio::time::timeout($crate::common::TEST_LIMIT, test).await.unwrap();
                }
            )+
        }
    };
}

/// As [`on_every_server`], for what is too heavy to be done more than once, and is the same on all.
#[macro_export]
macro_rules! on_one_server {
    ($($test:ident),+ $(,)?) => {
        $crate::on_every_server!(@ redis_7_0 REDIS_7_0 $($test)+);
    };
}

/// The commands for channels, in small letters.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    pub(crate) subscribe: &'static str,
    pub(crate) publish: &'static str,
    /// Parts of `PUBSUB`.
    pub(crate) count: &'static str,
    pub(crate) list: &'static str,
}

/// The commands for channels on a server of this kind.
pub(crate) fn words(kind: &ServerKind) -> Words {
    if kind.name().starts_with("redis-6.") {
        Words { subscribe: "subscribe", publish: "publish", count: "numsub", list: "channels" }
    } else {
        Words {
            subscribe: "ssubscribe",
            publish: "spublish",
            count: "shardnumsub",
            list: "shardchannels",
        }
    }
}

/// A server, a proxy before it, and a connection around the proxy.
pub(crate) struct Store {
    pub(crate) server: RedisServer,
    pub(crate) proxy: Proxy,
    pub(crate) admin: redis::Connection,
}

impl Store {
    pub(crate) fn start(kind: &ServerKind) -> Self {
        Self::start_with(kind, &[])
    }

    pub(crate) fn start_with(kind: &ServerKind, arguments: &[&str]) -> Self {
        let server = RedisServer::start_with(kind, arguments).unwrap();
        let admin = admin_of(&server);
        let proxy = Proxy::start(server.address()).unwrap();
        let mut store = Self { server, proxy, admin };
        // The connection that asked whether the server is ready may still be closing.
        while store.connections() > 1 {}
        store
    }

    /// A backend that is connected directly. It sends nothing of its own accord.
    pub(crate) fn backend(&self) -> Arc<RedisBackend> {
        build(RedisBackend::builder().url(self.server.url()).register_process(false))
    }

    /// A backend behind the proxy, which waits at most this long. It sends nothing of its own accord.
    pub(crate) fn backend_behind_proxy(&self, response_timeout: Duration) -> Arc<RedisBackend> {
        let url = self.proxy.url();
        let builder = RedisBackend::builder().url(url).register_process(false);
        build(builder.response_timeout(response_timeout))
    }

    /// Runs a command of these words.
    pub(crate) fn run<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> T {
        self.try_run(words).unwrap()
    }

    pub(crate) fn try_run<T: redis::FromRedisValue>(
        &mut self,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut self.admin)
    }

    /// The channels that have a subscriber.
    pub(crate) fn channels(&mut self) -> Vec<String> {
        let list = self.words().list;
        self.run(&["PUBSUB", list, "*"])
    }

    /// How many are subscribed to a channel.
    pub(crate) fn subscribers(&mut self, channel: &str) -> u64 {
        let count = self.words().count;
        self.run::<(String, u64)>(&["PUBSUB", count, channel]).1
    }

    /// Says something in a channel; returns how many heard it.
    pub(crate) fn publish(&mut self, channel: &str, message: &str) -> u64 {
        let publish = self.words().publish;
        self.run(&[publish, channel, message])
    }

    /// The commands for channels on this server.
    pub(crate) fn words(&self) -> Words {
        words(self.server.binary().kind())
    }

    /// How many connections the server has, the administrator's included.
    pub(crate) fn connections(&mut self) -> usize {
        self.run::<String>(&["CLIENT", "LIST"]).lines().count()
    }

    /// Every key but the fencing counters, and what ends by itself: the marks of gaps, and what
    /// processes say of themselves.
    pub(crate) fn keys(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = self.run(&["KEYS", "*"]);
        keys.retain(|key| !["dl:f:", "dl:m:", "dl:p:"].iter().any(|kind| key.starts_with(kind)));
        keys
    }

    /// How often a command has run, scripts' own commands included.
    pub(crate) fn calls_of(&mut self, command: &str) -> u64 {
        let info: String = self.run(&["INFO", "commandstats"]);
        let line = info.lines().find_map(|line| {
            line.strip_prefix("cmdstat_")?.strip_prefix(command)?.strip_prefix(":calls=")
        });
        line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
    }
}

pub(crate) fn admin_of(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

pub(crate) fn build(builder: RedisBackendBuilder) -> Arc<RedisBackend> {
    Arc::new(builder.build().unwrap())
}

pub(crate) fn key(name: &str) -> LockKey {
    LockKey::new("", name).unwrap()
}

/// What stands in the key of the lock `x`, without what says whether others wait.
pub(crate) fn owner_at(store: &mut Store) -> Option<String> {
    let owner: Option<String> = store.run(&["GET", "lock:x"]);
    owner.map(|owner| match owner.strip_prefix("dl+").or(owner.strip_prefix("dl*")) {
        Some(token) => owned_by(token),
        None => owner,
    })
}

/// What stands in the key of a lock that this token owns, and nobody waits for.
pub(crate) fn owned_by(token: impl std::fmt::Display) -> String {
    format!("dl:{token}")
}

pub(crate) fn token() -> OwnerToken {
    OwnerToken::random().unwrap()
}

pub(crate) async fn attempt(
    backend: &Arc<RedisBackend>,
    name: &str,
    token: OwnerToken,
    ttl: Duration,
) -> Result<AcquireReply> {
    let request = AcquireRequest::new(key(name), token, ttl, Clock::SYSTEM);
    Arc::clone(backend).acquire(request).await
}

/// Takes a lock that is free.
pub(crate) async fn take(
    backend: &Arc<RedisBackend>,
    name: &str,
    ttl: Duration,
) -> (OwnerToken, FencingToken) {
    let token = token();
    (token, fencing(attempt(backend, name, token, ttl).await.unwrap()))
}

/// The fencing token of a grant.
pub(crate) fn fencing(attempt: AcquireReply) -> FencingToken {
    match attempt {
        AcquireReply::Granted(grant) => grant.fencing.unwrap(),
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) fn is_held(attempt: &AcquireReply) -> bool {
    matches!(attempt, AcquireReply::Held { .. })
}

pub(crate) async fn release(
    backend: &Arc<RedisBackend>,
    name: &str,
    token: OwnerToken,
) -> Result<ReleaseReply> {
    release_with(backend, ReleaseRequest::new(key(name), token, Clock::SYSTEM)).await
}

pub(crate) async fn release_with(
    backend: &Arc<RedisBackend>,
    request: ReleaseRequest,
) -> Result<ReleaseReply> {
    Arc::clone(backend).release(request).await
}

pub(crate) async fn renew(
    backend: &Arc<RedisBackend>,
    name: &str,
    token: OwnerToken,
    ttl: Duration,
) -> Result<RenewReply> {
    let request = RenewRequest::new(key(name), token, ttl, Clock::SYSTEM).with_within(LIMIT);
    let mut replies = Arc::clone(backend).renew(vec![request]).await?;
    match replies.pop().unwrap() {
        RenewReply::Failed(error) => Err(error),
        reply => Ok(reply),
    }
}

/// Whether something takes less than the limit, which is far from what it takes.
pub(crate) async fn soon<T>(limit: Duration, what: impl Future<Output = T>) -> T {
    let begin = std::time::Instant::now();
    let output = what.await;
    assert!(begin.elapsed() < limit, "it took {:?}", begin.elapsed());
    output
}

/// Waits until the server of this backend answers.
pub(crate) async fn answers(backend: &Arc<RedisBackend>) {
    let answered = async {
        while backend.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, answered).await.unwrap();
}

/// Asks until the answer is yes.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// What is logged by the library.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Runs this in a runtime of its own, and keeps what is logged there, at `INFO` and above, also
    /// by tasks that it spawns.
    pub(crate) fn of<T>(&self, what: impl Future<Output = T>) -> T {
        // While there is one subscriber only, `tracing` asks that of the thread which comes to an event
        // first whether anybody wants it: and other tests' threads have none.
        static ANOTHER: LazyLock<tracing::Dispatch> =
            LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&ANOTHER);
        let writer = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(what)
        };
        tokio::task::block_in_place(|| tracing::subscriber::with_default(subscriber, run))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An example of this package, which `cargo test` builds beside this program.
pub(crate) fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "the example `{name}` is not built: run `cargo test -p lock-redis`");
    path
}

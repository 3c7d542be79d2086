//! What is logged beside a real server, by all threads of the process: so this is a program of its
//! own, with one subscriber for all of its tests.
#![expect(clippy::unwrap_used, reason = "tests, helpers included, fail by panicking")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use lock_core::LockService;
use lock_redis::RedisBackend;
use testbed::{RedisServer, SentinelServer, SentinelSet, SentinelSettings, ServerKind};
use tracing::Level;

const S: fn(u64) -> Duration = Duration::from_secs;

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The log of this process, at every level and of every crate.
    fn of_all() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(Level::TRACE)
                .with_ansi(false)
                .with_writer(move || writer.clone());
            tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
            // What another thread has met since the subscriber was made, and before it was set, has
            // been told that nobody listens.
            tracing::callsite::rebuild_interest_cache();
            log
        });
        log.clone()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// The library's lines that are shown without debugging and contain this.
    fn shown(&self, what: &str) -> Vec<String> {
        let text = self.text();
        let is_shown = |line: &&str| {
            line.contains(" distlock: ")
                && (line.contains(" INFO ") || line.contains(" WARN "))
                && line.contains(what)
        };
        text.lines().filter(is_shown).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn service(server: &RedisServer, login: &str) -> LockService {
    let url = format!("redis://{login}{}", server.address());
    LockService::new(RedisBackend::builder().url(url).response_timeout(S(3)).build().unwrap())
}

/// Waits for what must happen within 20 s.
async fn soon(mut happens: impl FnMut() -> bool) {
    let bound = Instant::now() + S(20);
    while !happens() {
        assert!(Instant::now() < bound, "it does not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The owner tokens that the server knows.
fn tokens(admin: &mut redis::Connection) -> Vec<String> {
    let mut tokens = Vec::new();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(admin).unwrap();
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(admin).unwrap();
        if key.starts_with("lock:") && kind == "string" {
            tokens.push(redis::cmd("GET").arg(&key).query(admin).unwrap());
        } else if kind == "zset" {
            let queue: Vec<String> =
                redis::cmd("ZRANGE").arg(&key).arg("0").arg("-1").query(admin).unwrap();
            tokens.extend(queue);
        }
    }
    tokens
}

async fn no_log_at_any_level_shows_an_owner_token_or_a_password() {
    const PASSWORD: &str = "s3cret-of-the-log-test";
    const WRONG: &str = "wr0ng-of-the-log-test";

    let log = Log::of_all();
    let arguments = ["--requirepass", PASSWORD];
    let mut server = RedisServer::start_with(&ServerKind::REDIS_7_0, &arguments).unwrap();
    let url = format!("redis://:{PASSWORD}@{}", server.address());
    let mut admin = redis::Client::open(url).unwrap().get_connection().unwrap();
    let locks = service(&server, &format!(":{PASSWORD}@"));

    // Granted, extended, renewed, waited for, handed over, granted by a push.
    let lock = locks.lock("secret:a").ttl(S(2)).keep_alive();
    let first = lock.acquire().await.unwrap();
    first.extend(S(3)).await.unwrap();
    let other = service(&server, &format!(":{PASSWORD}@"));
    let waiting = [lock.clone(), lock, other.lock("secret:a").ttl(S(2))]
        .map(|lock| tokio::spawn(async move { lock.wait(S(30)).acquire().await.map(drop) }));
    let mut known = Vec::new();
    soon(|| {
        known.extend(tokens(&mut admin));
        known.sort();
        known.dedup();
        known.len() >= 2
    })
    .await;
    tokio::time::sleep(S(1)).await;
    first.release().await;
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    // Lost, and refused.
    let lost = locks.lock("secret:b").ttl(S(1)).keep_alive().acquire().await.unwrap();
    let refused = locks.lock("secret:c").ttl(S(30)).acquire().await.unwrap();
    known.extend(tokens(&mut admin));
    let () = redis::cmd("DEL").arg("lock:secret:b").query(&mut admin).unwrap();
    lost.lost().await.unwrap();
    let () = redis::cmd("DEL").arg("lock:secret:c").query(&mut admin).unwrap();
    let () = redis::cmd("RPUSH").arg("lock:secret:c").arg("x").query(&mut admin).unwrap();
    refused.release().await;
    // Wrong passwords, and a server that goes away.
    for login in [format!(":{WRONG}@"), format!("nobody:{WRONG}@")] {
        service(&server, &login).lock("secret:d").try_acquire().await.unwrap_err();
    }
    let kept = locks.lock("secret:e").ttl(S(2)).keep_alive().acquire().await.unwrap();
    known.extend(tokens(&mut admin));
    server.kill();
    kept.lost().await.unwrap();
    drop(kept);
    locks.lock("secret:e").try_acquire().await.unwrap_err();
    locks.shutdown(Duration::ZERO).await;

    let text = log.text();
    assert!(text.contains("secret:a") && text.contains("store_lost"), "{text}");
    known.retain(|token| token.len() >= 16);
    known.sort();
    known.dedup();
    assert!(known.len() >= 5, "{known:?}");
    for secret in known.iter().map(String::as_str).chain([PASSWORD, WRONG]) {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in: {line:?}");
    }
}

async fn an_outage_of_the_server_is_a_few_lines() {
    let log = Log::of_all();
    let mut server = RedisServer::start(&ServerKind::REDIS_7_0).unwrap();
    let locks = service(&server, "");
    let mut guards = Vec::new();
    for number in 0..500 {
        let lock = locks.lock(format!("outage:{number}")).ttl(S(5)).keep_alive();
        guards.push(lock.acquire().await.unwrap());
    }
    let waiting = tokio::spawn({
        let lock = locks.lock("outage:0").wait(S(60));
        async move { lock.acquire().await.map(drop) }
    });
    server.kill();
    let (last, rest) = guards.split_last().unwrap();
    last.lost().await.unwrap();
    for guard in rest {
        guard.lost().await.unwrap();
    }
    let address = server.address().to_string();
    soon(|| !log.shown(&format!("address=\"{address}\"")).is_empty()).await;
    assert_eq!(log.shown(&address).len(), 1);
    server.restart().unwrap();
    waiting.await.unwrap().unwrap();
    let back = format!("event=\"store_back\" backend=\"redis\" address=\"{address}\"");
    soon(|| !log.shown(&back).is_empty()).await;

    let of_store = log.shown(&address);
    assert_eq!(of_store.len(), 2, "{of_store:#?}");
    assert!(of_store[0].contains("store_lost"), "{of_store:#?}");
    assert!(of_store[0].contains(&format!("the lock store redis ({address}) is unavailable: ")));
    let lost = log.shown("lock=\"outage:");
    assert!((1..=10).contains(&lost.len()), "{lost:#?}");
    let all = log.text();
    let debugged = all.lines().filter(|line| line.contains("lock=\"outage:"));
    assert!(debugged.filter(|line| line.contains("event=\"lost\"")).count() == 500);
    locks.shutdown(Duration::ZERO).await;
}

async fn a_process_that_may_not_register_is_told_so_once() {
    let log = Log::of_all();
    let server = RedisServer::start(&ServerKind::REDIS_7_0).unwrap();
    let mut admin = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let user = "ACL SETUSER app on >pw ~lock:* ~dl:f:* ~dl:q:* ~dl:m:* &* +@all";
    let mut rules = redis::cmd("ACL");
    rules.arg(user.split(' ').skip(1).collect::<Vec<_>>());
    rules.exec(&mut admin).unwrap();
    let locks = service(&server, "app:pw@");
    let address = format!("address=\"{}\"", server.address());
    let told = || {
        let text = log.text();
        let lines = text.lines().filter(|line| line.contains("event=\"not_registered\""));
        lines.filter(|line| line.contains(&address)).map(str::to_owned).collect::<Vec<_>>()
    };
    let guard = locks.lock("registered:no").acquire().await.unwrap();
    soon(|| !told().is_empty()).await;
    // What was refused for good is not tried again: the server counts what it refuses.
    tokio::time::sleep(S(6)).await;
    let refused: Vec<std::collections::HashMap<String, redis::Value>> =
        redis::cmd("ACL").arg("LOG").query(&mut admin).unwrap();
    let is_ours = |entry: &&std::collections::HashMap<String, redis::Value>| {
        format!("{:?}", entry["object"]).contains("dl:p:")
    };
    let counts: Vec<_> = refused.iter().filter(is_ours).map(|entry| &entry["count"]).collect();
    assert_eq!(counts, [&redis::Value::Int(1)]);
    let told = told();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains(" DEBUG ") && told[0].contains("this process cannot be registered"));
    assert!(guard.release().await.is_released());
    locks.shutdown(Duration::ZERO).await;
}

/// Most of them find a batch on its way, and are not sent.
async fn requests_that_are_given_up_are_no_outage() {
    let log = Log::of_all();
    let server = RedisServer::start(&ServerKind::REDIS_7_0).unwrap();
    let locks = service(&server, "");
    locks.ping().await.unwrap();
    for round in 0..10 {
        let mut acquiring: Vec<_> = (0..500)
            .map(|task| Box::pin(locks.lock(format!("dropped:{round}:{task}")).acquire()))
            .collect();
        for acquiring in &mut acquiring {
            // The first ones may be granted before the last ones are asked for.
            drop(futures_util::poll!(acquiring));
        }
        drop(acquiring);
        locks.ping().await.unwrap();
    }
    locks.shutdown(S(5)).await;
    assert_eq!(log.shown(&server.address().to_string()), Vec::<String>::new());
}

/// Left out where there is no such server.
mod redis_7_0 {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn requests_that_are_given_up_are_no_outage() {
        super::requests_that_are_given_up_are_no_outage().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_process_that_may_not_register_is_told_so_once() {
        super::a_process_that_may_not_register_is_told_so_once().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_log_at_any_level_shows_an_owner_token_or_a_password() {
        super::no_log_at_any_level_shows_an_owner_token_or_a_password().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_outage_of_the_server_is_a_few_lines() {
        super::an_outage_of_the_server_is_a_few_lines().await;
    }
}

/// A server, a Sentinel that watches it, and a service that finds it by the Sentinel.
fn watched(login: &str, rules: &[&str]) -> (RedisServer, SentinelServer, LockService) {
    let kind = ServerKind::REDIS_8_2;
    let server = RedisServer::start(&kind).unwrap();
    let settings = SentinelSettings::default().down_after(S(60));
    let sentinel = SentinelServer::start(&kind, &settings).unwrap();
    sentinel.monitor(&settings, &server.port().to_string()).unwrap();
    if !rules.is_empty() {
        sentinel.run(&[&["ACL", "SETUSER", "app", "reset", "on", ">pw"], rules].concat()).unwrap();
    }
    let url = format!("redis+sentinel://{}/{}{login}", sentinel.address(), SentinelSet::MASTER);
    let locks = LockService::new(RedisBackend::builder().url(url).build().unwrap());
    (server, sentinel, locks)
}

mod redis_8_2 {
    use super::*;

    #[tokio::test]
    async fn a_sentinel_that_forbids_to_subscribe_is_told_once() {
        let log = Log::of_all();
        let rules = ["+sentinel"];
        let (_server, sentinel, locks) = watched("?sentinel_user=app&sentinel_pass=pw", &rules);
        locks.ping().await.unwrap();
        let address = sentinel.address().to_string();
        // It is tried again, and that is not told.
        let unheard = format!("{address}: the server's access rules forbid");
        soon(|| log.text().matches(&unheard).count() >= 1).await;
        let shown = log.shown(&address);
        assert_eq!(
            shown.iter().filter(|line| line.contains("+switch-master")).count(),
            1,
            "{shown:?}"
        );
        assert!(shown[0].contains(" WARN ") && shown[0].contains("subscribe"), "{shown:?}");
    }

    #[tokio::test]
    async fn a_new_master_is_told() {
        let log = Log::of_all();
        let (old, sentinel, locks) = watched("", &[]);
        let (new, settings) = (
            RedisServer::start(&ServerKind::REDIS_8_2).unwrap(),
            SentinelSettings::default().down_after(S(60)),
        );
        locks.ping().await.unwrap();
        let told = format!("the Redis master is at {} now", new.address());
        assert!(log.shown(&old.address().to_string()).is_empty());
        sentinel.run(&["SENTINEL", "REMOVE", SentinelSet::MASTER]).unwrap();
        sentinel.monitor(&settings, &new.port().to_string()).unwrap();
        let client = redis::Client::open(old.url()).unwrap();
        let mut admin = client.get_connection().unwrap();
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut admin).unwrap();
        while locks.ping().await.is_err() {}
        soon(|| !log.shown(&told).is_empty()).await;
    }
}

//! Quorums of real servers, of which some are killed, frozen or slow.

use std::time::Duration;

use lock_core::backend::{AnyBackend, LockBackend};
use lock_core::{Handover, LockErrorKind, LockService};
use lock_quorum::QuorumBackend;
use lock_redis::{RedisBackend, redis_rs};
use lock_testkit::contention::Contention;
use lock_testkit::history::{Claims, Recorder};
use lock_testkit::proxy::{Fault, Proxy, Scope};
use testbed::{RedisServer, ServerKind};

/// The response timeout of the members: what a busy machine takes for an answer is far below it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Far above what anything here takes, and still an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

/// Servers, each behind a proxy.
struct Servers {
    servers: Vec<RedisServer>,
    proxies: Vec<Proxy>,
}

impl Servers {
    fn start(kind: &ServerKind, count: usize) -> Self {
        let servers: Vec<_> = (0..count).map(|_| RedisServer::start(kind).unwrap()).collect();
        let proxies =
            servers.iter().map(|server| Proxy::start(server.address()).unwrap()).collect();
        Self { servers, proxies }
    }

    fn backend(&self) -> AnyBackend {
        let member = |proxy: &Proxy| {
            let backend = RedisBackend::builder().url(proxy.url()).response_timeout(TIMEOUT);
            backend.build().unwrap()
        };
        let add = |builder: lock_quorum::QuorumBackendBuilder, proxy| builder.member(member(proxy));
        AnyBackend::new(self.proxies.iter().fold(QuorumBackend::builder(), add).build().unwrap())
    }

    fn locks(&self) -> LockService {
        LockService::builder(self.backend()).handover(Handover::OFF).build()
    }

    /// Waits until no server that runs has the lock.
    async fn are_free(&self, name: &str) {
        let key = lock_testkit::direct::key(name).unwrap();
        for server in self.servers.iter().filter(|server| server.pid().is_some()) {
            let backend = RedisBackend::builder().url(server.url()).build().unwrap();
            let free = async {
                while backend.status(key.clone()).await.unwrap().is_some() {
                    tokio::task::yield_now().await;
                }
            };
            let free = tokio::time::timeout(MINUTE / 3, free).await;
            free.unwrap_or_else(|_| panic!("the lock is left at {}", server.address()));
        }
    }
}

macro_rules! on_the_oldest_and_the_newest {
    ($($test:ident),+ $(,)?) => {
        on_the_oldest_and_the_newest!(@ redis_6_2 REDIS_6_2 $($test)+);
        on_the_oldest_and_the_newest!(@ valkey_9_1 VALKEY_9_1 $($test)+);
    };
    (@ $module:ident $kind:ident $($test:ident)+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let kind = testbed::ServerKind::$kind;
                    let test = super::$test(&kind);
                    let limit = crate::servers::LIMIT * 2;
                    tokio::time::timeout(limit, test).await.unwrap();
                }
            )+
        }
    };
}

on_the_oldest_and_the_newest! {
    a_minority_of_five_that_was_killed_is_not_noticed,
    a_majority_that_was_killed_is_an_error_in_time_and_is_found_again,
    frozen_servers_delay_nobody_and_keep_nothing,
    a_slow_server_delays_nobody,
    a_round_that_failed_is_undone_at_servers_that_did_not_answer,
    workers_never_overlap_while_servers_fail_by_turns,
    the_rules_of_the_guide_are_enough_for_each_server_of_a_quorum,
}

async fn a_minority_of_five_that_was_killed_is_not_noticed(kind: &ServerKind) {
    let mut all = Servers::start(kind, 5);
    let locks = all.locks();
    let ttl = Duration::from_secs(6);
    let kept = locks.lock("kept").ttl(ttl).keep_alive().acquire().await.unwrap();
    all.servers[1].kill();
    all.servers[4].kill();
    for _ in 0..20 {
        let lock = locks.lock("x").ttl(MINUTE);
        let began = std::time::Instant::now();
        let guard = lock.try_acquire().await.unwrap().unwrap();
        assert!(lock.try_acquire().await.unwrap().is_none());
        assert!(guard.release().await.is_released());
        assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
    }
    let is_lost = tokio::time::timeout(ttl * 3 / 2, kept.lost()).await;
    assert!(is_lost.is_err(), "{is_lost:?}");
    // A third one is one too many.
    all.servers[0].kill();
    kept.lost().await;
}

async fn a_majority_that_was_killed_is_an_error_in_time_and_is_found_again(kind: &ServerKind) {
    let mut all = Servers::start(kind, 5);
    let locks = all.locks();
    locks.lock("x").execute(async |_lease| ()).await.unwrap().unwrap();
    for dead in [0, 2, 3] {
        all.servers[dead].kill();
    }
    let began = std::time::Instant::now();
    let error = locks.lock("x").ttl(MINUTE).try_acquire().await.unwrap_err();
    assert!(began.elapsed() < TIMEOUT * 3, "{:?}", began.elapsed());
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    for dead in [0, 2, 3] {
        assert!(text.contains(&all.proxies[dead].address().to_string()), "{text}");
    }
    assert!(!text.contains('\n') && text.contains("3 are needed"), "{text}");
    let told = locks.servers().await.unwrap();
    let dead: Vec<bool> = told.iter().map(|server| server.fact("error").is_some()).collect();
    assert_eq!(dead, [true, false, true, true, false], "{told:?}");
    all.servers[2].restart().unwrap();
    let guard = locks.lock("x").ttl(MINUTE).wait(LIMIT).acquire().await.unwrap();
    assert!(guard.release().await.is_released());
    all.are_free("x").await;
}

async fn frozen_servers_delay_nobody_and_keep_nothing(kind: &ServerKind) {
    let mut all = Servers::start(kind, 5);
    let locks = all.locks();
    let held = locks.lock("held").ttl(MINUTE).acquire().await.unwrap();
    all.servers[0].freeze().unwrap();
    all.servers[3].freeze().unwrap();
    for _ in 0..50 {
        let began = std::time::Instant::now();
        let guard = locks.lock("x").ttl(MINUTE).try_acquire().await.unwrap().unwrap();
        assert!(guard.release().await.is_released());
        assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
    }
    assert!(held.release().await.is_released());
    // Until what is under way there has no answer in time.
    tokio::time::sleep(TIMEOUT * 2).await;
    all.servers[0].thaw().unwrap();
    all.servers[3].thaw().unwrap();
    all.are_free("x").await;
    all.are_free("held").await;
}

async fn a_slow_server_delays_nobody(kind: &ServerKind) {
    let all = Servers::start(kind, 3);
    let locks = all.locks();
    locks.lock("x").execute(async |_lease| ()).await.unwrap().unwrap();
    let delay = TIMEOUT / 2;
    all.proxies[1].set_both(Scope::All, Fault::Delay(delay));
    for _ in 0..20 {
        let began = std::time::Instant::now();
        let guard = locks.lock("x").ttl(MINUTE).try_acquire().await.unwrap().unwrap();
        assert!(guard.release().await.is_released());
        assert!(began.elapsed() < delay, "{:?}", began.elapsed());
    }
    all.proxies[1].heal();
    all.are_free("x").await;
}

async fn a_round_that_failed_is_undone_at_servers_that_did_not_answer(kind: &ServerKind) {
    let all = Servers::start(kind, 3);
    let locks = all.locks();
    locks.lock("x").execute(async |_lease| ()).await.unwrap().unwrap();
    // The requests arrive, and the answers do not.
    for proxy in &all.proxies[..2] {
        proxy.set(lock_testkit::proxy::Direction::ToClient, Scope::All, Fault::Swallow);
    }
    let error = locks.lock("x").ttl(MINUTE).try_acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    all.proxies.iter().for_each(Proxy::heal);
    all.are_free("x").await;
}

async fn workers_never_overlap_while_servers_fail_by_turns(kind: &ServerKind) {
    let mut all = Servers::start(kind, 5);
    let backends = vec![all.backend(), all.backend(), all.backend()];
    let recorder = Recorder::new("here");
    let work = recorder.clone();
    let contention = Contention::new("x")
        .workers(12)
        .rounds(600)
        .ttl(Duration::from_secs(1))
        .overstay_every(200);
    let work = tokio::spawn(async move { contention.run(backends, &work).await });
    let mut turn = 0;
    while !work.is_finished() {
        let (frozen, slow) = (turn % 5, (turn + 2) % 5);
        all.servers[frozen].freeze().unwrap();
        all.proxies[slow].set_both(Scope::All, Fault::Delay(Duration::from_millis(40)));
        tokio::time::sleep(Duration::from_millis(60)).await;
        all.servers[frozen].thaw().unwrap();
        all.proxies[slow].heal();
        if turn % 3 == 0 {
            all.proxies[(turn + 1) % 5].reset(Scope::All);
        }
        turn += 1;
    }
    let tally = work.await.unwrap().unwrap();
    let report =
        recorder.history().check(&Claims::new().tolerate_late_use(Duration::from_secs(10)));
    assert!(report.is_clean(), "{report}");
    assert!(tally.served > 400, "{tally:?}");
    all.are_free("x").await;
}

async fn the_rules_of_the_guide_are_enough_for_each_server_of_a_quorum(kind: &ServerKind) {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let pages = std::fs::read_dir(docs.join("guide")).into_iter().flatten();
    let pages = pages.map(|page| page.unwrap().path()).chain([docs.join("guide.md")]);
    let text: String = pages.map(|page| std::fs::read_to_string(page).unwrap()).collect();
    let line = text.lines().find(|line| line.starts_with("ACL SETUSER locks on ")).unwrap();
    let all = Servers::start(kind, 3);
    let mut builder = QuorumBackend::builder();
    for server in &all.servers {
        let mut admin = redis_rs::Client::open(server.url()).unwrap().get_connection().unwrap();
        let mut rules = redis_rs::Cmd::new();
        // There is no queue, so what Redis 6.2 does not know is of no use.
        for word in line.split(' ').filter(|word| !word.contains("pub") && !word.contains("ssub")) {
            rules.arg(word);
        }
        rules.exec(&mut admin).unwrap();
        let url = format!("redis://locks:PASSWORD@{}", server.address());
        builder = builder.member(RedisBackend::builder().url(url).build().unwrap());
    }
    let locks = LockService::new(builder.build().unwrap());
    locks.ping().await.unwrap();
    for _ in 0..3 {
        let guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
        guard.extend(MINUTE).await.unwrap();
        guard.verify().await.unwrap();
        let other = locks.lock("x").wait(Duration::from_millis(20)).try_acquire().await.unwrap();
        assert!(other.is_none());
        locks.lock("x").status().await.unwrap().unwrap();
        assert!(guard.release().await.is_released());
    }
}

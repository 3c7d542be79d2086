//! Servers that are gone: the replicas, and the master.

use lock_testkit::proxy::{Direction, Fault, Proxy, Scope};
use testbed::{SentinelSet, SentinelSettings};

use super::*;
use crate::on_one_server;

on_one_server!(
    replicas_that_are_gone_lock_nobody_out_for_more_than_ten_seconds,
    a_replica_that_is_far_away_is_found_again_and_nobody_waits_for_that,
    what_was_confirmed_outlives_a_master_that_is_killed,
);

async fn replicas_that_are_gone_lock_nobody_out_for_more_than_ten_seconds(kind: &ServerKind) {
    let mut couple = Couple::start(kind);
    let log = Log::default();
    log.of(async {
        let (strict_one, backend) = (strict(couple.backend(3)), couple.backend(3));
        let begin = Instant::now();
        let guard = strict_one.lock("x").ttl(MINUTE).wait(MINUTE).acquire().await.unwrap();
        let after = begin.elapsed();
        println!("{kind}: the lock was had after {after:?}");
        assert!(after >= Duration::from_secs(10) && after < LIMIT, "{after:?}");
        // Each backend finds out for itself, and nobody is kept from what was given back.
        loop {
            let error = attempt(&backend, "y", token(), MINUTE).await.unwrap_err().to_string();
            if error.contains("of 3 did in time") {
                break;
            }
            // The server says how many did, unless it is too busy for that.
            assert!(error.contains("they did not answer in time"), "{error}");
        }
        take(&couple.patient(), "y", MINUTE).await;

        // One of them confirms all the same.
        let other = strict_one.lock("z").ttl(MINUTE).wait(MINUTE).acquire().await.unwrap();
        assert!(couple.on_replica("z").is_some());
        assert!(other.release().await.is_released());
        assert!(guard.release().await.is_released());
    });
    let text = log.text();
    assert_eq!(text.matches("replicas_missing").count(), 1, "{text}");
    assert!(text.contains("asked=3") && text.contains("confirmed=1"), "{text}");
    couple.replica.kill();
}

async fn a_replica_that_is_far_away_is_found_again_and_nobody_waits_for_that(kind: &ServerKind) {
    const FAR: Duration = Duration::from_millis(300);
    // A quarter of it is how long the replica has, and how long a test of a moment may take.
    const TIMEOUT: Duration = Duration::from_secs(16);
    let mut proxy = None;
    let mut couple = Couple::start_behind(kind, |port| {
        let far = proxy.insert(Proxy::start(([127, 0, 0, 1], port).into()).unwrap());
        for direction in Direction::BOTH {
            far.set(direction, Scope::All, Fault::Delay(FAR / 2));
        }
        far.address().port()
    });
    let locks = strict(build(couple.builder().replicas(1).response_timeout(TIMEOUT)));
    let took = async |name: &str| {
        let lock = locks.lock(name).ttl(MINUTE).wait(MINUTE);
        assert!(lock.acquire().await.unwrap().release().await.is_released());
    };
    couple.replica.freeze().unwrap();
    took("x").await;
    // Nobody is enough by now, so whoever waits for the replica looks for it.
    let mut is_looked_for = || {
        let clients: String = couple.master.run(&["CLIENT", "LIST"]);
        clients.lines().any(|client| client.contains("cmd=wait") && client.contains(" flags=b"))
    };
    let looked_for = async {
        while !is_looked_for() {
            took("x").await;
        }
    };
    tokio::time::timeout(MINUTE, looked_for).await.unwrap();
    took("x").await;
    assert!(is_looked_for(), "a grant waited for the end of the look");

    couple.replica.thaw().unwrap();
    let found = async {
        let (mut confirmed, mut number) = (0, 0);
        // What nobody waited for is not there yet.
        while confirmed < 3 {
            let guard = locks.lock(format!("y{number}")).ttl(MINUTE).acquire().await.unwrap();
            let is_there = couple.on_replica(&format!("y{number}")).is_some();
            (confirmed, number) = (if is_there { confirmed + 1 } else { 0 }, number + 1);
            assert!(guard.release().await.is_released());
        }
    };
    tokio::time::timeout(MINUTE, found).await.unwrap();
}

/// F22: both with what replicas have confirmed, and without.
async fn what_was_confirmed_outlives_a_master_that_is_killed(kind: &ServerKind) {
    for replicas in [0, 1] {
        // The replicas stand still, so nobody may take that for a failure.
        let settings = SentinelSettings::default().down_after(Duration::from_secs(2));
        let mut set = SentinelSet::start_with(kind, &settings).unwrap();
        let builder = RedisBackend::builder().url(set.url()).response_timeout(TIMEOUT);
        let backend = build(builder.replicas(replicas));
        let patient = RedisBackend::builder().url(set.url()).response_timeout(PATIENCE);
        take(&build(patient.replicas(1)), "before", HOUR).await;
        set.servers[1].freeze().unwrap();
        set.servers[2].freeze().unwrap();
        // What is written now never reaches them.
        let mut admin = admin_of(&set.servers[0]);
        let links: u64 =
            redis::cmd("CLIENT").arg(&["KILL", "TYPE", "replica"]).query(&mut admin).unwrap();
        assert_eq!(links, 2);
        let granted = attempt(&backend, "x", token(), HOUR).await;
        assert_eq!(granted.is_ok(), replicas == 0, "{granted:?}");
        set.servers[0].kill();
        set.servers[1].thaw().unwrap();
        set.servers[2].thaw().unwrap();
        let again = async {
            loop {
                if let Ok(answer) = attempt(&backend, "x", token(), HOUR).await {
                    return answer;
                }
            }
        };
        // Without them, two hold it now.
        let second = tokio::time::timeout(MINUTE, again).await.unwrap();
        assert!(!is_held(&second));
        let before = attempt(&backend, "before", token(), HOUR).await.unwrap();
        assert!(is_held(&before));
    }
}

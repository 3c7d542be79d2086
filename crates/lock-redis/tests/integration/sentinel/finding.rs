//! How the master is found, and what is said when it is not.

use std::time::Instant;

use lock_core::LockErrorKind;
use lock_core::backend::LockBackend;
use lock_redis::{RedisBackend, Sentinels};
use testbed::{
    RedisServer, ReservedPort, SentinelServer, SentinelSet, SentinelSettings, ServerKind,
};

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    the_master_is_found_as_long_as_one_sentinel_answers,
    a_sentinel_that_stands_still_holds_up_no_connection,
    each_sentinel_is_quoted_where_none_knows_the_master,
    a_master_that_is_down_or_out_of_reach_is_named,
    a_master_that_is_a_replica_is_not_used,
    sentinels_have_a_password_of_their_own,
    a_user_of_the_sentinels_needs_three_commands,
    a_master_goes_by_the_name_of_its_host,
    a_sentinel_and_a_server_are_told_apart,
);

async fn the_master_is_found_as_long_as_one_sentinel_answers(kind: &ServerKind) {
    let settings = SentinelSettings::default().down_after(MINUTE);
    let mut set = SentinelSet::start_with(kind, &settings).unwrap();
    let old = backend_of(&set);
    take(&old, "x", MINUTE).await;
    for dead in 0..3 {
        take(&backend_of(&set), &format!("x{dead}"), MINUTE).await;
        assert!(run::<bool>(&set.servers[0], &["EXISTS", &format!("lock:x{dead}")]));
        set.sentinels[dead].kill();
    }
    let error = ping_error(&backend_of(&set)).await;
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("no Sentinel names the master \"main\""), "{text}");
    for sentinel in &set.sentinels {
        assert!(text.contains(&format!("{}: the connection failed", sentinel.address())), "{text}");
    }
    // A connection that is there needs no Sentinel.
    take(&old, "y", MINUTE).await;
}

async fn a_sentinel_that_stands_still_holds_up_no_connection(kind: &ServerKind) {
    let settings = SentinelSettings::default().down_after(MINUTE);
    let mut set = SentinelSet::start_with(kind, &settings).unwrap();
    set.sentinels[1].freeze().unwrap();
    // It would take half of this.
    let timeout = MINUTE;
    let backend = build(RedisBackend::builder().url(set.url()).response_timeout(timeout));
    soon(LIMIT, backend.ping()).await.unwrap();

    set.sentinels[0].freeze().unwrap();
    set.sentinels[2].freeze().unwrap();
    let begin = Instant::now();
    let text = ping_error(&backend_of(&set)).await.to_string();
    assert!(begin.elapsed() < RESPONSE_TIMEOUT * 4, "{:?}", begin.elapsed());
    for sentinel in &set.sentinels {
        let silent = format!("{}: it did not answer in time", sentinel.address());
        assert!(text.contains(&silent), "{text}");
    }
}

async fn each_sentinel_is_quoted_where_none_knows_the_master(kind: &ServerKind) {
    let (_, sentinel) = patient_sentinel(kind);
    let nobody = ReservedPort::reserve().unwrap();
    let nobody = format!("127.0.0.1:{}", nobody.number());
    let addresses = [sentinel.address().to_string(), nobody.clone()];
    let sentinels = Sentinels::new(addresses.clone(), "my-master").password("s3cret");
    let backend = build(RedisBackend::builder().sentinels(sentinels));
    let error = ping_error(&backend).await;
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    let text = error.to_string();
    let unknown = format!("{}: it does not watch a master named \"my-master\"", addresses[0]);
    assert!(text.contains(&unknown), "{text}");
    assert!(text.contains(&format!("{nobody}: the connection failed")), "{text}");
    assert!(!format!("{text} {error:?} {backend:?}").contains("s3cret"), "{text}");
}

async fn a_master_that_is_down_or_out_of_reach_is_named(kind: &ServerKind) {
    let mut server = RedisServer::start(kind).unwrap();
    let (settings, sentinel) = patient_sentinel(kind);
    sentinel.monitor(&settings, &server.port().to_string()).unwrap();
    let backend = backend_behind(&sentinel);
    backend.ping().await.unwrap();
    server.kill();
    let named = format!("the master that the Sentinels name is at \"{}\"", server.address());
    let told = async {
        loop {
            // The first may still be the end of the connection that was there.
            let error = backend.ping().await.unwrap_err();
            if error.to_string().contains("could not connect") {
                return error;
            }
        }
    };
    let error = soon(LIMIT, told).await;
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    let text = error.to_string();
    assert!(text.contains(&named) && text.contains("replica-announce-ip"), "{text}");
    assert!(text.contains(&format!("main (Sentinels {})", sentinel.address())), "{text}");

    // A Sentinel that has noticed says so.
    let soon_down = ["SENTINEL", "SET", SentinelSet::MASTER, "down-after-milliseconds", "1"];
    sentinel.run(&soon_down).unwrap();
    let told = async {
        loop {
            let text = backend.ping().await.unwrap_err().to_string();
            if text.contains("the Sentinels consider it down") {
                return text;
            }
        }
    };
    let text = soon(LIMIT, told).await;
    assert!(text.contains(&named), "{text}");

    server.restart().unwrap();
    answers(&backend).await;
}

async fn a_master_that_is_a_replica_is_not_used(kind: &ServerKind) {
    let master = RedisServer::start(kind).unwrap();
    let replica = RedisServer::start(kind).unwrap();
    let (settings, sentinel) = patient_sentinel(kind);
    sentinel.monitor(&settings, &replica.port().to_string()).unwrap();
    run::<()>(&replica, &["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    let error = ping_error(&backend_behind(&sentinel)).await;
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    let text = error.to_string();
    assert!(text.contains("says that it is a replica; a failover may be under way"), "{text}");
    assert!(text.contains(&replica.address().to_string()), "{text}");
}

async fn sentinels_have_a_password_of_their_own(kind: &ServerKind) {
    let server = RedisServer::start_with(kind, &["--requirepass", "d4ta"]).unwrap();
    let settings = SentinelSettings::default().down_after(MINUTE).password("w4tch");
    let sentinel = SentinelServer::start(kind, &settings).unwrap();
    sentinel.monitor(&settings, &server.port().to_string()).unwrap();
    let url = |login: &str, query: &str| {
        format!("redis+sentinel://{login}{}/main{query}", sentinel.address())
    };
    let right = url(":d4ta@", "?sentinel_pass=w4tch");
    take(&build(RedisBackend::builder().url(right)), "x", MINUTE).await;

    for (url, is_sentinels) in [
        (url(":d4ta@", ""), true),
        (url(":d4ta@", "?sentinel_pass=wr0ng"), true),
        (url("", "?sentinel_pass=w4tch"), false),
        (url(":wr0ng@", "?sentinel_pass=w4tch"), false),
    ] {
        let backend = build(RedisBackend::builder().url(url));
        let error = ping_error(&backend).await;
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        let text = format!("{error} {error:?} {backend:?}");
        assert_eq!(text.contains("sentinel_password_file"), is_sentinels, "{text}");
        let secrets = ["d4ta", "w4tch", "wr0ng"];
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }

    // The files are read for each connection.
    let directory = tempfile::tempdir().unwrap();
    let [data, watch] = ["data", "watch"].map(|name| directory.path().join(name));
    std::fs::write(&data, "d4ta\n").unwrap();
    std::fs::write(&watch, "wr0ng\n").unwrap();
    let builder = RedisBackend::builder().url(url("", "")).password_file(&data);
    let backend = build(builder.sentinel_password_file(&watch));
    assert_eq!(ping_error(&backend).await.kind(), LockErrorKind::Denied);
    std::fs::write(&watch, "w4tch\n").unwrap();
    answers(&backend).await;
}

async fn a_user_of_the_sentinels_needs_three_commands(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let (settings, sentinel) = patient_sentinel(kind);
    sentinel.monitor(&settings, &server.port().to_string()).unwrap();
    let address = sentinel.address();
    let client = redis::Client::open(format!("redis://{address}")).unwrap();
    let mut admin = client.get_connection().unwrap();
    let with = |rules: &[&str]| {
        let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw", "resetchannels"];
        sentinel.run(&[&user, rules].concat()).unwrap();
        let sentinels = Sentinels::new([address.to_string()], SentinelSet::MASTER);
        let sentinels = sentinels.sentinel_username("app").sentinel_password("pw");
        build(RedisBackend::builder().sentinels(sentinels))
    };
    let all = ["+sentinel|get-master-addr-by-name", "+sentinel|master", "+subscribe"];
    let listens = with(&[&all[..], &["&+switch-master"]].concat());
    take(&listens, "x", MINUTE).await;
    until(|| {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut admin).unwrap();
        clients.lines().any(|client| client.contains("user=app") && client.contains(" sub=1"))
    })
    .await;
    take(&with(&all[..1]), "y", MINUTE).await;

    let error = ping_error(&with(&all[1..])).await;
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("+sentinel|get-master-addr-by-name"), "{error}");
}

async fn a_master_goes_by_the_name_of_its_host(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let settings = SentinelSettings::default().down_after(MINUTE).host("localhost");
    let sentinel = SentinelServer::start(kind, &settings).unwrap();
    sentinel.monitor(&settings, &server.port().to_string()).unwrap();
    let by_name = format!("redis+sentinel://localhost:{}/main/3", sentinel.address().port());
    let backend = build(RedisBackend::builder().url(by_name));
    take(&backend, "x", MINUTE).await;
    assert!(backend.address().starts_with("main/3 (Sentinels localhost:"));
    let mut admin = admin_of(&server);
    redis::cmd("SELECT").arg(3).exec(&mut admin).unwrap();
    assert!(redis::cmd("EXISTS").arg("lock:x").query::<bool>(&mut admin).unwrap());
}

async fn a_sentinel_and_a_server_are_told_apart(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let (_, sentinel) = patient_sentinel(kind);
    let url = format!("redis+sentinel://{}/main", server.address());
    let error = ping_error(&build(RedisBackend::builder().url(url))).await;
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("it is not a Sentinel"), "{error}");

    let url = format!("redis://{}", sentinel.address());
    let error = ping_error(&build(RedisBackend::builder().url(url))).await;
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("redis+sentinel://HOST:PORT/MASTER"), "{error}");
}

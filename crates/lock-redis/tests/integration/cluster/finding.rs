//! How the nodes of a cluster are found, and what is said when they are not.

use lock_core::LockErrorKind;
use lock_core::backend::LockBackend;
use lock_redis::ClusterNodes;
use testbed::ReservedPort;

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    a_cluster_is_found_by_one_of_its_nodes_also_if_others_are_given_that_are_gone,
    each_node_says_what_it_is_also_beside_one_that_is_dead,
    each_node_is_quoted_where_none_answers,
    an_announced_address_that_cannot_be_reached_is_named_with_the_setting,
    a_cluster_and_a_single_server_are_told_apart,
    a_slot_that_nobody_has_is_named,
    the_permissions_of_the_guide_suffice_on_a_cluster,
    a_password_is_used_at_every_node,
    on_redis_6_2_waiters_poll_and_that_is_said_once,
);

async fn a_cluster_is_found_by_one_of_its_nodes_also_if_others_are_given_that_are_gone(
    kind: &ServerKind,
) {
    let set = masters(kind, 3);
    let gone: Vec<ReservedPort> = (0..7).map(|_| ReservedPort::reserve().unwrap()).collect();
    let mut nodes: Vec<String> =
        gone.iter().map(|port| format!("127.0.0.1:{}", port.number())).collect();
    nodes.push(set.servers[1].address().to_string());
    let backend = RedisBackend::builder().cluster(ClusterNodes::new(&nodes));
    let backend = build(backend.response_timeout(LIMIT));
    for server in 0..3 {
        let name = name_at(&set, "n", server);
        soon(LIMIT, take(&backend, &name, LONG)).await;
        assert!(exists(&set.servers[server], &name));
    }
    // By one of its nodes alone.
    let one = build(RedisBackend::builder().cluster([set.servers[0].address().to_string()]));
    take(&one, &name_at(&set, "m", 0), LONG).await;
    soon(LIMIT, one.ping()).await.unwrap();
}

async fn each_node_says_what_it_is_also_beside_one_that_is_dead(kind: &ServerKind) {
    let mut set = masters(kind, 3);
    let backend = backend_of(&set);
    let mut addresses: Vec<_> =
        set.servers.iter().map(|server| server.address().to_string()).collect();
    addresses.sort_unstable();
    let told = backend.servers().await.unwrap();
    assert!(told.iter().map(|server| &server.address).eq(&addresses), "{told:?}");
    let role = Some("master without replicas, in a cluster");
    assert!(told.iter().all(|server| server.fact("role") == role), "{told:?}");
    let dead = set.servers[1].address().to_string();
    set.servers[1].kill();
    let told = soon(LIMIT, backend.servers()).await.unwrap();
    assert!(told.iter().map(|server| &server.address).eq(&addresses), "{told:?}");
    for server in told {
        assert_eq!(server.fact("error").is_some(), server.address == dead, "{server:?}");
        assert_eq!(server.fact("role").is_none(), server.address == dead, "{server:?}");
    }
}

async fn each_node_is_quoted_where_none_answers(kind: &ServerKind) {
    let server = RedisServer::start_with(kind, &["--requirepass", "right"]).unwrap();
    let gone = ReservedPort::reserve().unwrap();
    let gone = format!("127.0.0.1:{}", gone.number());
    let nodes = [gone.clone(), server.address().to_string()];
    let backend = RedisBackend::builder().cluster(ClusterNodes::new(nodes).password("wr0ng"));
    let backend = build(backend.response_timeout(RESPONSE_TIMEOUT));
    let error = soon(LIMIT, backend.ping()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.is_not_applied(), "{error}");
    let text = error.to_string();
    for part in [&*gone, &server.address().to_string(), "refused the user name or the password"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("wr0ng"), "{text}");

    let url = format!("redis+cluster://:wr0ng@{}", server.address());
    let error = build(RedisBackend::builder().url(url)).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
}

async fn an_announced_address_that_cannot_be_reached_is_named_with_the_setting(kind: &ServerKind) {
    // Of those addresses that are for documentation only.
    let announced = ["--cluster-announce-ip", "192.0.2.1"];
    let settings = ClusterSettings::default().masters(1).without_replicas();
    let set = ClusterSet::start_with(kind, &settings.server_args(&announced)).unwrap();
    let error = soon(LIMIT, attempt(&backend_of(&set), "x", token(), LONG)).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    let port = set.servers[0].port();
    for part in [&*format!("192.0.2.1:{port}"), "cluster-announce-ip"] {
        assert!(text.contains(part), "{text}");
    }
    let error = soon(LIMIT, backend_of(&set).ping()).await.unwrap_err();
    assert!(error.to_string().contains("cluster-announce-ip"), "{error}");
}

async fn a_cluster_and_a_single_server_are_told_apart(kind: &ServerKind) {
    let single = RedisServer::start(kind).unwrap();
    let url = format!("redis+cluster://{}", single.address());
    let error = build(RedisBackend::builder().url(url)).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
    let text = error.to_string();
    assert!(text.contains("not a node of a cluster; write redis://HOST:PORT"), "{text}");

    let set = masters(kind, 1);
    let error = build(RedisBackend::builder().url(set.servers[0].url())).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("write redis+cluster://HOST:PORT"), "{error}");
}

async fn a_slot_that_nobody_has_is_named(kind: &ServerKind) {
    let set = masters(kind, 1);
    let slot = slot_of(&set, "x");
    set.run(0, &["CONFIG", "SET", "cluster-require-full-coverage", "no"]).unwrap();
    set.run(0, &["CLUSTER", "DELSLOTS", &slot.to_string()]).unwrap();
    let backend = backend_of(&set);
    let error = soon(LIMIT, attempt(&backend, "x", token(), LONG)).await.unwrap_err();
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    assert!(error.to_string().contains(&format!("the slot {slot}")), "{error}");
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    // Other locks are in service, and so is this one when somebody has it.
    number_of(&backend, "y").await;
    set.run(0, &["CLUSTER", "ADDSLOTS", &slot.to_string()]).unwrap();
    number_of(&backend, "x").await;
}

async fn the_permissions_of_the_guide_suffice_on_a_cluster(kind: &ServerKind) {
    let set = masters(kind, 2);
    let is_old = kind.name().starts_with("redis-6");
    let of_cluster: &[&str] =
        if is_old { &["+cluster"] } else { &["+cluster|slots", "+cluster|nodes", "+asking"] };
    let channels: &[&str] = if is_old {
        &["+subscribe", "+publish", "+pubsub"]
    } else {
        &["+ssubscribe", "+spublish", "+pubsub|shardnumsub"]
    };
    let commands = "ACL SETUSER app on >pw resetchannels ~lock:* ~dl:* &dl:c:* +evalsha +eval +script|load +set +get \
                    +getex +del +exists +strlen +pttl +pexpire +time +ping +zadd +zrem +zrange +zrank \
                    +zscore +zcard +info +client|kill +incr +mget";
    let words: Vec<&str> = commands.split_whitespace().collect();
    let rules = [&words, channels, of_cluster].concat();
    for server in 0..2 {
        set.run(server, &rules).unwrap();
    }
    let url = set.url().replace("://", "://app:pw@");
    let backend = build(RedisBackend::builder().url(&url).register_process(false));
    for server in 0..2 {
        number_of(&backend, &name_at(&set, "n", server)).await;
    }
    let (what, rule) =
        if is_old { ("-cluster", "+cluster") } else { ("-cluster|slots", "+cluster|slots") };
    for server in 0..2 {
        set.run(server, &["ACL", "SETUSER", "app", what]).unwrap();
    }
    let error = build(RedisBackend::builder().url(&url)).ping().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
    assert!(error.to_string().contains(rule), "{error}");
}

async fn a_password_is_used_at_every_node(kind: &ServerKind) {
    let settings = ClusterSettings::default().masters(2).without_replicas().password("s3cret");
    let set = ClusterSet::start_with(kind, &settings.node_timeout(MINUTE)).unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let addresses: Vec<String> = set.servers.iter().map(|it| it.address().to_string()).collect();
    let by_file = RedisBackend::builder().cluster(addresses).password_file(&file);
    for backend in [backend_of(&set), build(by_file.register_process(false))] {
        for number in 0..8 {
            take(&backend, &format!("n{number} of {:p}", Arc::as_ptr(&backend)), LONG).await;
        }
        assert!(!format!("{backend:?} {}", backend.address()).contains("s3cret"));
    }
}

async fn on_redis_6_2_waiters_poll_and_that_is_said_once(kind: &ServerKind) {
    let set = masters(kind, 3);
    let is_old = kind.name().starts_with("redis-6");
    let log = Log::default();
    let uses = async {
        let backend = backend_of(&set);
        for server in 0..3 {
            take(&backend, &name_at(&set, "n", server), LONG).await;
        }
        assert_eq!(backend.capabilities().queueing, !is_old);
    };
    log.of(uses);
    let text = log.text();
    let told = usize::from(is_old);
    assert_eq!(text.matches("Redis 7.0 or later, or Valkey").count(), told, "{text}");
}

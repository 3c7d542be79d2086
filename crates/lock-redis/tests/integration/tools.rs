//! What people use who look after a server: lists, and releases by force.

use lock_core::backend::{ListRequest, LockBackend};
use lock_core::{LockErrorKind, LockService, ReleaseOutcome, Who};
use lock_redis::RedisBackend;
use testbed::ServerKind;

use crate::common::*;
use crate::on_every_server;

on_every_server!(
    a_server_says_what_it_is_and_how_it_is_set_up,
    a_list_finds_every_lock_among_many_keys_in_steps,
    a_list_names_locks_only_and_reads_little_of_what_others_have_stored,
    a_list_may_need_a_permission_more_which_it_names,
    what_another_program_has_stored_is_deleted_by_force_if_it_is_unchanged,
);

async fn a_server_says_what_it_is_and_how_it_is_set_up(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = LockService::new(store.backend());
    let all = locks.servers().await.unwrap();
    let [server] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(server.address, store.server.address().to_string());
    // `7.0` of `redis-7.0`.
    let (program, version) = kind.name().split_once('-').unwrap();
    let told = server.fact("version").unwrap().to_lowercase();
    assert!(told.starts_with(&format!("{program} {version}.")), "{told}");
    assert_eq!(server.fact("role"), Some("master without replicas"));
    assert_eq!(server.fact("eviction"), Some("never: maxmemory is not set"));
    assert!(server.fact("persistence").unwrap().starts_with("no append-only file"));
    assert_eq!(server.fact("clock"), Some("as that of this machine"));
    // What its user may not ask for is left out.
    store.run::<()>(&["ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-info"]);
    let url = store.server.url().replace("redis://", "redis://u:p@");
    let locks = LockService::new(build(RedisBackend::builder().url(url)));
    let all = locks.servers().await.unwrap();
    assert_eq!((all.len(), all[0].fact("version")), (1, None));
    assert!(all[0].fact("clock").is_some());
}

async fn a_list_finds_every_lock_among_many_keys_in_steps(kind: &ServerKind) {
    const OTHERS: usize = 20_000;
    const LOCKS: usize = 1_500;
    let mut store = Store::start(kind);
    let mut keys = redis::Pipeline::new();
    for number in 0..OTHERS {
        keys.cmd("SET").arg(format!("other:{number}")).arg("x").ignore();
    }
    for number in 0..LOCKS {
        let key = format!("lock:shop:{number}");
        keys.cmd("SET").arg(key).arg("theirs").arg("PX").arg(60_000).ignore();
    }
    keys.query::<()>(&mut store.admin).unwrap();
    let backend = store.backend();
    let locks = LockService::builder(backend.clone()).namespace("shop:").build();
    let _own = locks.lock("own").ttl(MINUTE).acquire().await.unwrap();
    let held = locks.list("").await.unwrap();
    assert_eq!(held.len(), LOCKS + 1);
    assert!(held.windows(2).all(|pair| pair[0].name < pair[1].name));
    let own = held.iter().find(|held| held.name.as_str() == "own").unwrap();
    assert!(own.status.holder.as_ref().unwrap().is_this_process && own.status.waiters == Some(0));
    assert_eq!(locks.list("149").await.unwrap().len(), 11);
    // Two lists, each in steps that are small for the server.
    let steps = store.calls_of("scan");
    assert!((2 * OTHERS as u64 / 1_000..400).contains(&steps), "{steps}");
    assert_eq!(store.calls_of("keys"), 0);
    let mut request = ListRequest::new("shop:");
    loop {
        let part = backend.list(request.clone()).await.unwrap();
        assert!(part.locks.len() < 1_000, "{}", part.locks.len());
        match part.next {
            Some(next) => request = request.after(next),
            None => return,
        }
    }
}

async fn a_list_names_locks_only_and_reads_little_of_what_others_have_stored(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let bare = build(RedisBackend::builder().url(store.server.url()).key_prefix(""));
    let locks = LockService::new(bare);
    let _own = locks.lock("own").ttl(MINUTE).acquire().await.unwrap();
    store.run::<()>(&["SET", "short", "theirs"]);
    store.run::<()>(&["SET", "long", &"x".repeat(100_000)]);
    store.run::<()>(&["RPUSH", "a list", "x"]);
    let held = locks.list("").await.unwrap();
    let names: Vec<&str> = held.iter().map(|held| held.name.as_str()).collect();
    assert_eq!(names, ["long", "own", "short"]);
    let holders: Vec<_> = held.iter().map(|held| held.status.holder.as_ref().unwrap()).collect();
    assert_eq!(holders[0].who, Who::Other(format!("{}…", "x".repeat(48))));
    assert_eq!(holders[2].who, Who::Other("theirs".to_owned()));
    // What is known in part only cannot be compared.
    assert!(holders[0].id.is_none() && holders[1].id.is_some() && holders[2].id.is_some());
    assert_eq!(Some(holders[2]), locks.status("short").await.unwrap().unwrap().holder.as_ref());
}

async fn a_list_may_need_a_permission_more_which_it_names(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let user = ["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-scan"];
    store.run::<()>(&user);
    let url = format!("redis://app:pw@{}", store.server.address());
    let locks = LockService::new(build(RedisBackend::builder().url(url)));
    let _own = locks.lock("own").ttl(MINUTE).acquire().await.unwrap();
    let error = locks.list("").await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("allow it with +scan"), "{error}");
    store.run::<()>(&["ACL", "SETUSER", "app", "+scan", "-getrange"]);
    let held = locks.list("").await.unwrap();
    assert_eq!((held.len(), &held[0].status.holder), (1, &None));
}

async fn what_another_program_has_stored_is_deleted_by_force_if_it_is_unchanged(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [locks, other] = [(); 2].map(|()| strict(store.backend()));
    for value in ["theirs", "", &"x".repeat(10_000)] {
        store.run::<()>(&["SET", "lock:x", value]);
        let shown = locks.status("x").await.unwrap().unwrap();
        store.run::<()>(&["SET", "lock:x", "another"]);
        let outcome = locks.force_release("x", &shown).await.unwrap();
        assert_eq!(outcome, ReleaseOutcome::HeldByOther);
        assert_eq!(store.run::<String>(&["GET", "lock:x"]), "another");
        store.run::<()>(&["SET", "lock:x", value]);
        let waiting = tokio::spawn(other.lock("x").ttl(MINUTE).wait(LIMIT).acquire());
        while locks.status("x").await.unwrap().unwrap().waiters != Some(1) {}
        let outcome = locks.force_release("x", &shown).await.unwrap();
        assert_eq!(outcome, ReleaseOutcome::Released);
        // Nobody waits for the end of a lease that there is none.
        let guard = waiting.await.unwrap().unwrap();
        assert_eq!(locks.force_release("x", &shown).await.unwrap(), ReleaseOutcome::HeldByOther);
        assert_eq!(guard.release().await, ReleaseOutcome::Released);
        let outcome = locks.force_release("x", &shown).await.unwrap();
        assert_eq!(outcome, ReleaseOutcome::AlreadyExpired);
    }
}

//! Locks in a cluster that replicas of their node have to confirm.

use lock_core::LockErrorKind;
use lock_core::backend::{AcquireReply, Clock, LockBackend, RenewReply, RenewRequest};
use testbed::RedisServer;
use tokio::task::JoinHandle;

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    a_lock_is_granted_when_a_replica_of_its_node_has_it,
    what_no_replica_of_the_node_confirms_is_given_back_and_concerns_no_other_node,
    a_lock_that_is_pushed_by_a_node_is_confirmed_before_it_is_believed,
    a_lock_whose_slot_is_moved_before_it_is_confirmed_is_confirmed_at_its_new_node,
    a_node_that_became_a_replica_confirms_nothing,
    an_extension_in_a_slot_on_its_way_is_confirmed_at_the_end_of_the_move,
    what_was_confirmed_outlives_a_node_that_is_killed,
    grants_at_one_node_share_a_question_also_when_one_of_their_slots_has_left_it,
);

/// A quarter of it is how long replicas are waited for that do not answer.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The same, for those that do.
const PATIENCE: Duration = Duration::from_secs(40);

/// Two masters with a replica each, which do not take each other to be down.
fn couples(kind: &ServerKind) -> ClusterSet {
    let settings = ClusterSettings::default().masters(2).node_timeout(MINUTE);
    ClusterSet::start_with(kind, &settings).unwrap()
}

fn confirmed(set: &ClusterSet, replicas: u8, response_timeout: Duration) -> Arc<RedisBackend> {
    let builder = RedisBackend::builder().url(set.url()).register_process(false);
    // A lock that is left free for others is asked for, and not pushed.
    let builder = builder.look_out_for_pollers(false).replicas(replicas);
    build(builder.response_timeout(response_timeout))
}

fn replica_of(set: &mut ClusterSet, master: usize) -> &mut RedisServer {
    let replica = set.partner(master);
    &mut set.servers[replica]
}

/// Asks for a lock for an hour, beside the test.
fn asked(backend: &Arc<RedisBackend>, name: &str) -> JoinHandle<lock_core::Result<AcquireReply>> {
    let (backend, name) = (Arc::clone(backend), name.to_owned());
    tokio::spawn(async move { attempt(&backend, &name, token(), LONG).await })
}

/// Asks until replicas confirm it, which may be busy, and gives it back.
async fn until_confirmed(backend: &Arc<RedisBackend>, name: &str) {
    let granted = async {
        loop {
            let owner = token();
            if attempt(backend, name, owner, LONG).await.is_ok_and(|reply| !is_held(&reply)) {
                return release(backend, name, owner).await.unwrap();
            }
        }
    };
    tokio::time::timeout(MINUTE, granted).await.unwrap();
}

/// Whoever waits for replicas at this server is shown as blocked.
fn is_waited_at(server: &RedisServer) -> bool {
    is_waited_by(&mut admin_of(server))
}

fn is_waited_by(admin: &mut redis::Connection) -> bool {
    let clients: String = redis::cmd("CLIENT").arg("LIST").query(admin).unwrap();
    clients.lines().any(|client| client.contains("cmd=wait") && client.contains(" flags=b"))
}

/// Moves the slot of this lock from the first master to the second, of which the first only hears: on
/// Valkey, its replica would have to agree to more.
async fn take_over(set: &ClusterSet, name: &str) {
    let slot = slot_of(set, name);
    let number = slot.to_string();
    let at_new = |words: &[&str]| set.run(1, &[&["CLUSTER"], words].concat()).unwrap();
    at_new(&["SETSLOT", &number, "IMPORTING", set.name(0)]);
    while set.move_keys(slot, 0, 1).unwrap() > 0 {}
    at_new(&["BUMPEPOCH"]);
    at_new(&["SETSLOT", &number, "NODE", set.name(1)]);
    let get = || {
        let mut get = redis::cmd("GET");
        get.arg(format!("lock:{name}")).query::<Option<String>>(&mut admin_of(&set.servers[0]))
    };
    until(|| get().is_err()).await;
}

/// What is written now never reaches the replica, which stands still.
fn cut_off(admin: &mut redis::Connection) {
    // It is not to come back for the rest either; whoever is connected already stays so.
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "s3cret"]).exec(admin).unwrap();
    let links: u64 = redis::cmd("CLIENT").arg(&["KILL", "TYPE", "replica"]).query(admin).unwrap();
    assert_eq!(links, 1);
}

async fn a_lock_is_granted_when_a_replica_of_its_node_has_it(kind: &ServerKind) {
    let set = couples(kind);
    let backend = confirmed(&set, 1, PATIENCE);
    for round in 0..10 {
        for master in 0..2 {
            let name = name_at(&set, "n", master);
            // The first by the script, the others by plain commands.
            let (owner, _) = take(&backend, &name, LONG).await;
            let replica = set.partner(master);
            assert!(exists(&set.servers[replica], &name), "{round}: {name}");
            release(&backend, &name, owner).await.unwrap();
        }
    }
}

async fn what_no_replica_of_the_node_confirms_is_given_back_and_concerns_no_other_node(
    kind: &ServerKind,
) {
    let mut set = couples(kind);
    let (backend, patient) = (confirmed(&set, 1, TIMEOUT), confirmed(&set, 1, PATIENCE));
    let names: Vec<String> = (0..2).map(|master| name_at(&set, "n", master)).collect();
    for name in &names {
        until_confirmed(&backend, name).await;
        until_confirmed(&patient, name).await;
    }
    replica_of(&mut set, 0).freeze().unwrap();
    for _ in 0..2 {
        let refused = asked(&backend, &names[0]);
        until(|| exists(&set.servers[0], &names[0])).await;
        // The other node is asked over connections of its own.
        let (owner, _) = take(&patient, &names[1], LONG).await;
        assert!(exists(&set.servers[set.partner(1)], &names[1]));
        release(&patient, &names[1], owner).await.unwrap();
        let error = refused.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable() && error.is_not_applied(), "{error}");
        assert!(error.to_string().contains("0 of 1 did in time"), "{error}");
        assert!(!exists(&set.servers[0], &names[0]));
    }
    replica_of(&mut set, 0).thaw().unwrap();
    until_confirmed(&backend, &names[0]).await;
}

async fn a_lock_that_is_pushed_by_a_node_is_confirmed_before_it_is_believed(kind: &ServerKind) {
    let mut set = couples(kind);
    let name = name_at(&set, "n", 0);
    let holder = confirmed(&set, 0, TIMEOUT);
    let (owner, _) = take(&holder, &name, LONG).await;
    let locks = strict(confirmed(&set, 1, TIMEOUT));
    let waiting = tokio::spawn(locks.lock(&name).ttl(LONG).wait(LONG).acquire());
    // On 6.2 it does not queue, and is granted the lock when it asks.
    if !kind.name().starts_with("redis-6") {
        until(|| !run::<Vec<String>>(&set.servers[0], &["KEYS", "dl:q:*"]).is_empty()).await;
    }
    replica_of(&mut set, 0).freeze().unwrap();
    release(&holder, &name, owner).await.unwrap();
    // It is granted, not confirmed, and given back.
    until(|| is_waited_at(&set.servers[0])).await;
    until(|| !exists(&set.servers[0], &name)).await;
    assert!(!waiting.is_finished());
    replica_of(&mut set, 0).thaw().unwrap();
    let guard = soon(LIMIT, waiting).await.unwrap().unwrap();
    assert!(exists(&set.servers[set.partner(0)], &name));
    // With all of its lease, and not with the short one of a push.
    assert!(run::<u64>(&set.servers[0], &["PTTL", &format!("lock:{name}")]) > 3_500_000);
    assert!(guard.release().await.is_released());
}

/// The replica of the old node confirms what that node has no more.
async fn a_lock_whose_slot_is_moved_before_it_is_confirmed_is_confirmed_at_its_new_node(
    kind: &ServerKind,
) {
    for is_confirmed_there in [true, false] {
        let mut set = couples(kind);
        let backend = confirmed(&set, 1, PATIENCE / 2);
        let names: Vec<String> = (0..2).map(|master| name_at(&set, "n", master)).collect();
        for name in &names {
            until_confirmed(&backend, name).await;
        }
        replica_of(&mut set, 0).freeze().unwrap();
        let granted = asked(&backend, &names[0]);
        until(|| is_waited_at(&set.servers[0])).await;
        take_over(&set, &names[0]).await;
        if !is_confirmed_there {
            replica_of(&mut set, 1).freeze().unwrap();
        }
        assert!(is_waited_at(&set.servers[0]), "the move took too long");
        replica_of(&mut set, 0).thaw().unwrap();
        let granted = soon(MINUTE, granted).await.unwrap();
        if is_confirmed_there {
            assert!(!is_held(&granted.unwrap()));
            assert!(
                exists(replica_of(&mut set, 1), &names[0]) && exists(&set.servers[1], &names[0])
            );
        } else {
            let error = granted.unwrap_err();
            assert!(error.is_retryable() && error.is_not_applied(), "{error}");
            assert!(error.to_string().contains("0 of 1 did in time"), "{error}");
            assert!(!exists(&set.servers[1], &names[0]));
        }
    }
}

async fn a_node_that_became_a_replica_confirms_nothing(kind: &ServerKind) {
    let mut set = couples(kind);
    let name = name_at(&set, "n", 0);
    let slot = slot_of(&set, &name);
    let backend = confirmed(&set, 1, PATIENCE);
    until_confirmed(&backend, &name).await;
    let new = set.partner(0);
    // This connection outlives the password.
    let mut old = admin_of(&set.servers[0]);
    set.servers[new].freeze().unwrap();
    cut_off(&mut old);
    let granted = asked(&backend, &name);
    until(|| is_waited_by(&mut old)).await;
    set.servers[new].thaw().unwrap();
    set.run(new, &["CLUSTER", "FAILOVER", "TAKEOVER"]).unwrap();
    until(|| set.owner(slot).is_ok_and(|owner| owner == new)).await;
    // It was granted by one that is no master any more, and its successor knows nothing of it.
    let error = soon(LIMIT, granted).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    assert!(error.to_string().contains("granted and given back"), "{error}");
    let refused = redis::cmd("WAIT").arg(1).arg(1).query::<u64>(&mut old).unwrap_err();
    assert!(refused.to_string().contains("WAIT cannot be used with replica"), "{refused}");
    // The old one confirms what the new one grants.
    until_confirmed(&backend, &name).await;
}

async fn an_extension_in_a_slot_on_its_way_is_confirmed_at_the_end_of_the_move(kind: &ServerKind) {
    let set = couples(kind);
    let name = name_at(&set, "n", 0);
    let slot = slot_of(&set, &name);
    let (hasty, patient) = (confirmed(&set, 1, TIMEOUT), confirmed(&set, 1, PATIENCE));
    let (owner, _) = take(&confirmed(&set, 0, TIMEOUT), &name, MINUTE).await;
    let extended = |backend: &Arc<RedisBackend>| {
        let request = RenewRequest::new(key(&name), owner, LONG, Clock::SYSTEM);
        let (backend, batch) = (Arc::clone(backend), vec![request.with_within(LIMIT).with_exact()]);
        tokio::spawn(async move { backend.renew(batch).await.unwrap().pop().unwrap() })
    };
    set.begin_to_move(slot, 0, 1).unwrap();
    // Neither node takes what is to be written before the question.
    match extended(&hasty).await.unwrap() {
        RenewReply::Failed(error) => {
            assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
            assert!(error.is_retryable() && !error.is_not_applied(), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let extending = extended(&patient);
    while set.move_keys(slot, 0, 1).unwrap() > 0 {}
    assert!(!extending.is_finished());
    set.give_slot(slot, 1).unwrap();
    let reply = soon(LIMIT, extending).await.unwrap();
    assert!(matches!(reply, RenewReply::Renewed), "{reply:?}");
    assert!(exists(&set.servers[set.partner(1)], &name));
}

/// F23: both with what replicas have confirmed, and without.
async fn what_was_confirmed_outlives_a_node_that_is_killed(kind: &ServerKind) {
    for replicas in [0, 1] {
        let mut set = couples(kind);
        let (name, kept) = (name_at(&set, "n", 0), name_at(&set, "kept", 0));
        let backend = confirmed(&set, replicas, TIMEOUT);
        take(&confirmed(&set, 1, PATIENCE), &kept, LONG).await;
        let new = set.partner(0);
        set.servers[new].freeze().unwrap();
        let links: u64 = run(&set.servers[0], &["CLIENT", "KILL", "TYPE", "replica"]);
        assert_eq!(links, 1);
        let granted = attempt(&backend, &name, token(), LONG).await;
        assert_eq!(granted.is_ok(), replicas == 0, "{granted:?}");
        set.servers[0].kill();
        set.servers[new].thaw().unwrap();
        set.run(new, &["CLUSTER", "FAILOVER", "TAKEOVER"]).unwrap();
        let asking = confirmed(&set, 0, TIMEOUT);
        let answered = async |name: &str| {
            loop {
                if let Ok(answer) = attempt(&asking, name, token(), LONG).await {
                    return answer;
                }
            }
        };
        // Without them, two hold it now.
        assert!(!is_held(&tokio::time::timeout(MINUTE, answered(&name)).await.unwrap()));
        assert!(is_held(&tokio::time::timeout(MINUTE, answered(&kept)).await.unwrap()));
    }
}

async fn grants_at_one_node_share_a_question_also_when_one_of_their_slots_has_left_it(
    kind: &ServerKind,
) {
    const GRANTS: usize = 32;
    let mut set = couples(kind);
    let backend = confirmed(&set, 1, PATIENCE);
    let names = (0..).map(|number| format!("n{number}"));
    let of_first = names.filter(|name| set.owner(slot_of(&set, name)).unwrap() == 0);
    let names: Vec<String> = of_first.take(GRANTS).collect();
    until_confirmed(&backend, &names[0]).await;
    until_confirmed(&backend, &name_at(&set, "there", 1)).await;
    let before = calls_of(&set.servers[0], "wait");
    replica_of(&mut set, 0).freeze().unwrap();
    // The first is asked about alone, and the others together behind it.
    let mut grants = vec![asked(&backend, &names[0])];
    until(|| is_waited_at(&set.servers[0])).await;
    grants.extend(names[1..].iter().map(|name| asked(&backend, name)));
    until(|| names.iter().all(|name| exists(&set.servers[0], name))).await;
    take_over(&set, &names[1]).await;
    replica_of(&mut set, 0).thaw().unwrap();
    for grant in grants {
        assert!(!is_held(&soon(LIMIT, grant).await.unwrap().unwrap()));
    }
    let waits = calls_of(&set.servers[0], "wait") - before;
    println!("{kind}: {waits} times WAIT for {GRANTS} grants");
    assert!(waits < GRANTS as u64 / 2, "{waits}");
    for name in &names {
        let has = |place: usize| exists(&set.servers[place], name);
        assert!(has(set.partner(0)) || has(set.partner(1)), "{name}");
    }
}

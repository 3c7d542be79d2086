//! Locks that replicas have to confirm.

mod gone;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lock_core::LockErrorKind;
use lock_core::backend::{Clock, LockBackend, RenewReply, RenewRequest};
use lock_redis::{RedisBackend, RedisBackendBuilder};
use testbed::{RedisServer, ServerKind};

use crate::common::*;
use crate::on_every_server;
use crate::queue::HOUR;

on_every_server!(
    a_lock_is_granted_when_a_replica_has_it,
    what_no_replica_confirms_is_given_back_and_holds_nothing_else_up,
    a_lock_that_is_pushed_is_confirmed_before_it_is_believed,
    an_extension_is_confirmed_and_a_renewal_is_not,
    grants_at_the_same_time_share_a_question,
    whoever_may_not_wait_for_replicas_is_told_so,
);

/// A quarter of it is how long replicas are waited for that do not answer.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The same, for those that do.
const PATIENCE: Duration = Duration::from_secs(40);

/// A master and a replica.
struct Couple {
    master: Store,
    replica: RedisServer,
}

impl Couple {
    fn start(kind: &ServerKind) -> Self {
        Self::start_behind(kind, |port| port)
    }

    /// The replica reaches the master at the port that this gives for the master's own.
    fn start_behind(kind: &ServerKind, behind: impl FnOnce(u16) -> u16) -> Self {
        let usual = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];
        let mut master = Store::start_with(kind, &usual);
        let port = behind(master.server.port()).to_string();
        let replica = RedisServer::start_with(kind, &["--replicaof", "127.0.0.1", &port]).unwrap();
        master.run::<()>(&["SET", "written", "1"]);
        while master.run::<u64>(&["WAIT", "1", "100"]) == 0 {}
        master.run::<()>(&["DEL", "written"]);
        Self { master, replica }
    }

    fn builder(&self) -> RedisBackendBuilder {
        let url = self.master.server.url();
        let builder = RedisBackend::builder().url(url).register_process(false);
        // A lock that is left free for others is asked for, and not pushed.
        builder.look_out_for_pollers(false).response_timeout(TIMEOUT)
    }

    /// A backend that is patient, for replicas that answer.
    fn patient(&self) -> Arc<RedisBackend> {
        build(self.builder().replicas(1).response_timeout(PATIENCE))
    }

    fn backend(&self, replicas: u8) -> Arc<RedisBackend> {
        build(self.builder().replicas(replicas))
    }

    fn on_replica(&self, name: &str) -> Option<String> {
        let mut admin = admin_of(&self.replica);
        redis::cmd("GET").arg(format!("lock:{name}")).query(&mut admin).unwrap()
    }

    /// Whether the master has this lock.
    fn has(&mut self, name: &str) -> bool {
        self.master.run(&["EXISTS", &format!("lock:{name}")])
    }
}

async fn a_lock_is_granted_when_a_replica_has_it(kind: &ServerKind) {
    let couple = Couple::start(kind);
    let backend = couple.patient();
    // The first by the script, the others by plain commands.
    for place in 0..20 {
        let (owner, _) = take(&backend, "x", MINUTE).await;
        assert_eq!(couple.on_replica("x"), Some(owned_by(owner)), "{place}");
        release(&backend, "x", owner).await.unwrap();
    }
}

async fn what_no_replica_confirms_is_given_back_and_holds_nothing_else_up(kind: &ServerKind) {
    let mut couple = Couple::start(kind);
    let backend = couple.backend(1);
    let (kept, _) = take(&couple.backend(0), "kept", MINUTE).await;
    until_granted(&backend).await;
    couple.master.run::<()>(&["DEL", "lock:x"]);
    couple.replica.freeze().unwrap();
    for name in ["x", "x", "y"] {
        let refused = {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { attempt(&backend, name, token(), MINUTE).await })
        };
        // Meanwhile, whatever else is asked for is answered.
        until(|| couple.has(name)).await;
        let begin = Instant::now();
        while !refused.is_finished() {
            renew(&backend, "kept", kept, MINUTE).await.unwrap();
            assert!(is_held(&attempt(&couple.backend(0), "kept", token(), MINUTE).await.unwrap()));
        }
        assert!(begin.elapsed() < TIMEOUT, "{:?}", begin.elapsed());
        let error = refused.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable() && error.is_not_applied(), "{error}");
        let text = error.to_string();
        assert!(text.contains("0 of 1 did in time") && text.contains("replicas)"), "{text}");
        assert!(!couple.has(name));
    }
    couple.replica.thaw().unwrap();
    let (owner, _) = take(&couple.patient(), "x", MINUTE).await;
    assert_eq!(couple.on_replica("x"), Some(owned_by(owner)));
    release(&backend, "x", owner).await.unwrap();
    // The backend that was refused needs no new connection.
    until_granted(&backend).await;
}

/// Asks until replicas confirm it, which may be busy.
async fn until_granted(backend: &Arc<RedisBackend>) {
    let granted = async { while attempt(backend, "x", token(), MINUTE).await.is_err() {} };
    tokio::time::timeout(MINUTE, granted).await.unwrap();
}

/// R23.
async fn a_lock_that_is_pushed_is_confirmed_before_it_is_believed(kind: &ServerKind) {
    let mut couple = Couple::start(kind);
    let holder = couple.backend(0);
    let (owner, _) = take(&holder, "x", HOUR).await;
    let locks = strict(couple.backend(1));
    let waiting = tokio::spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
    // The lock, and the queue.
    until(|| couple.master.keys().len() == 2).await;
    couple.replica.freeze().unwrap();
    release(&holder, "x", owner).await.unwrap();
    // It is granted, not confirmed, and given back.
    let mine = owned_by(owner);
    until(|| owner_at(&mut couple.master).is_some_and(|there| there != mine)).await;
    until(|| !couple.has("x")).await;
    assert!(!waiting.is_finished());
    couple.replica.thaw().unwrap();
    let guard = soon(LIMIT, waiting).await.unwrap().unwrap();
    let granted: Option<String> = couple.master.run(&["GET", "lock:x"]);
    assert_eq!(couple.on_replica("x"), granted);
    // With all of its lease, and not with the short one of a push.
    assert!(couple.master.run::<u64>(&["PTTL", "lock:x"]) > 3_500_000);
    assert!(guard.release().await.is_released());
}

async fn an_extension_is_confirmed_and_a_renewal_is_not(kind: &ServerKind) {
    let mut couple = Couple::start(kind);
    let backend = couple.backend(1);
    let (owner, _) = take(&couple.backend(0), "x", MINUTE).await;
    let extension = || {
        let request = RenewRequest::new(key("x"), owner, HOUR, Clock::SYSTEM);
        vec![request.with_within(LIMIT).with_exact()]
    };
    couple.replica.freeze().unwrap();
    assert!(matches!(renew(&backend, "x", owner, MINUTE).await.unwrap(), RenewReply::Renewed));
    match Arc::clone(&backend).renew(extension()).await.unwrap().pop().unwrap() {
        RenewReply::Failed(error) => {
            assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
            assert!(error.is_retryable() && !error.is_not_applied(), "{error}");
        }
        other => panic!("{other:?}"),
    }
    couple.replica.thaw().unwrap();
    let extended = couple.patient().renew(extension()).await.unwrap().pop().unwrap();
    assert!(matches!(extended, RenewReply::Renewed), "{extended:?}");
    let mut admin = admin_of(&couple.replica);
    let left: u64 = redis::cmd("PTTL").arg("lock:x").query(&mut admin).unwrap();
    assert!(left > 3_500_000, "{left}");
}

async fn grants_at_the_same_time_share_a_question(kind: &ServerKind) {
    const GRANTS: u16 = 64;
    let mut couple = Couple::start(kind);
    let backend = couple.patient();
    take(&backend, "first", MINUTE).await;
    let before = couple.master.calls_of("wait");
    couple.replica.freeze().unwrap();
    let grants: Vec<_> = (0..GRANTS)
        .map(|place| {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { take(&backend, &format!("x{place}"), MINUTE).await })
        })
        .collect();
    until(|| couple.master.keys().len() > usize::from(GRANTS)).await;
    couple.replica.thaw().unwrap();
    for grant in grants {
        grant.await.unwrap();
    }
    let waits = couple.master.calls_of("wait") - before;
    println!("{kind}: {waits} times WAIT for {GRANTS} grants");
    assert!(waits < u64::from(GRANTS) / 2, "{waits}");
}

async fn whoever_may_not_wait_for_replicas_is_told_so(kind: &ServerKind) {
    let mut couple = Couple::start(kind);
    couple.master.run::<()>(&["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-wait"]);
    let url = format!("redis://app:pw@{}", couple.master.server.address());
    let backend = build(RedisBackend::builder().url(url).replicas(1));
    for error in [
        Arc::clone(&backend).ping().await.unwrap_err(),
        attempt(&backend, "x", token(), MINUTE).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("+wait"), "{error}");
    }
    assert!(!couple.has("x"));
}

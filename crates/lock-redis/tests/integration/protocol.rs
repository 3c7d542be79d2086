//! What the scripts promise, on every supported server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use lock_core::LockErrorKind;
use lock_core::backend::RenewRequest;
use lock_core::backend::{
    AcquireReply, Clock, LockBackend, ReleaseReply, ReleaseRequest, RenewReply,
};
use lock_redis::RedisBackend;
use lock_testkit::proxy::{Direction, Fault, Scope};
use testbed::ServerKind;

crate::on_every_server! {
    a_lock_is_taken_by_one_and_given_back,
    a_foreign_set_nx_excludes_us_and_is_excluded,
    a_late_acquire_is_refused,
    a_release_sent_behind_its_acquire_undoes_it,
    a_repeated_acquire_never_shortens_the_lease,
    a_renewal_never_shortens_the_lease,
    an_exact_renewal_sets_the_lease_unless_it_is_late,
    a_renewal_neither_takes_nor_revives,
    many_renewals_are_answered_in_order,
    fencing_tokens_survive_a_flush_and_do_not_outrun_the_clock,
    fencing_tokens_rise_when_the_counter_is_ahead_of_the_clock,
    a_counter_that_is_no_number_costs_no_grant,
    locks_leave_one_counter_a_slot_behind,
    a_release_with_rest_keeps_others_out_and_is_not_undone,
    a_second_release_tells_what_it_found,
    a_holder_without_expiry_gives_no_time_to_wait,
    a_key_of_another_type_is_named_and_left_alone,
    names_are_kept_byte_for_byte,
}

/// Short, because it is waited for; long enough for a busy machine to answer in.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

async fn a_lock_is_taken_by_one_and_given_back(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, first) = take(&backend, "x", MINUTE).await;
    let other = attempt(&backend, "x", token(), MINUTE).await.unwrap();
    let AcquireReply::Held { retry_after: Some(left) } = other else { panic!("{other:?}") };
    assert!(left <= MINUTE && left > MINUTE / 2);

    let status = Arc::clone(&backend).status(key("x")).await.unwrap().unwrap();
    assert!(status.remaining.unwrap() > MINUTE / 2);
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), owned_by(owner));

    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    assert_eq!(Arc::clone(&backend).status(key("x")).await.unwrap(), None);
    let (_, second) = take(&backend, "x", MINUTE).await;
    assert!(second > first);
}

async fn a_foreign_set_nx_excludes_us_and_is_excluded(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (ours, _) = take(&backend, "x", MINUTE).await;
    let set = ["SET", "lock:x", "theirs", "NX", "PX", "60000"];
    assert_eq!(store.run::<Option<String>>(&set), None);

    release(&backend, "x", ours).await.unwrap();
    assert_eq!(store.run::<Option<String>>(&set).as_deref(), Some("OK"));
    assert!(is_held(&attempt(&backend, "x", ours, MINUTE).await.unwrap()));
    assert_eq!(release(&backend, "x", ours).await.unwrap(), ReleaseReply::HeldByOther);
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), "theirs");
}

/// R2.
async fn a_late_acquire_is_refused(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend_behind_proxy(RESPONSE_TIMEOUT);
    Arc::clone(&backend).ping().await.unwrap();
    store.proxy.set(Direction::ToServer, Scope::Existing, Fault::Hold);
    let error = attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
    assert!(!error.is_not_applied(), "{error}");

    // It arrives after the response timeout; the proxy passes it on although its sender left.
    let before = store.calls_of("evalsha");
    store.proxy.heal();
    until(|| store.calls_of("evalsha") > before).await;
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// R3.
async fn a_release_sent_behind_its_acquire_undoes_it(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    Arc::clone(&backend).ping().await.unwrap();
    for _ in 0..100 {
        let token = token();
        let acquiring = attempt(&backend, "x", token, MINUTE);
        let releasing = release(&backend, "x", token);
        let (acquired, released) = tokio::join!(biased; acquiring, releasing);
        fencing(acquired.unwrap());
        assert_eq!(released.unwrap(), ReleaseReply::Released);
    }
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// R4.
async fn a_repeated_acquire_never_shortens_the_lease(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, first) = take(&backend, "x", MINUTE).await;
    let second = fencing(attempt(&backend, "x", owner, Duration::from_secs(1)).await.unwrap());
    assert!(second > first);
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 30_000);
    let third = fencing(attempt(&backend, "x", owner, MINUTE * 10).await.unwrap());
    assert!(third > second);
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 300_000);
}

/// R6.
async fn a_renewal_never_shortens_the_lease(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", MINUTE).await;
    let short = renew(&backend, "x", owner, Duration::from_secs(1)).await.unwrap();
    assert!(matches!(short, RenewReply::Renewed));
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 30_000);
    renew(&backend, "x", owner, MINUTE * 10).await.unwrap();
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 300_000);
}

async fn an_exact_renewal_sets_the_lease_unless_it_is_late(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend_behind_proxy(RESPONSE_TIMEOUT);
    let (owner, _) = take(&backend, "x", MINUTE * 10).await;
    let set = |ttl| {
        let request = RenewRequest::new(key("x"), owner, ttl, Clock::SYSTEM).with_exact();
        backend.renew(vec![request])
    };
    assert!(matches!(set(MINUTE).await.unwrap()[..], [RenewReply::Renewed]));
    let left: i64 = store.run(&["PTTL", "lock:x"]);
    assert!((30_000..=60_000).contains(&left), "{left}");

    // What arrives after the response timeout must not shorten what was set since.
    store.proxy.set(Direction::ToServer, Scope::Existing, Fault::Hold);
    assert!(matches!(set(MINUTE / 60).await.unwrap()[..], [RenewReply::Failed(_)]));
    let before = store.calls_of("evalsha");
    store.proxy.heal();
    until(|| store.calls_of("evalsha") > before).await;
    let left: i64 = store.run(&["PTTL", "lock:x"]);
    assert!(left > 10_000, "{left}");
    assert!(matches!(set(MINUTE * 10).await.unwrap()[..], [RenewReply::Renewed]));
    let left: i64 = store.run(&["PTTL", "lock:x"]);
    assert!(left > 300_000, "{left}");
}

async fn a_renewal_neither_takes_nor_revives(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let nobody = renew(&backend, "x", token(), MINUTE).await.unwrap();
    assert!(matches!(nobody, RenewReply::NotHeld));
    assert_eq!(store.keys(), Vec::<String>::new());
    take(&backend, "x", MINUTE).await;
    let before: i64 = store.run(&["PTTL", "lock:x"]);
    let other = renew(&backend, "x", token(), MINUTE * 10).await.unwrap();
    assert!(matches!(other, RenewReply::HeldByOther));
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) <= before);
}

async fn many_renewals_are_answered_in_order(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "1234", MINUTE).await;
    let (_, _) = take(&backend, "777", MINUTE).await;
    let request =
        |name: usize| RenewRequest::new(key(&name.to_string()), owner, MINUTE, Clock::SYSTEM);
    let replies = Arc::clone(&backend).renew((0..1_301).map(request).collect()).await.unwrap();
    assert_eq!(replies.len(), 1_301);
    for (name, reply) in replies.iter().enumerate() {
        match name {
            1_234 => assert!(matches!(reply, RenewReply::Renewed)),
            777 => assert!(matches!(reply, RenewReply::HeldByOther)),
            _ => assert!(matches!(reply, RenewReply::NotHeld)),
        }
    }
    assert!(backend.renew(Vec::new()).await.unwrap().is_empty());
}

/// R7.
async fn fencing_tokens_survive_a_flush_and_do_not_outrun_the_clock(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let mut last = 0;
    for round in 0..200 {
        let (owner, fencing) = take(&backend, "x", MINUTE).await;
        assert!(fencing.get() > last, "round {round}");
        last = fencing.get();
        let (seconds, micros): (u64, u64) = store.run(&["TIME"]);
        assert!(last >> 10 <= seconds * 1_000_000 + micros, "round {round}");
        if round % 50 == 0 {
            store.run::<()>(&["FLUSHALL"]);
        } else {
            release(&backend, "x", owner).await.unwrap();
        }
    }
}

/// R36 as well: the counter stays a string of digits.
async fn fencing_tokens_rise_when_the_counter_is_ahead_of_the_clock(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, first) = take(&backend, "x", MINUTE).await;
    let counters: Vec<String> = store.run(&["KEYS", "dl:f:*"]);
    // An hour ahead, as after the server's clock was set back.
    let ahead = (first.get() >> 10) + 3_600_000_000;
    store.run::<()>(&["SET", &counters[0], &ahead.to_string()]);
    let repeated = fencing(attempt(&backend, "x", owner, MINUTE).await.unwrap());
    assert!((ahead + 1..ahead + 3).contains(&(repeated.get() >> 10)), "{repeated}");
    release(&backend, "x", owner).await.unwrap();
    let (_, fresh) = take(&backend, "x", MINUTE).await;
    assert_eq!(fresh.get() >> 10, (repeated.get() >> 10) + 1);
    assert_eq!(store.run::<String>(&["GET", &counters[0]]), (fresh.get() >> 10).to_string());
}

/// R17.
async fn a_counter_that_is_no_number_costs_no_grant(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, first) = take(&backend, "x", MINUTE).await;
    let counters: Vec<String> = store.run(&["KEYS", "dl:f:*"]);
    release(&backend, "x", owner).await.unwrap();
    store.run::<()>(&["SET", &counters[0], "junk"]);
    let (owner, second) = take(&backend, "x", MINUTE).await;
    assert!(second > first);
    release(&backend, "x", owner).await.unwrap();

    store.run::<()>(&["DEL", &counters[0]]);
    store.run::<()>(&["LPUSH", &counters[0], "1"]);
    let owner = token();
    let error = attempt(&backend, "x", owner, MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Backend);
    // As the core does, unless the error says that nothing happened.
    assert!(!error.is_not_applied());
    release(&backend, "x", owner).await.unwrap();
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// R14.
async fn locks_leave_one_counter_a_slot_behind(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    for name in 0..200 {
        // Two slots, by their hash tags.
        let name = format!("{{{}}}:{name}", name % 2);
        let (owner, _) = take(&backend, &name, MINUTE).await;
        release(&backend, &name, owner).await.unwrap();
    }
    let mut left: HashSet<String> = store.run(&["KEYS", "*"]);
    // What this process says of itself ends by itself.
    left.retain(|key| !key.starts_with("dl:p:"));
    assert_eq!(left.len(), 2, "{left:?}");
    for counter in left {
        assert!(counter.starts_with("dl:f:{"), "{counter}");
        assert_eq!(store.run::<i64>(&["PTTL", &counter]), -1);
    }
}

/// R24.
async fn a_release_with_rest_keeps_others_out_and_is_not_undone(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", MINUTE).await;
    let release_for = |rest| {
        let request = ReleaseRequest::new(key("x"), owner, Clock::SYSTEM).with_min_hold(rest);
        release_with(&backend, request)
    };
    assert_eq!(release_for(MINUTE / 2).await.unwrap(), ReleaseReply::Released);
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) <= 30_000);
    assert!(is_held(&attempt(&backend, "x", token(), MINUTE).await.unwrap()));
    // Neither a repetition nor a late renewal changes how long it stands.
    assert_eq!(release_for(MINUTE * 5).await.unwrap(), ReleaseReply::Released);
    let late = renew(&backend, "x", owner, MINUTE * 5).await.unwrap();
    assert!(matches!(late, RenewReply::HeldByOther));
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) <= 30_000);
    assert_eq!(release(&backend, "x", token()).await.unwrap(), ReleaseReply::HeldByOther);
    assert_eq!(release_for(Duration::ZERO).await.unwrap(), ReleaseReply::Released);
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// R8: what the core needs to tell `Released` from `Unknown`.
async fn a_second_release_tells_what_it_found(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", MINUTE).await;
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::NotHeld);
    take(&backend, "x", MINUTE).await;
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::HeldByOther);
    assert!(is_held(&attempt(&backend, "x", token(), MINUTE).await.unwrap()));
}

/// R35.
async fn a_holder_without_expiry_gives_no_time_to_wait(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    store.run::<()>(&["SET", "lock:x", "theirs"]);
    let held = attempt(&backend, "x", token(), MINUTE).await.unwrap();
    assert!(matches!(held, AcquireReply::Held { retry_after: None }), "{held:?}");
    let status = Arc::clone(&backend).status(key("x")).await.unwrap().unwrap();
    assert_eq!(status.remaining, None);
}

/// R35.
async fn a_key_of_another_type_is_named_and_left_alone(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    store.run::<()>(&["LPUSH", "lock:x", "1"]);
    let error = attempt(&backend, "x", token(), MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Backend);
    assert!(error.is_not_applied() && error.to_string().contains("\"lock:x\""), "{error}");
    let error = Arc::clone(&backend).status(key("x")).await.unwrap_err();
    assert!(error.to_string().contains("\"lock:x\""), "{error}");
    assert_eq!(release(&backend, "x", token()).await.unwrap(), ReleaseReply::HeldByOther);
    let reply = renew(&backend, "x", token(), MINUTE).await.unwrap();
    assert!(matches!(reply, RenewReply::HeldByOther));
    assert_eq!(store.run::<u64>(&["LLEN", "lock:x"]), 1);
}

/// F33.
async fn names_are_kept_byte_for_byte(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let long = "é".repeat(512);
    let names =
        ["{}", "{a}b", "a{b", "}{", "{{x}}", "a||b", "line\nbreak", "\r\n", " ", "ü€", &long];
    for prefix in ["lock:", "", "lock||app||"] {
        let builder = RedisBackend::builder().url(store.server.url()).key_prefix(prefix);
        let backend = build(builder);
        for name in names {
            let (owner, _) = take(&backend, name, MINUTE).await;
            assert_eq!(store.keys(), [format!("{prefix}{name}")]);
            assert_eq!(release(&backend, name, owner).await.unwrap(), ReleaseReply::Released);
        }
    }
    let backend = build(RedisBackend::builder().url(store.server.url()).key_prefix(""));
    let error = attempt(&backend, "dl:q:{0}:x", token(), MINUTE).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidName);
}

//! Who holds a lock: asked for those who did not get it, or wait for long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use lock_core::backend::this_process;
use lock_core::memory::MemoryBackend;
use lock_core::{Handover, LockError, LockErrorKind, LockService, Who};
use tokio::time::Instant;
use tracing::Level;

use crate::faulty::{Fault, Faulty};
use crate::listener::record;

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn service(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

fn questions(backend: &Faulty) -> usize {
    backend.questions_asked.load(Ordering::SeqCst)
}

async fn timed_out(locks: &LockService, wait: Duration) -> LockError {
    let error = locks.lock("x").wait(wait).acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Timeout, "{error}");
    error
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_wait_in_vain_names_the_holder_and_asks_the_store_once() {
    let backend = Faulty::new();
    let (mine, yours) = (service(&backend), service(&backend));
    let before = SystemTime::now() - MS(1);
    let _guard = mine.lock("x").acquire().await.unwrap();
    for wait in [Duration::ZERO, S(5)] {
        let asked = questions(&backend);
        let error = timed_out(&yours, wait).await;
        assert_eq!(questions(&backend), asked + 1);
        let holder = error.holder().unwrap();
        assert_eq!(holder.who, Who::Process(this_process()));
        let since = holder.since.unwrap();
        assert!(before <= since && since <= SystemTime::now(), "{since:?}");
        let text = error.to_string();
        let expected =
            format!("; it is held by this process, {}, which asked for it at ", this_process());
        assert!(text.contains(&expected), "{text}");
        let set = yours.lock_all(["w", "x"]).wait(wait).acquire().await.unwrap_err();
        assert_eq!((set.name(), set.holder()), (Some("x"), error.holder()));
        assert!(set.to_string().contains(&expected), "{set}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_its_own_service_in_vain_is_told_since_when_without_asking() {
    for handover in [Handover::default(), Handover::OFF] {
        let backend = Faulty::new();
        let locks = LockService::builder(Arc::clone(&backend)).tokio_time();
        let locks = locks.handover(handover).build();
        let _guard = locks.lock("x").acquire().await.unwrap();
        let error = timed_out(&locks, S(5)).await;
        assert!(error.holder().unwrap().is_this_process);
        let set = locks.lock_all(["x"]).wait(S(5)).acquire().await.unwrap_err();
        assert!(set.to_string().contains("this service holds the lock itself"), "{set}");
        assert!(set.holder().unwrap().is_this_process);
        assert_eq!(questions(&backend), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_kept_taken_is_not_said_to_be_held() {
    let backend = Faulty::new();
    let (mine, yours) = (service(&backend), service(&backend));
    mine.lock("x").min_hold(S(50)).acquire().await.unwrap().release().await;
    let error = timed_out(&yours, S(5)).await;
    assert!(error.holder().unwrap().has_released);
    let text = error.to_string();
    assert!(text.contains("; its name stays taken for the min_hold of this process"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_told_none_pays_nothing_for_the_name() {
    let backend = Faulty::new();
    let (mine, yours) = (service(&backend), service(&backend));
    let _guard = mine.lock("x").acquire().await.unwrap();
    for wait in [Duration::ZERO, S(5)] {
        let lock = yours.lock("x").wait(wait);
        assert!(lock.try_acquire().await.unwrap().is_none());
        assert!(lock.execute(async |_lease| ()).await.unwrap().is_none());
        assert!(yours.lock_all(["x"]).wait(wait).try_acquire().await.unwrap().is_none());
    }
    assert_eq!(questions(&backend), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_say_who_holds_delays_the_error_by_200_ms_at_most() {
    let wait = S(5);
    let backend = Faulty::new();
    let (mine, yours) = (service(&backend), service(&backend));
    let _guard = mine.lock("x").acquire().await.unwrap();
    for (fault, delay) in [
        (Fault::Gated, 200),
        (Fault::AnswerTakes(MS(150)), 150),
        (Fault::RequestLost, 0),
        (Fault::Panics, 0),
    ] {
        backend.questions(fault);
        let (began, asked) = (Instant::now(), questions(&backend));
        let error = timed_out(&yours, wait).await;
        // The timers of a paused clock have steps of a millisecond.
        let late = began.elapsed() - wait;
        assert!((MS(delay)..=MS(delay + 2)).contains(&late), "{fault:?}: {late:?}");
        assert_eq!(error.holder().is_some(), delay == 150, "{fault:?}");
        assert_eq!(questions(&backend), asked + 1, "{fault:?}");
        assert!(error.to_string().contains("at the end of the wait of 5"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_after_the_wait_leaves_less_time_for_the_question() {
    let backend = Faulty::with(|capabilities| capabilities.with_queueing(false));
    let (mine, yours) = (service(&backend), service(&backend));
    let _guard = mine.lock("x").acquire().await.unwrap();
    backend.questions(Fault::Gated);
    for (took, end, is_asked) in [(150, 200, true), (300, 300, false)] {
        backend.attempts([Fault::AnswerTakes(MS(took))]);
        let (began, asked) = (Instant::now(), questions(&backend));
        timed_out(&yours, Duration::ZERO).await;
        let took = began.elapsed();
        assert!((MS(end)..=MS(end + 2)).contains(&took), "{took:?}");
        assert_eq!(questions(&backend), asked + usize::from(is_asked));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_show_locks_is_not_asked_who_holds_one() {
    let backend = Faulty::with(|capabilities| capabilities.with_inspect(false));
    let (mine, yours) = (service(&backend), service(&backend));
    let _guard = mine.lock("x").acquire().await.unwrap();
    let error = timed_out(&yours, S(40)).await;
    assert!(
        error.holder().is_none() && error.to_string().contains("somebody else held"),
        "{error}"
    );
    assert_eq!(questions(&backend), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_half_a_minute_is_told_once_with_the_holder() {
    for (wait, level) in [(Some(S(100)), Level::WARN), (None, Level::INFO)] {
        let (told, backend) = (record(), Faulty::new());
        let (mine, yours) = (service(&backend), service(&backend));
        let guard = mine.lock("x").ttl(S(300)).acquire().await.unwrap();
        let lock = yours.lock("x");
        let lock = wait.map_or(lock.clone().wait_forever(), |wait| lock.wait(wait));
        let waiting = tokio::spawn(lock.acquire());
        tokio::time::sleep(S(29)).await;
        assert!(!told.borrow().iter().any(|told| told.event() == "long_wait"));
        tokio::time::sleep(S(51)).await;
        {
            let told = told.borrow();
            let long: Vec<_> = told.iter().filter(|told| told.event() == "long_wait").collect();
            let [long] = long.as_slice() else { panic!("{long:?}") };
            assert_eq!(long.level, level);
            let process = this_process();
            let holder = format!("this process, {process}, which asked for it at ");
            let text = format!("a task has waited 30s for the lock \"x\"; it is held by {holder}");
            assert!(long.message().starts_with(&text), "{long:?}");
            assert!(
                long.message().ends_with("; its lease ends in 4m 30s unless it is renewed"),
                "{long:?}"
            );
            for (field, expected) in [
                ("lock", "x"),
                ("holder_program", &process.program),
                ("holder_host", &process.host),
                ("holder_pid", &process.pid.to_string()),
                ("waiters", "1"),
            ] {
                assert_eq!(long.field(field), expected, "{long:?}");
            }
            assert!(long.field("holder").starts_with(&holder), "{long:?}");
            assert!(long.field("holder_since").ends_with('Z'), "{long:?}");
        }
        assert_eq!(questions(&backend), 1);
        drop(guard);
        drop(waiting.await.unwrap().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_its_own_service_holds_for_long_is_told_once_without_asking() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let guard = locks.lock("x").ttl(S(300)).acquire().await.unwrap();
    tokio::time::sleep(S(10)).await;
    let waits: Vec<_> =
        (0..3).map(|_| tokio::spawn(locks.lock("x").wait(S(100)).acquire())).collect();
    tokio::time::sleep(S(60)).await;
    {
        let told = told.borrow();
        let long: Vec<_> = told.iter().filter(|told| told.event() == "long_wait").collect();
        let [long] = long.as_slice() else { panic!("{long:?}") };
        assert_eq!((long.level, long.field("lock")), (Level::WARN, "x"));
        let text = "for the lock \"x\", which this service holds itself: its guard was acquired 4";
        assert!(long.message().contains(text), "{long:?}");
    }
    assert_eq!(questions(&backend), 0);
    drop(guard);
    for wait in waits {
        drop(wait.await.unwrap().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_long_waits_five_are_told_and_asked_about() {
    let (told, backend) = (record(), Faulty::new());
    let (mine, yours) = (service(&backend), service(&backend));
    let mut held = Vec::new();
    let mut waits = Vec::new();
    for number in 0..50 {
        let name = format!("x{number}");
        held.push(mine.lock(name.clone()).ttl(S(300)).acquire().await.unwrap());
        waits.push(tokio::spawn(yours.lock(name).wait(S(60)).acquire()));
    }
    tokio::time::sleep(S(50)).await;
    let shown = |event: &str| {
        let told = told.borrow();
        told.iter().filter(|told| told.event() == event && told.level <= Level::INFO).count()
    };
    assert_eq!((shown("long_wait"), shown("left_out")), (5, 1));
    assert_eq!(questions(&backend), 5);
}

#[tokio::test(start_paused = true)]
async fn a_status_names_the_holder_and_the_first_of_those_who_wait() {
    let store = Arc::new(MemoryBackend::new());
    let service = || {
        let builder = LockService::builder(Arc::clone(&store)).tokio_time();
        builder.handover(Handover::OFF).build()
    };
    let locks = service();
    let _guard = locks.lock("x").acquire().await.unwrap();
    let waits: Vec<_> =
        (0..20).map(|_| tokio::spawn(service().lock("x").wait(S(50)).acquire())).collect();
    tokio::time::sleep(S(1)).await;
    let status = locks.status("x").await.unwrap().unwrap();
    let holder = status.holder.unwrap();
    assert!(holder.is_this_process && !holder.has_released, "{holder:?}");
    assert_eq!((status.waiters, status.queue.len()), (Some(20), 16));
    assert!(status.queue.iter().all(|waiter| waiter.who == holder.who), "{:?}", status.queue);
    drop(waits);
}

//! Plain commands and faults: many tasks, and names that are free as a rule when they are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lock_core::backend::Clock;
use lock_core::{Lock, LockService};
use lock_redis::RedisBackend;
use lock_testkit::history::{Claims, Ended, Recorder, Told};
use testbed::ServerKind;
use tokio::task::JoinSet;

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    sixty_four_tasks_leave_nothing_behind_when_the_server_pauses_stops_and_cuts_them_off,
    numbers_rise_while_everything_is_deleted_again_and_again,
);

const TASKS: u64 = 64;
/// Some tasks meet, most do not.
const NAMES: u64 = 256;
/// Longer than the response timeout: what is under way is given up.
const TOO_LONG: Duration = Duration::from_millis(700);
const NOT_SO_LONG: Duration = Duration::from_millis(500);
const A_WHILE: Duration = Duration::from_millis(300);

fn service(store: &Store, response_timeout: Duration) -> LockService {
    let builder = RedisBackend::builder().url(store.server.url()).register_process(false);
    strict(builder.response_timeout(response_timeout).build().unwrap())
}

/// Takes one lock after the other until it is told to stop; how many it had.
async fn take_one_after_the_other(
    locks: LockService,
    recorder: Recorder,
    task: u64,
    stop: Arc<AtomicBool>,
) -> u64 {
    let mut had = 0;
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("n{}", (task * 31 + round * 17) % NAMES);
        let asked = recorder.ask(task, name.as_str());
        // No orphan can be taken for one that has expired.
        let lock: Lock = locks.lock(name).ttl(LONG).wait(NOT_SO_LONG);
        match lock.try_acquire().await {
            Ok(Some(guard)) => {
                let token = guard.fencing_token().map(u64::from);
                let held = asked.granted(token, || guard.remaining());
                tokio::task::yield_now().await;
                held.ended(if guard.is_held() { Ended::Released } else { Ended::Lost });
                guard.release().await;
                had += 1;
            }
            Ok(None) => asked.told(Told::TimedOut),
            Err(error) => asked.told(Told::Failed(error.to_string())),
        }
    }
    had
}

async fn sixty_four_tasks_leave_nothing_behind_when_the_server_pauses_stops_and_cuts_them_off(
    kind: &ServerKind,
) {
    let mut store = Store::start(kind);
    let services = [(); 2].map(|()| service(&store, NOT_SO_LONG));
    let (recorder, stop) = (Recorder::new("this"), Arc::new(AtomicBool::new(false)));
    let mut tasks = JoinSet::new();
    for (task, locks) in (0..TASKS).zip(services.iter().cycle()) {
        let (locks, recorder, stop) = (locks.clone(), recorder.clone(), Arc::clone(&stop));
        tasks.spawn(take_one_after_the_other(locks, recorder, task, stop));
    }
    // The load runs on between the faults, and this is for how long.
    let run_on = |time| Clock::SYSTEM.sleep(time);
    for _ in 0..3 {
        run_on(A_WHILE).await;
        store.run::<()>(&["CLIENT", "PAUSE", &TOO_LONG.as_millis().to_string()]);
        run_on(TOO_LONG + A_WHILE).await;
        store.server.freeze().unwrap();
        run_on(TOO_LONG).await;
        store.server.thaw().unwrap();
        run_on(A_WHILE).await;
        store.run::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    run_on(A_WHILE).await;
    stop.store(true, Ordering::Relaxed);
    let had: u64 = tasks.join_all().await.into_iter().sum();
    let claims = Claims::new().require_tokens().tolerate_late_use(LONG);
    let report = recorder.history().check(&claims);
    assert!(report.is_clean(), "{report}");
    println!("{had} locks were had");
    assert!(had > TASKS);
    for locks in &services {
        assert_eq!(left_behind(locks, &mut store).await, Vec::<String>::new());
    }
}

/// Each task has a name of its own, so it takes a free lock each time.
async fn numbers_rise_while_everything_is_deleted_again_and_again(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = service(&store, RESPONSE_TIMEOUT);
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (lock, stop) = (locks.lock(format!("own{task}")).ttl(MINUTE), Arc::clone(&stop));
        tasks.spawn(async move {
            let (mut last, mut had) = (0, 0_u64);
            while !stop.load(Ordering::Relaxed) {
                let guard = lock.acquire().await.unwrap();
                let number = guard.fencing_token().unwrap().get();
                assert!(number > last, "{number} after {last}");
                (last, had) = (number, had + 1);
                guard.release().await;
            }
            had
        });
    }
    for _ in 0..20 {
        Clock::SYSTEM.sleep(Duration::from_millis(100)).await;
        store.run::<()>(&["FLUSHALL"]);
    }
    stop.store(true, Ordering::Relaxed);
    let had: u64 = tasks.join_all().await.into_iter().sum();
    println!("{had} locks were had");
    assert!(had > TASKS);
}

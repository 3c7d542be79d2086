//! Whose leases are hardly long enough is told before one is lost.

use std::sync::Arc;
use std::time::Duration;

use lock_core::{LockOptions, LockService};
use tracing::Level;

use crate::faulty::{Fault, Faulty};
use crate::listener::{Told, record};

const S: fn(u64) -> Duration = Duration::from_secs;

fn service(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

fn advice(told: &[Told]) -> Vec<Told> {
    told.iter().filter(|told| told.event() == "lease_tight").cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_fixed_lease_that_was_nearly_used_up_is_told_once_for_each_name() {
    let (told, locks) = (record(), service(&Faulty::new()));
    let body = async |name: &str, takes: u64| {
        let lock = locks.lock(name).ttl(S(30));
        lock.execute(async |_| tokio::time::sleep(S(takes)).await).await
    };
    body("x", 24).await.unwrap();
    assert!(advice(&told.borrow()).is_empty(), "exactly 80 %");
    body("x", 26).await.unwrap();
    body("x", 29).await.unwrap();
    let advised = advice(&told.borrow());
    assert_eq!(advised.len(), 1);
    assert_eq!((advised[0].level, advised[0].field("lock")), (Level::WARN, "x"));
    let message = advised[0].message();
    assert_eq!(
        message,
        "the lock \"x\" was released after 87 % of its ttl of 30s, and would have been lost a little \
         later: raise the ttl, or use keep_alive"
    );
    body("y", 26).await.unwrap();
    assert_eq!(advice(&told.borrow()).len(), 2);
    // What is lost is told as a loss.
    body("z", 31).await.unwrap_err();
    assert_eq!(advice(&told.borrow()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_kept_lease_whose_renewals_come_late_is_told_and_a_punctual_one_is_not() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let options = LockOptions::new().ttl(S(30)).keep_alive();
    let kept = locks.lock("x").options(options.clone());
    let done = kept.execute(async |_| tokio::time::sleep(S(1_000)).await).await.unwrap();
    assert!(done.is_some() && advice(&told.borrow()).is_empty());

    backend.renewals([Fault::RequestLost; 16]);
    kept.execute(async |_| tokio::time::sleep(S(100)).await).await.unwrap().unwrap();
    let advised = advice(&told.borrow());
    assert_eq!(advised.len(), 1);
    let message = advised[0].message();
    assert!(message.contains("went without a confirmed renewal for 8"), "{message}");
    assert!(message.contains("find out why the store answers late"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_extended_lease_is_not_advised_for_the_sum_of_its_times() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let guard = locks.lock("x").ttl(S(30)).acquire().await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(S(20)).await;
        guard.extend(S(30)).await.unwrap();
    }
    // To less than has passed since it was set, which counts without an answer, too.
    tokio::time::sleep(S(20)).await;
    backend.renewals([Fault::RequestLost]);
    guard.extend(S(5)).await.unwrap_err();
    guard.release().await;
    assert!(advice(&told.borrow()).is_empty(), "{:?}", advice(&told.borrow()));
}

#[tokio::test(start_paused = true)]
async fn advice_about_many_names_does_not_flood_the_log() {
    let (told, locks) = (record(), service(&Faulty::new()));
    let guards: Vec<_> = futures_util::future::join_all((0..100).map(|number| {
        let lock = locks.lock(format!("order:{number}")).ttl(S(10));
        async move { lock.acquire().await.unwrap() }
    }))
    .await;
    tokio::time::sleep(S(9)).await;
    drop(guards);
    tokio::time::sleep(S(20)).await;
    let told = told.borrow();
    let warned = advice(&told).iter().filter(|told| told.level == Level::WARN).count();
    assert_eq!((warned, advice(&told).len()), (5, 100));
    let left_out = told.iter().find(|told| told.event() == "left_out").unwrap();
    assert!(left_out.message().starts_with("95 more events `lease_tight`"), "{left_out:?}");
}

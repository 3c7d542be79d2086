//! Programs as users write them: each must compile as it stands here, and do what it seems to do.

use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use distlock::backend::AnyBackend;
use distlock::memory::MemoryBackend;
use distlock::{
    FencingToken, Lease, LockError, LockErrorKind, LockGuard, LockOptions, LockService, LossReason,
    OnLost, Result,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq)]
enum ShopError {
    Lock(String),
    SoldOut,
}

impl From<LockError> for ShopError {
    fn from(error: LockError) -> Self {
        Self::Lock(error.to_string())
    }
}

async fn charge(lease: Lease) -> Result<u64, ShopError> {
    lease.ensure_held()?;
    lease.fencing_token().map(FencingToken::get).ok_or(ShopError::SoldOut)
}

/// A service whose time stands still until everybody waits.
fn paused() -> LockService {
    LockService::builder(MemoryBackend::new()).tokio_time().build()
}

#[tokio::test]
async fn operations_can_be_spawned_and_collected() -> Result<()> {
    let locks = LockService::memory();
    let guard = tokio::spawn(locks.lock("a").acquire()).await.unwrap()?;
    let refused = tokio::spawn(locks.lock("a").try_acquire()).await.unwrap()?;
    assert!(refused.is_none());
    // The guard crosses threads, too.
    tokio::spawn(async move { guard.release().await }).await.unwrap();

    let mut all: FuturesUnordered<_> =
        (0..10).map(|id| locks.lock(format!("order:{id}")).acquire()).collect();
    let mut guards = Vec::new();
    while let Some(guard) = all.next().await {
        guards.push(guard?);
    }
    assert_eq!(guards.len(), 10);
    Ok(())
}

#[tokio::test]
async fn operations_can_be_selected_over_and_joined() -> Result<()> {
    let locks = LockService::memory();
    let (a, b) = tokio::join!(locks.lock("a").acquire(), locks.lock("b").acquire());
    let (a, b) = (a?, b?);
    let waiting = locks.lock("a").acquire();
    tokio::select! {
        biased;
        _ = waiting => panic!("two hold the lock"),
        () = std::future::ready(()) => {}
    }
    let lost = a.lost();
    assert!(a.release().await.is_released());
    // What watches a lease ends when it is released.
    assert_eq!(lost.await, None);
    assert!(b.is_held());
    Ok(())
}

#[tokio::test]
async fn bodies_may_be_written_in_every_usual_way() -> Result<(), ShopError> {
    let locks = LockService::memory();
    let lock = locks.lock("order:42");
    lock.execute(charge).await?.transpose()?.unwrap();
    lock.execute(|lease| async move { lease.is_held() }).await?.unwrap();
    lock.execute(async |lease| charge(lease).await).await?.transpose()?.unwrap();
    lock.execute(async |_| {}).await?.unwrap();
    locks.execute_with_lock("order:42", SECOND, charge).await?.transpose()?.unwrap();
    Ok(())
}

#[tokio::test]
async fn a_body_that_fails_is_joined_with_the_lock_by_transpose() {
    async fn in_tail_position(locks: &LockService) -> Result<Option<u32>, ShopError> {
        locks.lock("x").execute(async |_| Err(ShopError::SoldOut)).await?.transpose()
    }
    async fn with_the_error_named_once(locks: &LockService) -> Result<Option<u32>, ShopError> {
        let sold = locks
            .lock("x")
            .execute(async |_| -> Result<_, ShopError> {
                let price: u32 = "7".parse().map_err(|_| ShopError::SoldOut)?;
                Ok(price)
            })
            .await?
            .transpose()?;
        Ok(sold)
    }
    async fn or_go_home(locks: &LockService) -> Result<u64, ShopError> {
        let Some(result) = locks.lock("x").execute(charge).await? else {
            return Ok(0);
        };
        result
    }
    let locks = LockService::memory();
    assert_eq!(in_tail_position(&locks).await, Err(ShopError::SoldOut));
    assert_eq!(with_the_error_named_once(&locks).await, Ok(Some(7)));
    assert!(or_go_home(&locks).await.unwrap() > 0);
}

#[tokio::test]
async fn a_body_may_borrow_from_its_caller() -> Result<()> {
    let locks = LockService::memory();
    let mut stock = HashMap::from([("apple", 3)]);
    let order = "apple".to_owned();
    let left = locks
        .lock(&order)
        .execute(async |_| {
            let left = stock.get_mut(order.as_str()).unwrap();
            *left -= 1;
            *left
        })
        .await?;
    assert_eq!((left, stock["apple"]), (Some(2), 2));
    Ok(())
}

#[tokio::test]
async fn a_body_in_a_spawned_task_may_borrow_from_the_task() {
    let locks = LockService::memory();
    let task = tokio::spawn(async move {
        let orders = [1, 2, 3];
        let sum = locks
            .lock("sum")
            .execute(async |_| {
                tokio::task::yield_now().await;
                orders.iter().sum::<u32>()
            })
            .await;
        (sum, orders.len())
    });
    let (sum, count) = task.await.unwrap();
    assert_eq!((sum.unwrap(), count), (Some(6), 3));
}

#[test]
fn a_body_that_cannot_cross_threads_runs_without_a_runtime() {
    let locks = LockService::memory();
    let body = async {
        let counter = Rc::new(1);
        let sum = locks.lock("x").execute(async |_| *counter + 1).await?;
        // Waiting, watching and releasing need no runtime either.
        let guard = locks.lock("x").wait(SECOND).acquire().await?;
        guard.extend(SECOND).await?;
        guard.release().await;
        Ok::<_, LockError>(sum)
    };
    assert_eq!(futures_util::FutureExt::now_or_never(body).unwrap().unwrap(), Some(2));
}

#[tokio::test]
async fn a_handler_of_axum_may_use_a_service_as_its_state() {
    async fn pay(
        State(locks): State<LockService>,
        Path(order): Path<u32>,
    ) -> Result<String, StatusCode> {
        let paid = locks
            .lock(format!("order:{order}"))
            .execute(async |lease| {
                tokio::task::yield_now().await;
                format!("paid under {:?}", lease.fencing_token().is_some())
            })
            .await;
        match paid {
            Ok(Some(receipt)) => Ok(receipt),
            Ok(None) => Err(StatusCode::CONFLICT),
            Err(error) if error.is_retryable() => Err(StatusCode::SERVICE_UNAVAILABLE),
            Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
    let locks = LockService::memory();
    let _router: Router = Router::new().route("/pay/{order}", post(pay)).with_state(locks.clone());
    let guard = locks.lock("order:7").acquire().await.unwrap();
    assert_eq!(pay(State(locks.clone()), Path(7)).await, Err(StatusCode::CONFLICT));
    guard.release().await;
    assert_eq!(pay(State(locks), Path(7)).await.unwrap(), "paid under true");
}

#[async_trait]
trait Job: Send + Sync {
    async fn run(&self) -> Result<Option<u32>>;
}

trait Task {
    fn run(&self) -> impl Future<Output = Result<Option<u32>>> + Send;
}

struct Nightly {
    locks: LockService,
    report: u32,
}

#[async_trait]
impl Job for Nightly {
    async fn run(&self) -> Result<Option<u32>> {
        self.locks.lock("nightly").execute(async |_| self.report).await
    }
}

impl Task for Nightly {
    async fn run(&self) -> Result<Option<u32>> {
        let report = &self.report;
        self.locks.lock("nightly").keep_alive().execute(async |_lease| *report).await
    }
}

#[tokio::test]
async fn operations_may_stand_in_async_traits() -> Result<()> {
    let nightly = Arc::new(Nightly { locks: LockService::memory(), report: 7 });
    assert_eq!(Task::run(&*nightly).await?, Some(7));
    let job: Arc<dyn Job> = nightly;
    assert_eq!(tokio::spawn(async move { job.run().await }).await.unwrap()?, Some(7));
    Ok(())
}

#[tokio::test]
async fn the_backend_may_be_chosen_at_run_time() -> Result<()> {
    fn backend(kind: &str) -> AnyBackend {
        match kind {
            "memory" => AnyBackend::new(MemoryBackend::new()),
            other => panic!("no backend {other}"),
        }
    }
    let other = LockService::new(backend("memory"));
    let shared = backend("memory");
    let (mine, yours) = (LockService::new(shared.clone()), LockService::new(shared));
    let _guard = mine.lock("x").acquire().await?;
    assert!(yours.lock("x").try_acquire().await?.is_none());
    assert!(other.lock("x").try_acquire().await?.is_some());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_hour_passes_at_once_when_the_time_is_paused() -> Result<()> {
    let locks = paused();
    let fixed = locks.lock("fixed").ttl(SECOND * 60).acquire().await?;
    let kept = locks.lock("kept").ttl(SECOND * 60).keep_alive().acquire().await?;
    tokio::time::sleep(SECOND * 3_600).await;
    assert!(kept.is_held());
    assert_eq!(fixed.ensure_held().unwrap_err().kind(), LockErrorKind::Lost);
    assert_eq!(fixed.ensure_held().unwrap_err().loss_reason(), Some(LossReason::Expired));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outlives_its_lease_is_dropped_or_finishes_as_asked() -> Result<()> {
    let locks = paused();
    let slow = async |_: Lease| tokio::time::sleep(SECOND * 5).await;
    let lock = locks.lock("x").ttl(SECOND);
    assert_eq!(lock.execute(slow).await.unwrap_err().kind(), LockErrorKind::Lost);
    assert_eq!(lock.on_lost(OnLost::Continue).execute(slow).await?, Some(()));
    assert_eq!(locks.lock("x").ttl(SECOND).keep_alive().execute(slow).await?, Some(()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_retry_loop_uses_one_plan_again_and_again() -> Result<()> {
    let locks = paused();
    let lock = locks.lock("x").ttl(SECOND * 10).wait(SECOND);
    let holder = lock.acquire().await?;
    tokio::spawn(async move {
        tokio::time::sleep(SECOND * 5).await;
        drop(holder);
    });
    let mut tries = 0;
    let guard = loop {
        tries += 1;
        match lock.acquire().await {
            Ok(guard) => break guard,
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error),
        }
    };
    assert!(guard.is_held() && tries > 1);
    Ok(())
}

/// As a cancellation token does it.
async fn run_until_cancelled<T>(
    mut cancelled: tokio::sync::watch::Receiver<bool>,
    operation: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = operation => Some(done),
        _ = cancelled.wait_for(|cancelled| *cancelled) => None,
    }
}

#[tokio::test]
async fn a_cancellation_token_ends_a_wait_and_leaves_nothing() -> Result<()> {
    let locks = LockService::memory();
    let lock = locks.lock("x").wait_forever();
    let holder = lock.acquire().await?;
    let (cancel, cancelled) = tokio::sync::watch::channel(false);
    let waiting = tokio::spawn(run_until_cancelled(cancelled.clone(), lock.acquire()));
    cancel.send(true).unwrap();
    assert!(waiting.await.unwrap().is_none());
    holder.release().await;
    match run_until_cancelled(cancelled, lock.acquire()).await {
        Some(Ok(guard)) => assert!(guard.is_held()),
        Some(Err(error)) => return Err(error),
        None => panic!("somebody who was cancelled holds the lock"),
    }
    Ok(())
}

#[tokio::test]
async fn guards_may_be_kept_in_structures_and_passed_on() -> Result<()> {
    struct Session {
        guard: Option<LockGuard>,
    }
    let locks = LockService::memory();
    let options = LockOptions::new().ttl(SECOND * 30).wait(SECOND);
    let mut session = Session { guard: Some(locks.lock("x").options(options).acquire().await?) };
    let lease = session.guard.as_ref().unwrap().lease();
    let watcher = tokio::spawn(async move { lease.lost().await });
    session.guard.take();
    assert_eq!(watcher.await.unwrap(), None);
    assert!(locks.lock("x").try_acquire().await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_panic_in_a_body_releases_the_lock() -> Result<()> {
    let locks = LockService::memory();
    let lock = locks.lock("x");
    let panics = lock.execute(async |_| panic!("on purpose"));
    assert!(tokio::spawn(async move { panics.await.map(drop) }).await.unwrap_err().is_panic());
    assert!(lock.try_acquire().await?.is_some());
    Ok(())
}

#[tokio::test]
async fn names_may_be_given_in_every_usual_form() -> Result<()> {
    let locks = LockService::memory();
    let (text, shared, id) = ("order:1".to_owned(), Arc::<str>::from("order:1"), 1);
    let _guard = locks.lock(&text).acquire().await?;
    for lock in [
        locks.lock("order:1"),
        locks.lock(text),
        locks.lock(shared),
        locks.lock(format_args!("order:{id}")),
        locks.lock(std::borrow::Cow::Borrowed("order:1")),
        locks.lock(locks.lock("order:1").name()),
    ] {
        assert!(lock.try_acquire().await?.is_none());
    }
    Ok(())
}

#[tokio::test]
async fn one_body_runs_at_a_time_whatever_the_number_of_tasks() -> Result<()> {
    let locks = LockService::memory();
    let running = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (locks, running) = (locks.clone(), Arc::clone(&running));
            tokio::spawn(async move {
                let body = async |_| {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                };
                locks.lock("x").wait(SECOND * 20).execute(body).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap()?, Some(()));
    }
    Ok(())
}

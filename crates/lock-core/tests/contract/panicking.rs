//! A backend that panics wherever it can, also in the very call that begins an exchange.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::faulty::{Faulty, soon};
use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, LockBackend, LockKey, ReleaseReply, ReleaseRequest,
    RenewReply, RenewRequest, Waiting,
};
use lock_core::memory::MemoryBackend;
use lock_core::{LockErrorKind, LockService, LockStatus, ReleaseOutcome, Result};

const TTL: Duration = Duration::from_secs(9);

/// Panics in the first call of each kind, and in every wake.
#[derive(Default)]
struct Panicking {
    store: Arc<MemoryBackend>,
    releases: AtomicUsize,
    renewals: AtomicUsize,
}

/// Not with `async fn`, so that the methods run when they are called.
impl LockBackend for Panicking {
    fn kind(&self) -> &'static str {
        "panicking"
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn acquire(
        &self,
        request: AcquireRequest,
    ) -> impl Future<Output = Result<AcquireReply>> + Send {
        assert_ne!(request.key.as_str(), "refused", "on command");
        async move {
            Ok(match self.store.acquire(request).await? {
                AcquireReply::Queued(Waiting { ticket, retry_after, .. }) => {
                    let wake = async { panic!("on command") };
                    AcquireReply::queued(Waiting::new(wake, ticket, retry_after))
                }
                other => other,
            })
        }
    }

    fn release(
        &self,
        request: ReleaseRequest,
    ) -> impl Future<Output = Result<ReleaseReply>> + Send {
        assert_ne!(self.releases.fetch_add(1, Ordering::SeqCst), 0, "on command");
        self.store.release(request)
    }

    fn renew(
        &self,
        batch: Vec<RenewRequest>,
    ) -> impl Future<Output = Result<Vec<RenewReply>>> + Send {
        assert_ne!(self.renewals.fetch_add(1, Ordering::SeqCst), 0, "on command");
        self.store.renew(batch)
    }

    #[expect(unreachable_code, reason = "the type of a future that is never made")]
    fn status(&self, _: LockKey) -> impl Future<Output = Result<Option<LockStatus>>> + Send {
        panic!("on command");
        async { Ok(None) }
    }

    #[expect(unreachable_code, reason = "the type of a future that is never made")]
    fn ping(&self) -> impl Future<Output = Result<()>> + Send {
        panic!("on command");
        async { Ok(()) }
    }

    #[expect(unreachable_code, reason = "the type of a future that is never made")]
    fn close(&self) -> impl Future<Output = ()> + Send {
        panic!("on command");
        async {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_own_exchange_and_nothing_else() {
    let locks = LockService::builder(Panicking::default()).tokio_time().build();
    let errors = [
        locks.lock("refused").try_acquire().await.unwrap_err(),
        locks.status("x").await.unwrap_err(),
        locks.ping().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), LockErrorKind::Backend, "{error}");
    }

    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    assert!(locks.lock("x").wait(TTL).try_acquire().await.unwrap().is_none());
    assert!(guard.is_held());
    assert!(guard.release().await.is_released());
    locks.shutdown(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_finished_gives_its_value_though_the_release_panics() {
    let locks = LockService::builder(Panicking::default()).tokio_time().build();
    assert_eq!(locks.lock("x").execute(async |_| 7).await.unwrap(), Some(7));
    let guard = locks.lock("x").wait(TTL).acquire().await.unwrap();
    assert_ne!(guard.release().await, ReleaseOutcome::Unknown);
}

/// Says what it can do, but panics when the background asks while it is told to.
struct Moody {
    inner: Arc<Faulty>,
    panics: AtomicBool,
    panicked: AtomicUsize,
}

impl LockBackend for Moody {
    fn kind(&self) -> &'static str {
        "moody"
    }

    fn capabilities(&self) -> Capabilities {
        let is_background = std::thread::current().name() == Some("distlock");
        if is_background && self.panics.load(Ordering::SeqCst) {
            self.panicked.fetch_add(1, Ordering::SeqCst);
            panic!("on command");
        }
        self.inner.capabilities()
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        self.inner.acquire(request).await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.inner.release(request).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        self.inner.renew(batch).await
    }
}

#[tokio::test]
async fn a_panic_in_the_background_does_not_end_the_renewals_of_its_service() {
    let inner = Faulty::new();
    let (panics, panicked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let moody = Arc::new(Moody { inner: Arc::clone(&inner), panics, panicked });
    let locks = LockService::new(Arc::clone(&moody));
    let kept = locks.lock("kept").ttl(TTL).keep_alive().acquire().await.unwrap();
    // Lost at once; the background undoes it, and asks what the store can do.
    let lost = locks.lock("lost").ttl(TTL).acquire().await.unwrap();
    moody.panics.store(true, Ordering::SeqCst);
    lost.extend(Duration::from_millis(1)).await.unwrap();
    soon(|| moody.panicked.load(Ordering::SeqCst) > 0);
    moody.panics.store(false, Ordering::SeqCst);
    let before = inner.renewals_made.load(Ordering::SeqCst);
    soon(|| inner.renewals_made.load(Ordering::SeqCst) > before);
    assert!(kept.is_held());
}

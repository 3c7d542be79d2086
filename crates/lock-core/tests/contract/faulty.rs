//! A memory store behind exchanges that can be slow, lost, late, or panic.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, LockBackend, LockKey, ReleaseReply, ReleaseRequest,
    RenewReply, RenewRequest,
};
use lock_core::memory::MemoryBackend;
use lock_core::{LockError, LockErrorKind, LockStatus, Result};
use tokio::sync::Semaphore;

/// What happens to one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It works at once.
    None,
    /// It needs this many polls before the store sees it, and as many again for the answer.
    Slow(usize),
    /// It is never sent.
    NotSent,
    /// The store refuses it.
    Refused,
    /// A batch gets an answer, and each of its renewals fails.
    EachFails,
    /// The store does it, and the answer is lost.
    AnswerLost,
    /// The store never sees it, and nobody can know.
    RequestLost,
    /// The store refuses it, as it would every time.
    Denied,
    /// It waits at the gate until the test opens it.
    Gated,
    /// It waits at the gate, and is not sent if it was given up meanwhile.
    NotSentIfGivenUp,
    /// It panics after the store did it.
    Panics,
    /// The store does it, and the backend gives no answer to any of the batch.
    NoAnswers,
    /// It sleeps with a timer of the caller's runtime.
    TokioSleep(Duration),
    /// The store does it at once, and the answer takes this long.
    AnswerTakes(Duration),
}

pub(crate) struct Faulty {
    pub(crate) store: Arc<MemoryBackend>,
    pub(crate) capabilities: Capabilities,
    /// Grants are for this long only, to be claimed by a renewal.
    pub(crate) window: Option<Duration>,
    attempts: Mutex<VecDeque<Fault>>,
    releases: Mutex<VecDeque<Fault>>,
    renewals: Mutex<VecDeque<Fault>>,
    /// Every question for the status of a lock suffers this.
    questions: Mutex<Fault>,
    pub(crate) questions_asked: AtomicUsize,
    pub(crate) gate: Semaphore,
    pub(crate) attempts_made: AtomicUsize,
    pub(crate) releases_made: AtomicUsize,
    pub(crate) renewals_made: AtomicUsize,
    pub(crate) times_closed: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(|capabilities| capabilities)
    }

    pub(crate) fn with(change: impl FnOnce(Capabilities) -> Capabilities) -> Arc<Self> {
        let store = Arc::new(MemoryBackend::new());
        Arc::new(Self {
            capabilities: change(store.capabilities()),
            store,
            window: None,
            attempts: Mutex::default(),
            releases: Mutex::default(),
            renewals: Mutex::default(),
            questions: Mutex::new(Fault::None),
            questions_asked: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            attempts_made: AtomicUsize::new(0),
            releases_made: AtomicUsize::new(0),
            renewals_made: AtomicUsize::new(0),
            times_closed: AtomicUsize::new(0),
        })
    }

    /// A store whose grants are windows.
    pub(crate) fn with_window(window: Duration) -> Arc<Self> {
        let mut backend = Self::new();
        if let Some(backend) = Arc::get_mut(&mut backend) {
            backend.window = Some(window);
        }
        backend
    }

    /// The next attempts suffer these, in turn; later ones work.
    pub(crate) fn attempts(&self, faults: impl IntoIterator<Item = Fault>) {
        self.attempts.lock().unwrap().extend(faults);
    }

    pub(crate) fn releases(&self, faults: impl IntoIterator<Item = Fault>) {
        self.releases.lock().unwrap().extend(faults);
    }

    pub(crate) fn renewals(&self, faults: impl IntoIterator<Item = Fault>) {
        self.renewals.lock().unwrap().extend(faults);
    }

    /// Every question for the status of a lock suffers this from now on.
    pub(crate) fn questions(&self, fault: Fault) {
        *self.questions.lock().unwrap() = fault;
    }

    /// Nothing suffers any more.
    pub(crate) fn heal(&self) {
        for faults in [&self.attempts, &self.releases, &self.renewals] {
            faults.lock().unwrap().clear();
        }
    }

    /// Whether nobody holds the lock in the store itself.
    pub(crate) async fn is_free(&self, name: &str) -> bool {
        let key = LockKey::new("", name).unwrap();
        self.store.status(key).await.unwrap().is_none()
    }

    /// Makes the store forget a lock, as if its data were lost.
    pub(crate) async fn forget(&self, name: &str) {
        let key = LockKey::new("", name).unwrap();
        self.store.forget(&key);
    }

    async fn suffer<T>(&self, fault: Fault, work: impl Future<Output = Result<T>>) -> Result<T> {
        match fault {
            Fault::None | Fault::NoAnswers | Fault::EachFails => work.await,
            Fault::Slow(polls) => {
                pending(polls).await;
                let result = work.await;
                pending(polls).await;
                result
            }
            Fault::Refused => {
                Err(LockError::new(LockErrorKind::Denied, "a permission is missing").not_applied())
            }
            Fault::NotSent => Err(unavailable("not sent").not_applied()),
            Fault::AnswerLost => {
                work.await?;
                Err(unavailable("the answer was lost"))
            }
            Fault::RequestLost => Err(unavailable("the request was lost")),
            Fault::Denied => {
                Err(LockError::new(LockErrorKind::Denied, "not allowed; allow it with +del"))
            }
            Fault::Gated => {
                let passed = self.gate.acquire().await.map_err(|e| unavailable(&e.to_string()))?;
                passed.forget();
                work.await
            }
            // Only a request for a lock can be given up; that was looked at before.
            Fault::NotSentIfGivenUp => work.await,
            Fault::Panics => {
                work.await?;
                panic!("on command")
            }
            Fault::AnswerTakes(time) => {
                let result = work.await;
                tokio::time::sleep(time).await;
                result
            }
            Fault::TokioSleep(time) => {
                tokio::time::sleep(time).await;
                work.await
            }
        }
    }
}

fn unavailable(message: &str) -> LockError {
    LockError::new(LockErrorKind::Unavailable, message.to_owned())
}

/// Is pending so many times, and wakes itself.
async fn pending(mut polls: usize) {
    poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn next(faults: &Mutex<VecDeque<Fault>>, made: &AtomicUsize) -> Fault {
    made.fetch_add(1, Ordering::SeqCst);
    faults.lock().unwrap().pop_front().unwrap_or(Fault::None)
}

impl LockBackend for Faulty {
    fn kind(&self) -> &'static str {
        "faulty"
    }

    fn address(&self) -> String {
        "there:1".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn acquire(&self, mut request: AcquireRequest) -> Result<AcquireReply> {
        let fault = next(&self.attempts, &self.attempts_made);
        request.queue &= self.capabilities.queueing;
        if fault == Fault::NotSentIfGivenUp {
            let given_up = request.given_up.clone();
            self.suffer(Fault::Gated, async { Ok(()) }).await?;
            if given_up.is_set() {
                return Err(unavailable("given up before it was sent").not_applied().given_up());
            }
        }
        let Some(window) = self.window else {
            return self.suffer(fault, self.store.acquire(request)).await;
        };
        request.ttl = window;
        Ok(match self.suffer(fault, self.store.acquire(request)).await? {
            AcquireReply::Granted(grant) => AcquireReply::granted(grant.with_granted_ttl(window)),
            other => other,
        })
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        let fault = next(&self.releases, &self.releases_made);
        self.suffer(fault, self.store.release(request)).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        let fault = next(&self.renewals, &self.renewals_made);
        let replies = self.suffer(fault, self.store.renew(batch)).await?;
        Ok(match fault {
            Fault::NoAnswers => Vec::new(),
            Fault::EachFails => {
                replies.iter().map(|_| RenewReply::Failed(unavailable("no answer"))).collect()
            }
            _ => replies,
        })
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        self.questions_asked.fetch_add(1, Ordering::SeqCst);
        let fault = *self.questions.lock().unwrap();
        self.suffer(fault, self.store.status(key)).await
    }

    async fn close(&self) {
        self.times_closed.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits for what happens on another thread.
pub(crate) fn soon(happens: impl Fn() -> bool) {
    let bound = std::time::Instant::now() + Duration::from_secs(60);
    while !happens() {
        assert!(std::time::Instant::now() < bound, "it does not happen");
        std::thread::yield_now();
    }
}

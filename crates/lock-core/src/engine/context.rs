//! What all clones of a service, its locks and its guards share.

use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::engine::backend_users::BackendUse;
use crate::engine::background::Background;
use crate::engine::local_queues::{LocalQueues, Watched};
use crate::engine::plan::{Plan, Target};
use crate::engine::schedule::{Schedule, Scheduled};
use crate::engine::store::Store;
use crate::sync::wait_group::{self, WaitGroup};
use crate::types::error::{LockError, Result};
use crate::types::handover::Handover;

/// `L` is a lease that is held, and `G` is what owns one.
pub(crate) struct Context<L, G> {
    /// Dropped before the backend is.
    backend_use: BackendUse,
    store: Store,
    background: Arc<Background>,
    schedule: Arc<Schedule<L>>,
    queues: Arc<LocalQueues<L, G>>,
    is_closing: AtomicBool,
    closing: Notify,
    /// Acquisitions and releases that tasks of the user's have begun.
    under_way: Arc<WaitGroup>,
    /// What users have of the service: its clones, its locks and guards, and operations under way.
    handles: AtomicUsize,
}

impl<L: Watched + Scheduled, G> Context<L, G> {
    /// A context whose background runs `renewals` as soon as something is asked for.
    pub(crate) fn new<R>(
        store: Store,
        handover: Handover,
        renewals: impl FnOnce(Arc<Schedule<L>>, Store) -> R,
    ) -> Self
    where
        R: Future<Output = ()> + Send + 'static,
    {
        let schedule = Arc::new(Schedule::new());
        let background =
            Background::new(store.clock(), renewals(Arc::clone(&schedule), store.clone()));
        Self {
            backend_use: BackendUse::new(store.backend()),
            background: Arc::new(background),
            schedule,
            queues: Arc::new(LocalQueues::new(store.clone(), handover)),
            store,
            is_closing: AtomicBool::new(false),
            closing: Notify::new(),
            under_way: Arc::default(),
            handles: AtomicUsize::new(0),
        }
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) const fn background(&self) -> &Arc<Background> {
        &self.background
    }

    pub(crate) const fn schedule(&self) -> &Arc<Schedule<L>> {
        &self.schedule
    }

    pub(crate) const fn queues(&self) -> &Arc<LocalQueues<L, G>> {
        &self.queues
    }

    /// Lets an operation in: the plan is allowed, the service is open, and the background runs.
    pub(crate) fn admit(&self, plan: &Plan) -> Result<Target> {
        let target = plan.check(&self.store)?;
        self.ensure_open()?;
        Ok(target)
    }

    pub(crate) fn ensure_open(&self) -> Result<()> {
        self.store.metrics().begin();
        if self.is_closing() {
            return Err(LockError::shut_down());
        }
        self.background.ensure_running()
    }

    pub(crate) const fn under_way(&self) -> &Arc<WaitGroup> {
        &self.under_way
    }

    /// Counts an operation of the user's as under way for as long as the result lives.
    pub(crate) fn count(self: &Arc<Self>) -> Counted<L, G> {
        Counted { _under_way: self.under_way.count(), _handle: Handle::new(Arc::clone(self)) }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.closing.notify_waiters();
    }

    /// Ends when the service is being shut down.
    pub(crate) async fn closing(&self) {
        let mut closing = pin!(self.closing.notified());
        closing.as_mut().enable();
        if !self.is_closing() {
            closing.await;
        }
    }

    /// Whether the backend is to be closed: no other service uses it, and nobody closes it yet.
    pub(crate) fn is_last_to_use_backend(&self) -> bool {
        self.backend_use.give_up()
    }
}

impl<L, G> Context<L, G> {
    /// The user has one handle more of the service.
    pub(crate) fn enter(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// The user has one handle less. Whoever drops the last one waits a moment for the releases that
    /// are under way: the program may end when this returns.
    pub(crate) fn leave(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.background.bid_farewell();
        }
    }
}

/// A handle of a service.
pub(crate) struct Handle<L, G>(Arc<Context<L, G>>);

impl<L, G> Handle<L, G> {
    pub(crate) fn new(context: Arc<Context<L, G>>) -> Self {
        context.enter();
        Self(context)
    }
}

impl<L, G> Clone for Handle<L, G> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl<L, G> Deref for Handle<L, G> {
    type Target = Arc<Context<L, G>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<L, G> Drop for Handle<L, G> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// An operation of the user's under way, which a shutdown waits for.
pub(crate) struct Counted<L, G> {
    _under_way: wait_group::Counted,
    _handle: Handle<L, G>,
}

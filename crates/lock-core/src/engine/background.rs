//! The keeper: one background component a service that does everything which must survive its
//! caller: it finishes abandoned exchanges, releases what was dropped, and renews leases.
//!
//! It runs on a thread of its own, where code of the user's cannot stop it; with
//! [`tokio_time`](crate::LockServiceBuilder::tokio_time) it is a task of the current runtime.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::backend::{Clock, LockBackend};
use crate::engine::attempt_driver::Dealing;
use crate::engine::renew;
use crate::engine::schedule::Ledger;
use crate::sync::wait_group::Tally;
use crate::types::error::{LockError, LockErrorKind, Result};

/// How long the keeper goes on after the last handle is gone, beyond what its backend needs.
const DRAIN: Duration = Duration::from_secs(1);

pub(crate) struct Keeper {
    clock: Clock,
    ledger: Arc<Ledger>,
    outstanding: Arc<Tally>,
    running: OnceLock<Running>,
    starting: Mutex<()>,
}

struct Running {
    undos: UnboundedSender<Undo>,
    runtime: Handle,
}

impl Keeper {
    pub(crate) fn new(clock: Clock) -> Self {
        let (ledger, outstanding) = (Arc::default(), Arc::default());
        Self { clock, ledger, outstanding, running: OnceLock::new(), starting: Mutex::default() }
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Starts it, if it does not run yet. What fails now, for want of a thread or a runtime, can
    /// succeed later.
    pub(crate) fn ensure_running(&self, backend: &Arc<dyn LockBackend>) -> Result<()> {
        if self.running.get().is_some() {
            return Ok(());
        }
        let _alone = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.running.get().is_some() {
            return Ok(());
        }
        let running = self.start(backend).map_err(|cause| {
            let message = format!("the keeper could not be started: {cause}");
            LockError::new(LockErrorKind::Unavailable, message).not_applied()
        })?;
        self.running.set(running).ok();
        Ok(())
    }

    /// Takes over dealings that their caller has left.
    pub(crate) fn adopt(&self, dealing: Dealing) {
        if let Some(running) = self.running.get() {
            // It fails when the runtime that the keeper was a task of is gone (`tokio_time` only);
            // then the leases have to expire.
            running.undos.send(Undo::new(dealing, &self.outstanding)).ok();
        }
    }

    /// Ends when nothing that was adopted is left to do.
    pub(crate) async fn settled(&self) {
        self.outstanding.emptied().await;
    }

    /// Gives library futures a runtime where the caller has none.
    pub(crate) fn enter_unless_in_runtime(&self) -> Option<EnterGuard<'_>> {
        if Handle::try_current().is_ok() {
            return None;
        }
        self.running.get().map(|running| running.runtime.enter())
    }

    fn start(&self, backend: &Arc<dyn LockBackend>) -> Result<Running, String> {
        crate::time::timer::ensure_started().map_err(|error| error.to_string())?;
        let (undos, work) = unbounded_channel();
        let keeper = run(work, Arc::clone(&self.ledger), Arc::clone(backend), self.clock);
        if self.clock == Clock::TOKIO {
            let runtime = Handle::try_current().map_err(|error| error.to_string())?;
            drop(runtime.spawn(keeper));
            return Ok(Running { undos, runtime });
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("distlock-keeper")
            .build()
            .map_err(|error| error.to_string())?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("distlock-keeper".into())
            .spawn(move || {
                runtime.block_on(keeper);
                runtime.shutdown_background();
            })
            .map_err(|error| error.to_string())?;
        Ok(Running { undos, runtime: handle })
    }
}

/// An adopted dealing, counted until it is done or dropped.
struct Undo {
    dealing: Option<Dealing>,
    outstanding: Arc<Tally>,
}

impl Undo {
    fn new(dealing: Dealing, outstanding: &Arc<Tally>) -> Self {
        outstanding.add();
        Self { dealing: Some(dealing), outstanding: Arc::clone(outstanding) }
    }

    async fn run(mut self) {
        if let Some(dealing) = self.dealing.take() {
            dealing.undo().await;
        }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        self.outstanding.remove();
    }
}

async fn run(
    mut undos: UnboundedReceiver<Undo>,
    ledger: Arc<Ledger>,
    backend: Arc<dyn LockBackend>,
    clock: Clock,
) {
    // Each runs as a task of its own, so that one that panics takes no other with it.
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            undo = undos.recv() => match undo {
                Some(undo) => spawn(&mut tasks, undo.run()),
                None => break,
            },
            due = ledger.due(clock) => {
                for batch in renew::batches(due, &backend, clock) {
                    spawn(&mut tasks, batch);
                }
            }
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
    let bound = backend.capabilities().late_after * 2 + DRAIN;
    let mut end = clock.sleep(bound);
    loop {
        tokio::select! {
            ended = tasks.join_next() => if ended.is_none() { break },
            () = &mut end => break,
        }
    }
}

fn spawn(tasks: &mut JoinSet<()>, task: impl Future<Output = ()> + Send + 'static) {
    drop(tasks.spawn(task));
}

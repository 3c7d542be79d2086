//! Many workers fight for one name, and everything that they see is recorded.
//!
//! Some of them overstay their lease on purpose, and then send releases that come too late: a store
//! that does not compare the owner gives the lock of the next holder away, which
//! [`history`](crate::history) finds as an overlap.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use lock_core::memory::MemoryBackend;
//! use lock_testkit::contention::Contention;
//! use lock_testkit::history::{Claims, Recorder};
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//!
//! let store = Arc::new(MemoryBackend::new());
//! let recorder = Recorder::new("process-1");
//! let contention = Contention::new("order:7").workers(8).rounds(200);
//! // Two handles onto one store; each gets a lock service of its own.
//! let tally = contention.run(vec![store.clone(), store], &recorder).await.unwrap();
//! assert_eq!(tally.served, 200);
//! let claims = Claims::new().tolerate_late_use(Duration::from_secs(5));
//! let report = recorder.history().check(&claims);
//! assert!(report.is_clean(), "{report}");
//! # });
//! ```
//!
//! Several processes do the same with one store: each records into a file of its own with
//! [`Recorder::with_writer`], and their histories are read, merged and checked together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lock_core::backend::{Clock, LockBackend, LockKey, OwnerToken, ReleaseRequest};
use lock_core::{Handover, Lock, LockGuard, LockService, Result};
use tokio::task::JoinSet;

use crate::history::{Ended, Held, Recorder, Told};
use crate::spy::Spy;

/// Every so many rounds a holder keeps the lock for a quarter of its lease, so that there is
/// somebody to be robbed.
const LINGER_EVERY: u64 = 64;

/// So many releases an overstayer sends, over the time of one lease.
const LATE_RELEASES: u32 = 8;

/// How many workers fight for which name, for how long, and how badly some of them behave.
#[derive(Clone, Debug)]
#[must_use = "a contention does nothing until `run`"]
pub struct Contention {
    name: String,
    workers: u64,
    rounds: u64,
    ttl: Duration,
    overstay_every: u64,
    wait: Duration,
}

/// What came of the rounds of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Rounds in which a worker got the lock.
    pub served: u64,
    /// Those of them in which it overstayed its lease.
    pub overstayed: u64,
    /// Rounds in which a worker waited in vain.
    pub timed_out: u64,
    /// Rounds that ended with an error.
    pub failed: u64,
}

impl Contention {
    /// 16 workers fight for this name in 1,000 rounds with leases of 100 ms; every 100th overstays.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            workers: 16,
            rounds: 1_000,
            ttl: Duration::from_millis(100),
            overstay_every: 100,
            wait: Duration::from_secs(30),
        }
    }

    /// Sets the number of workers.
    pub const fn workers(mut self, workers: u64) -> Self {
        self.workers = workers;
        self
    }

    /// Sets the number of rounds of all workers together.
    pub const fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = rounds;
        self
    }

    /// Sets the lease.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets every how many rounds a worker overstays; zero: never.
    pub const fn overstay_every(mut self, rounds: u64) -> Self {
        self.overstay_every = rounds;
        self
    }

    /// Sets how long a worker waits for the lock. Default: 30 s.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Runs the workers in the machine's time, shared among lock services over these backends.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](lock_core::LockErrorKind::InvalidName) for a name that is not allowed.
    /// What a worker is told, errors included, stands in the record and the tally.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn run(&self, backends: Vec<impl LockBackend>, recorder: &Recorder) -> Result<Tally> {
        let key = LockKey::new("", &self.name)?;
        let next_round = Arc::new(AtomicU64::new(0));
        let spies: Vec<_> =
            backends.into_iter().map(|backend| Arc::new(Spy::new(backend))).collect();
        // In strict order: it is the backends that are tried, not the local queues of the services.
        let strict =
            |spy: &Arc<Spy>| LockService::builder(Arc::clone(spy)).handover(Handover::OFF).build();
        let services: Vec<_> = spies.iter().map(strict).collect();
        let mut workers = JoinSet::new();
        for (number, (spy, service)) in (0..self.workers).zip(spies.iter().zip(&services).cycle()) {
            let worker = Worker {
                contention: self.clone(),
                number,
                spy: Arc::clone(spy),
                key: key.clone(),
                lock: service.lock(&self.name).ttl(self.ttl).wait(self.wait),
                recorder: recorder.clone(),
            };
            drop(workers.spawn(worker.run(Arc::clone(&next_round))));
        }
        let mut total = Tally::default();
        for tally in workers.join_all().await {
            total.served += tally.served;
            total.overstayed += tally.overstayed;
            total.timed_out += tally.timed_out;
            total.failed += tally.failed;
        }
        Ok(total)
    }
}

struct Worker {
    contention: Contention,
    number: u64,
    spy: Arc<Spy>,
    key: LockKey,
    lock: Lock,
    recorder: Recorder,
}

impl Worker {
    async fn run(self, next_round: Arc<AtomicU64>) -> Tally {
        let mut tally = Tally::default();
        loop {
            // Counted from 1, so that the first round is an ordinary one.
            let round = next_round.fetch_add(1, Ordering::Relaxed) + 1;
            if round > self.contention.rounds {
                return tally;
            }
            let asked = self.recorder.ask(self.number, self.lock.name());
            match self.lock.try_acquire().await {
                Ok(Some(guard)) => {
                    let token = guard.fencing_token().map(u64::from);
                    let held = asked.granted(token, || guard.remaining());
                    tally.served += 1;
                    if is_every(round, self.contention.overstay_every) {
                        tally.overstayed += 1;
                        self.overstay(guard, held).await;
                    } else {
                        self.use_and_release(round, guard, held).await;
                    }
                }
                Ok(None) => {
                    tally.timed_out += 1;
                    asked.told(Told::TimedOut);
                }
                Err(error) => {
                    tally.failed += 1;
                    asked.told(Told::Failed(error.to_string()));
                }
            }
        }
    }

    async fn use_and_release(&self, round: u64, guard: LockGuard, held: Held) {
        if is_every(round, LINGER_EVERY) {
            Clock::SYSTEM.sleep(self.contention.ttl / 4).await;
        } else {
            tokio::task::yield_now().await;
        }
        held.ended(if guard.is_held() { Ended::Released } else { Ended::Lost });
        guard.release().await;
    }

    /// Keeps the guard until its lease is over, and sends releases when others have the lock.
    async fn overstay(&self, guard: LockGuard, held: Held) {
        let token = self.spy.granted_token(&self.key);
        guard.lost().await;
        held.ended(Ended::Lost);
        for _ in 0..LATE_RELEASES {
            Clock::SYSTEM.sleep(self.contention.ttl / LATE_RELEASES).await;
            if let Some(token) = token {
                self.release_late(token).await;
            }
        }
        drop(guard);
    }

    /// The core would not send it, because it knows that the lease is over; a frozen process, or
    /// the network, can.
    async fn release_late(&self, token: OwnerToken) {
        let request = ReleaseRequest::new(self.key.clone(), token, Clock::SYSTEM);
        // Whatever the store answers: the history shows what it did.
        Arc::clone(&self.spy).release(request).await.ok();
    }
}

/// Never, for a period of zero, since rounds count from 1.
const fn is_every(round: u64, period: u64) -> bool {
    round.is_multiple_of(period)
}

//! W8: a process that keeps very many locks alive, and tells what that costs it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, Clock, LockBackend, LockKey, ReleaseReply,
    ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockGuard, LockService, LockStatus, Result};
use lock_redis::RedisBackend;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::measure::figures::count;
use crate::runtime::runtime;

/// The word that makes this program keep locks alive.
pub(crate) const KEEP_ALIVE: &str = "keep-alive";
/// How many are acquired at a time.
const AT_A_TIME: usize = 64;
/// How often all guards are looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) url: String,
    pub(crate) locks: usize,
    pub(crate) ttl_millis: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) bytes_per_lock: f64,
    /// The wall time in which each lock is renewed once.
    pub(crate) renewal_round_millis: f64,
    /// Leases that were seen with less than half of their time left: at a third they are due.
    pub(crate) late: u64,
    pub(crate) lost: u64,
}

/// Does what the argument says and writes what was seen.
pub(crate) fn run(order: &str) -> std::result::Result<(), Failure> {
    let order: Order = serde_json::from_str(order)?;
    let runtime = runtime(2)?;
    let kept = runtime.block_on(keep(&order))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::to_string(&kept)?)?;
    out.flush()?;
    // The releases of so many guards are nobody's business here.
    std::process::exit(0);
}

async fn keep(order: &Order) -> std::result::Result<Kept, Failure> {
    let ttl = Duration::from_millis(order.ttl_millis);
    let backend = Arc::new(Timed::new(RedisBackend::builder().url(&order.url).build()?));
    let service = LockService::new(Arc::clone(&backend));
    let guards = acquire(&service, "warm", 1_000, ttl).await?;
    let resident = resident_bytes()?;
    let mut guards_kept = Vec::with_capacity(order.locks + guards.len());
    guards_kept.extend(guards);
    guards_kept.extend(acquire(&service, "kept", order.locks, ttl).await?);
    let resident = count(resident_bytes()?.saturating_sub(resident));
    // The first renewals bring what they need to memory.
    Clock::SYSTEM.sleep(ttl / 3).await;
    let (renewals, busy) = backend.so_far();
    let end = Clock::SYSTEM.now() + ttl;
    let (mut late, mut lost) = (0, 0);
    while Clock::SYSTEM.now() < end {
        let left = guards_kept.iter().map(LockGuard::remaining);
        late = late.max(left.filter(|left| *left < ttl / 2).count());
        lost = guards_kept.iter().filter(|guard| !guard.is_held()).count();
        Clock::SYSTEM.sleep(LOOK).await;
    }
    let (renewals, busy) = {
        let (all, all_busy) = backend.so_far();
        (all - renewals, all_busy - busy)
    };
    let rounds = count(renewals) / count(guards_kept.len());
    let name_bytes = count("kept:000000".len());
    Ok(Kept {
        bytes_per_lock: resident / count(order.locks) - name_bytes,
        renewal_round_millis: busy.as_secs_f64() * 1e3 / rounds,
        late: u64::try_from(late)?,
        lost: u64::try_from(lost)?,
    })
}

async fn acquire(
    service: &LockService,
    prefix: &str,
    locks: usize,
    ttl: Duration,
) -> Result<Vec<LockGuard>> {
    let names = (0..locks).map(|number| format!("{prefix}:{number:06}"));
    let acquired = names.map(|name| service.lock(name).ttl(ttl).keep_alive().acquire());
    let mut guards = Vec::with_capacity(locks);
    let mut acquired = stream::iter(acquired).buffer_unordered(AT_A_TIME);
    while let Some(guard) = acquired.try_next().await? {
        guards.push(guard);
    }
    Ok(guards)
}

/// What this process has in memory.
fn resident_bytes() -> std::result::Result<u64, Failure> {
    const KIBIBYTE: u64 = 1_024;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("the kernel tells no VmRSS")?.parse::<u64>()? * KIBIBYTE)
}

/// Stands before the backend and takes the time of renewals.
struct Timed {
    inner: Arc<RedisBackend>,
    /// Leases that were renewed.
    renewals: AtomicU64,
    /// When calls were under way, in nanoseconds, and until when that is counted.
    busy: AtomicU64,
    counted_until: AtomicU64,
}

impl Timed {
    fn new(inner: RedisBackend) -> Self {
        let zero = || AtomicU64::new(0);
        Self { inner: Arc::new(inner), renewals: zero(), busy: zero(), counted_until: zero() }
    }

    fn so_far(&self) -> (u64, Duration) {
        let busy = Duration::from_nanos(self.busy.load(Ordering::Relaxed));
        (self.renewals.load(Ordering::Relaxed), busy)
    }
}

impl LockBackend for Timed {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        self.inner.acquire(request).await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.inner.release(request).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        let began = Clock::SYSTEM.now().as_nanos();
        let leases = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let replies = self.inner.renew(batch).await;
        let ended = Clock::SYSTEM.now().as_nanos();
        // Calls that are under way at once end in turn, on one thread: the time of each counts once.
        let counted = self.counted_until.swap(ended, Ordering::Relaxed);
        self.busy.fetch_add(ended.saturating_sub(began.max(counted)), Ordering::Relaxed);
        self.renewals.fetch_add(leases, Ordering::Relaxed);
        replies
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        self.inner.status(key).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        self.inner.check_key(key)
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

//! The end of a service: nothing new, time for holders, then everything is given back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::api::manual::ManualLocks;
use crate::api::service::ServiceInner;
use crate::sync::panics;
use crate::types::loss::LossReason;
use crate::types::status::ReleaseOutcome;

/// What became of the locks that were held when a service was shut down.
///
/// If several shut it down at once, each lock that is taken from its holder is reported by the one
/// who took it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Released by their holders within the grace.
    pub released: usize,
    /// Lost by their holders: taken from them at its end, and the store answered, or lost before.
    pub lost: usize,
    /// Taken from their holders at its end; the store did not answer, so their leases expire.
    pub unknown: usize,
}

/// Beyond what the backend's own timeouts allow for the last answers.
const SETTLE: Duration = Duration::from_secs(1);

pub(crate) async fn run(
    service: &Arc<ServiceInner>,
    manual: &ManualLocks,
    grace: Duration,
) -> ShutdownReport {
    service.close();
    let ledger = service.keeper().ledger();
    let before = ledger.all();
    tokio::select! {
        () = ledger.emptied() => {}
        () = service.clock().sleep(grace) => {}
    }
    let mut taken = HashSet::new();
    let mut releases = FuturesUnordered::new();
    for lease in ledger.all() {
        // A lease that is over already keeps its own reason.
        lease.ended();
        lease.lose(LossReason::ShutDown);
        if let Some(dealing) = lease.end().release {
            taken.insert(Arc::as_ptr(&lease).addr());
            releases.push(dealing.release());
        }
    }
    // Their leases have ended, so dropping them sends nothing more.
    drop(manual.take_all());
    let mut report = ShutdownReport::default();
    for lease in before.iter().filter(|lease| !taken.contains(&Arc::as_ptr(lease).addr())) {
        match lease.ended() {
            Some(LossReason::Released) => report.released += 1,
            // Somebody else who shuts the service down took it, and reports it.
            Some(LossReason::ShutDown) | None => {}
            Some(_) => report.lost += 1,
        }
    }
    drop(before);
    while let Some(outcome) = releases.next().await {
        match outcome {
            ReleaseOutcome::Unknown => report.unknown += 1,
            _ => report.lost += 1,
        }
    }
    let backend = Arc::clone(service.backend());
    let bound = backend.capabilities().late_after * 2 + SETTLE;
    let settled = async {
        service.under_way().emptied().await;
        service.keeper().settled().await;
    };
    tokio::select! {
        () = settled => {}
        () = service.clock().sleep(bound) => {}
    }
    if service.is_last_to_use_backend() {
        let closing = async {
            backend.close().await;
            Ok(())
        };
        service.within(panics::caught(closing)).await.ok();
    }
    report
}

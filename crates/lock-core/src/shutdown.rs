//! The end of a service: nothing new, time for holders, then everything is given back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::dealing::Dealing;
use crate::loss::LossReason;
use crate::manual::ManualLocks;
use crate::panics;
use crate::service::ServiceInner;
use crate::status::ReleaseOutcome;

/// What became of the locks that were held when a service was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Released by their holders within the grace.
    pub released: usize,
    /// Taken from their holders at its end; the store confirmed that they are free.
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
    let before = ledger.all().len();
    tokio::select! {
        () = ledger.emptied() => {}
        () = service.clock().sleep(grace) => {}
    }
    let rest = ledger.all();
    let mut report =
        ShutdownReport { released: before.saturating_sub(rest.len()), ..ShutdownReport::default() };
    for lease in &rest {
        lease.lose(LossReason::ShutDown);
    }
    let mut releases: FuturesUnordered<_> =
        rest.iter().filter_map(|lease| lease.end().release).map(Dealing::release).collect();
    // Their leases have ended, so dropping them sends nothing more.
    drop(manual.take_all());
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
    if service.is_first_to_close_backend() {
        let closing = async {
            backend.close().await;
            Ok(())
        };
        service.within(panics::caught(closing)).await.ok();
    }
    report
}

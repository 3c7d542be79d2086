//! The end of a service: nothing new, time for holders, then everything is given back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::backend::LockBackend;
use crate::engine::held::ServiceContext;
use crate::sync::panics;
use crate::types::loss::{LeaseEnd, LossReason};
use crate::types::status::{ReleaseOutcome, ShutdownReport};

/// Shuts the service down. `let_go` drops the locks that the service itself keeps for its users; by
/// then their leases have ended.
pub(crate) async fn run(
    context: &Arc<ServiceContext>,
    grace: Duration,
    let_go: impl FnOnce(),
) -> ShutdownReport {
    context.close();
    let (store, schedule) = (context.store(), context.schedule());
    let before = schedule.all();
    tokio::select! {
        () = schedule.emptied() => {}
        () = store.clock().sleep(grace) => {}
    }
    let mut taken = HashSet::new();
    let mut releases = FuturesUnordered::new();
    for lease in schedule.all() {
        // A lease that is over already keeps its own reason.
        lease.ended();
        lease.lose(LossReason::ShutDown);
        if let Some(driver) = lease.end().release {
            taken.insert(Arc::as_ptr(&lease).addr());
            releases.push(driver.release());
        }
    }
    let_go();
    let mut report = ShutdownReport::default();
    for lease in before.iter().filter(|lease| !taken.contains(&Arc::as_ptr(lease).addr())) {
        match lease.ended() {
            Some(LeaseEnd::Released | LeaseEnd::Lost(LossReason::PassedOn)) => {
                report.released += 1;
            }
            // Another task that shuts the service down took it, and reports it.
            Some(LeaseEnd::Lost(LossReason::ShutDown)) | None => {}
            Some(LeaseEnd::Lost(_)) => report.lost += 1,
        }
    }
    drop(before);
    while let Some(outcome) = releases.next().await {
        match outcome {
            ReleaseOutcome::Unknown => report.unknown += 1,
            _ => report.lost += 1,
        }
    }
    let settled = async {
        context.under_way().emptied().await;
        context.background().settled().await;
    };
    tokio::select! {
        () = settled => {}
        () = store.clock().sleep(store.capabilities().settled_after()) => {}
    }
    if context.is_last_to_use_backend() {
        let backend = store.backend().clone();
        let closing = async {
            backend.close().await;
            Ok(())
        };
        context.background().in_runtime(panics::caught(closing)).await.ok();
    }
    report
}

//! The end of a service: nothing new, time for holders, then everything is given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::backend::LockBackend;
use crate::engine::held::{ServiceContext, SharedLease};
use crate::sync::panics;
use crate::types::loss::{LeaseEnd, LossReason};
use crate::types::status::{ReleaseOutcome, ShutdownReport};

/// A lease that somebody held when the shutdown began, and what became of it.
struct Holding {
    lease: Arc<SharedLease>,
    /// This shutdown has ended it, and nobody else.
    is_ended_here: bool,
    /// What the store said, if it was this shutdown that asked it.
    outcome: Option<ReleaseOutcome>,
}

/// Shuts the service down. `let_go` drops the locks that the service itself keeps for its users; by
/// then their leases have ended.
pub(crate) async fn run(
    context: &Arc<ServiceContext>,
    grace: Duration,
    let_go: impl FnOnce(),
) -> ShutdownReport {
    context.close();
    let (store, schedule) = (context.store(), context.schedule());
    let is_held = |lease: &Arc<SharedLease>| lease.ended().is_none();
    let mut holdings: Vec<_> = schedule.all().into_iter().filter(is_held).map(holding).collect();
    tokio::select! {
        () = schedule.emptied() => {}
        () = store.clock().sleep(grace) => {}
    }
    let address = |lease: &Arc<SharedLease>| Arc::as_ptr(lease).addr();
    let places = holdings.iter().enumerate();
    let places: HashMap<_, _> = places.map(|(place, held)| (address(&held.lease), place)).collect();
    // One bound for all answers, those to the releases that begin now and those under way.
    let give_up_at = store.now() + store.capabilities().settled_after();
    let mut releases = FuturesUnordered::new();
    for lease in schedule.all() {
        let (is_ended_here, driver) = lease.shut_down();
        let place = places.get(&address(&lease)).copied();
        if let Some(holding) = place.and_then(|place| holdings.get_mut(place)) {
            holding.is_ended_here = is_ended_here;
            // Until it is known.
            holding.outcome = driver.as_ref().map(|_| ReleaseOutcome::Unknown);
        }
        if let Some(driver) = driver {
            releases.push(async move { (place, driver.release().await.0) });
        }
    }
    let_go();
    let answered = async {
        while let Some((place, outcome)) = releases.next().await {
            if let Some(holding) = place.and_then(|place| holdings.get_mut(place)) {
                holding.outcome = Some(outcome);
            }
        }
        context.under_way().emptied().await;
        context.background().settled().await;
    };
    tokio::select! {
        () = answered => {}
        () = store.clock().sleep_until(give_up_at) => {}
    }
    // What is not answered goes on in the background.
    drop(releases);
    let report = report(&holdings);
    drop(holdings);
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

const fn holding(lease: Arc<SharedLease>) -> Holding {
    Holding { lease, is_ended_here: false, outcome: None }
}

fn report(holdings: &[Holding]) -> ShutdownReport {
    let mut report = ShutdownReport::default();
    for Holding { lease, is_ended_here, outcome } in holdings {
        if !lease.hold().is_handed_out() {
            // Granted, but never given to anybody: the shutdown came before.
            continue;
        }
        match (lease.ended(), outcome) {
            (Some(LeaseEnd::Released | LeaseEnd::Lost(LossReason::PassedOn)), _) => {
                report.released += 1;
            }
            // Another task that shuts the service down ended it, and reports it.
            (Some(LeaseEnd::Lost(LossReason::ShutDown)), _) if !is_ended_here => {}
            (Some(LeaseEnd::Lost(_)), Some(ReleaseOutcome::Unknown)) => report.unknown += 1,
            (Some(LeaseEnd::Lost(_)), _) => report.lost += 1,
            (None, _) => {}
        }
    }
    report
}

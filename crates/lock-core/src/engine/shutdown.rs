//! The end of a service: nothing new, time for holders, then everything is given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::backend::LockBackend;
use crate::engine::held::{ServiceContext, SharedLease};
use crate::sync::panics;
use crate::types::loss::{LeaseEnd, LossReason};
use crate::types::status::ReleaseOutcome::{self, Unknown};
use crate::types::status::ShutdownReport;

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
            holding.outcome = driver.as_ref().filter(|_| is_ended_here).map(|_| Unknown);
        }
        match driver {
            Some(driver) if is_ended_here => {
                let driver = driver.reported();
                releases.push(async move { (place, driver.release().await.0) });
            }
            // Nobody relies on it any more, so it is waited for only as long as the store answers.
            Some(driver) => driver.undo_in_background(),
            None => {}
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
    let mut report = report(&holdings);
    report.unsettled = context.background().unsettled();
    // What is not answered goes on in the background.
    drop(releases);
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
            (Some(LeaseEnd::Lost(_)), Some(Unknown)) => report.unknown += 1,
            (Some(LeaseEnd::Lost(_)), _) => report.lost += 1,
            (None, _) => {}
        }
    }
    report
}

//! The background's job for the log of a service: it tells of outages of the store, and how many
//! warnings were left out. What is told, and when, is decided by
//! [`StoreHealth`](crate::engine::store_health::StoreHealth).

use std::sync::Arc;

use crate::engine::held::SharedLease;
use crate::engine::outage::News;
use crate::engine::schedule::Schedule;
use crate::engine::store::Store;
use crate::engine::store_health::ToTell;
use crate::engine::telemetry::{self, Renewals};
use crate::sync::panics;
use crate::time::instant::Instant;

/// Tells what there is to tell, for ever.
pub(crate) async fn run(schedule: Arc<Schedule<SharedLease>>, store: Store) {
    let (health, clock) = (Arc::clone(store.health()), store.clock());
    loop {
        tokio::select! {
            () = health.changed() => {}
            () = clock.sleep_until(health.next_to_tell()) => {}
        }
        for news in health.to_tell(store.now()) {
            // A subscriber that panics costs its own line.
            panics::contained(|| tell(&news, &schedule, &store));
        }
    }
}

fn tell(news: &ToTell, schedule: &Schedule<SharedLease>, store: &Store) {
    match news {
        ToTell::LeftOut { what, count } => telemetry::left_out(store, *what, *count),
        ToTell::Outage { news, cause, waits } => {
            let now = store.now();
            // A task waits as soon as it knows of the outage that it has found.
            let waits = if *news == News::Lost { store.health().waits(now) } else { *waits };
            let is_anything_held = schedule.find(|lease| lease.ended().is_none()).is_some();
            let held = (unconfirmed(schedule, now), is_anything_held);
            telemetry::outage(store, *news, cause.as_ref(), waits, held);
        }
    }
}

/// The leases whose renewal is not confirmed.
fn unconfirmed(schedule: &Schedule<SharedLease>, now: Instant) -> Renewals {
    let ends: Vec<Instant> =
        schedule.all().iter().filter_map(|lease| lease.unconfirmed_until()).collect();
    let first = ends.iter().min().copied().unwrap_or(now);
    Renewals { leases: ends.len(), first_end: first.saturating_duration_since(now) }
}

//! Many workers over members that fail: two never hold one lock.

use std::time::Duration;

use lock_core::backend::Clock;
use lock_testkit::contention::{Contention, Tally};
use lock_testkit::history::{Claims, Recorder};

use crate::claims::{key, refused};
use crate::store::{Store, Way, quorum};

/// Several handles onto the same stores, each with its own order of asking.
fn handles(stores: &[Store]) -> Vec<lock_core::backend::AnyBackend> {
    let handle = |first: usize| {
        let mut stores = stores.to_vec();
        stores.rotate_left(first);
        quorum(&stores)
    };
    (0..3).map(handle).collect()
}

fn contention() -> Contention {
    Contention::new("x").workers(12).rounds(600).ttl(Duration::from_millis(300)).overstay_every(150)
}

async fn contend(stores: Vec<Store>) -> Tally {
    let recorder = Recorder::new("here");
    let tally = contention().run(handles(&stores), &recorder).await.unwrap();
    let claims = Claims::new().tolerate_late_use(Duration::from_secs(10));
    let report = recorder.history().check(&claims);
    assert!(report.is_clean(), "{report}");
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_over_members_that_are_well_are_all_served() {
    let tally = contend(Store::all::<5>().to_vec()).await;
    assert_eq!((tally.served, tally.failed), (600, 0), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_never_overlap_while_members_fail_by_turns() {
    let stores = Store::all::<5>().to_vec();
    let troubled = stores.clone();
    let trouble = tokio::spawn(async move {
        let ways = [Way::Frozen, Way::Down, Way::Deaf, Way::Slow(Duration::from_millis(30))];
        for (turn, way) in ways.into_iter().cycle().enumerate() {
            // Two at a time, so a majority is left.
            let pair = [&troubled[turn % 5], &troubled[(turn + 2) % 5]];
            pair.iter().for_each(|store| store.set(way));
            Clock::SYSTEM.sleep(Duration::from_millis(40)).await;
            pair.iter().for_each(|store| store.set(Way::Well));
        }
    });
    let tally = contend(stores).await;
    trouble.abort();
    assert_eq!(tally.served + tally.failed + tally.timed_out, 600, "{tally:?}");
    assert!(tally.served > 500, "{tally:?}");
}

/// Who holds a lock may lack the vote of a member, which then has one for everybody who asks. That
/// must not look like others who ask at the same moment, and share the votes.
#[tokio::test(start_paused = true)]
async fn a_vote_that_a_holder_lacks_is_asked_for_a_few_times_and_not_for_a_second() {
    let stores: [_; 5] = Store::all();
    for store in [&stores[0], &stores[1], &stores[2], &stores[4]] {
        store.take(&key(), Duration::from_secs(60), Clock::TOKIO).await;
    }
    // Their answers come too late for most rounds.
    stores[0].set(Way::Slow(Duration::from_millis(5)));
    stores[4].set(Way::Slow(Duration::from_millis(10)));
    refused(&quorum(&stores)).await;
    let asked = stores[3].asked();
    assert!((1..=5).contains(&asked), "{asked} rounds");
}

//! What stands before a backend passes everything on, and takes away what it says.

use std::collections::BTreeSet;
use std::sync::Arc;

use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, LockBackend, LockKey, ReleaseReply,
    ReleaseRequest,
};
use lock_core::memory::MemoryBackend;
use lock_core::{LockStatus, Result};
use lock_testkit::conformance::{Need, OneBackend, Outcome, run_blocking};
use lock_testkit::limited::Limited;
use lock_testkit::spy::{Spy, forgotten_methods};

#[tokio::test]
async fn every_way_into_a_service_forwards_every_method() {
    let shared = forgotten_methods(|backend| backend).await;
    assert_eq!(shared, []);
    let by_value = forgotten_methods(Spy::new).await;
    assert_eq!(by_value, []);
    let in_arc = forgotten_methods(|backend| Arc::new(Spy::new(backend))).await;
    assert_eq!(in_arc, []);
    let erased = forgotten_methods(|backend| AnyBackend::new(Spy::new(backend))).await;
    assert_eq!(erased, []);
    let in_two = forgotten_methods(|backend| AnyBackend::new(Arc::new(Arc::new(backend)))).await;
    assert_eq!(in_two, []);
}

#[tokio::test]
async fn a_limited_backend_forwards_what_it_is_left_with() {
    let all = MemoryBackend::new().capabilities();
    let forgotten = forgotten_methods(|backend| Limited::new(backend, all)).await;
    // Its capabilities are its own.
    assert_eq!(forgotten, [lock_testkit::spy::Method::Capabilities]);
}

const NEEDS: [Need; 8] = [
    Need::Renew,
    Need::Fencing,
    Need::Queueing,
    Need::Inspect,
    Need::List,
    Need::MinHold,
    Need::Repeatable,
    Need::Lateness,
];

#[test]
fn a_store_that_can_do_next_to_nothing_keeps_all_that_is_left() {
    let poor = Limited::new(MemoryBackend::new(), Capabilities::none());
    let report = run_blocking(&OneBackend::paused(poor).lacking(NEEDS));
    assert!(report.is_clean(), "{report}");
    for verdict in report.verdicts().iter().filter(|verdict| !verdict.claim.needs().is_empty()) {
        let expected = match verdict.claim.counter_claim() {
            Some(_) => Outcome::CounterPassed,
            None => Outcome::NotApplicable(verdict.claim.needs().to_vec()),
        };
        assert_eq!(verdict.outcome, expected, "{:?}", verdict.claim);
    }
}

#[test]
fn a_claim_that_does_not_apply_must_be_declared() {
    let poor = Limited::new(MemoryBackend::new(), Capabilities::none().with_renew(true));
    let report = run_blocking(&OneBackend::paused(poor).lacking([Need::Lateness]));
    let undeclared = report.failures().find(|(claim, _)| claim.needs() == [Need::Fencing]);
    assert!(undeclared.unwrap().1.contains("let the harness' `lacks` name fencing"), "{report}");
}

/// Says that it can do nothing, and does everything.
struct Secretive(Arc<MemoryBackend>);

impl LockBackend for Secretive {
    fn kind(&self) -> &'static str {
        "secretive"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::none().with_local_clock(true)
    }
    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        Arc::clone(&self.0).acquire(request).await
    }
    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        Arc::clone(&self.0).release(request).await
    }
    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        Arc::clone(&self.0).status(key).await
    }
}

#[test]
fn counter_claims_can_fail_too() {
    let secretive = Secretive(Arc::new(MemoryBackend::new()));
    let report = run_blocking(&OneBackend::paused(secretive).lacking(NEEDS));
    let failed: BTreeSet<_> =
        report.failures().filter_map(|(claim, _)| claim.counter_claim()).collect();
    let expected =
        ["a_status_is_refused", "asking_to_queue_is_a_plain_attempt", "no_token_is_made_up"];
    assert!(failed.iter().eq(&expected), "{report}");
}

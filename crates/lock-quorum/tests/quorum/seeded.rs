//! The claims can fail: each defect of a quorum is rejected by the claim that is about it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use lock_core::backend::AnyBackend;

use crate::claims::{CLAIMS, Make};
use crate::naive::{Defect, NaiveQuorum};
use crate::store::Store;

fn with<const DEFECT: usize>(stores: &[Store]) -> AnyBackend {
    AnyBackend::new(NaiveQuorum::new(stores, Defect::ALL[DEFECT].0))
}

/// The names of the claims that this quorum does not keep.
fn failed(make: Make) -> Vec<&'static str> {
    let fails = |prove: &fn(Make) -> crate::claims::Proof| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let proof = AssertUnwindSafe(async move { prove(make).await }).catch_unwind();
        runtime.block_on(proof).is_err()
    };
    CLAIMS.iter().filter(|(_, prove)| fails(prove)).map(|(name, _)| *name).collect()
}

#[test]
fn each_defect_fails_the_claim_that_names_it() {
    let makes: [Make; Defect::ALL.len()] =
        [with::<0>, with::<1>, with::<2>, with::<3>, with::<4>, with::<5>, with::<6>, with::<7>];
    for (make, (defect, rejected_by)) in makes.into_iter().zip(Defect::ALL) {
        let failed = failed(make);
        match rejected_by {
            // The control that makes the others mean something.
            None => assert!(failed.is_empty(), "without a defect: {failed:?}"),
            Some(claim) => assert!(failed.contains(&claim), "{defect:?} fails only {failed:?}"),
        }
    }
}

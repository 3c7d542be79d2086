//! The suite can fail: each broken backend is rejected, by the claim that names its defect.

use std::collections::BTreeSet;

use lock_testkit::broken::{BrokenBackend, Defect};
use lock_testkit::conformance::{CLAIMS, Claim, OneBackend, Report, find, run_blocking};

fn report(backend: BrokenBackend) -> Report {
    run_blocking(&OneBackend::paused(backend))
}

fn failed(report: &Report) -> BTreeSet<String> {
    report.failures().map(|(claim, _)| claim.path()).collect()
}

#[test]
fn the_store_without_a_defect_keeps_every_claim() {
    let report = report(BrokenBackend::without_defect());
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.passed(), CLAIMS.len(), "{report}");
}

#[test]
fn each_defect_fails_the_claim_that_names_it() {
    let mut missed = Vec::new();
    for &defect in Defect::ALL {
        assert!(find(defect.rejected_by()).is_some(), "{defect:?} names no claim");
        let report = report(BrokenBackend::new(defect));
        if !failed(&report).contains(defect.rejected_by()) {
            missed.push(format!("{defect:?} passes {}\n{report}", defect.rejected_by()));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

/// What the core sees to alone, whatever the backend does.
const OF_THE_CORE: [&str; 14] = [
    "renewal::a_shorter_extend_lowers_the_local_deadline",
    "release::a_dropped_guard_is_not_kept_alive",
    "naming::names_that_are_not_allowed_are_refused",
    "loss::a_lease_is_lost_at_its_deadline",
    "loss::a_loss_is_final",
    "loss::a_release_ends_the_lease",
    "loss::a_loss_needs_no_answer",
    "execute::a_value_survives_a_failed_release",
    "execute::a_body_is_dropped_when_its_lease_is_lost",
    "execute::a_body_may_finish_after_a_loss",
    "manual_pair::releasing_what_is_not_held_is_false",
    "manual_pair::a_lost_answer_is_unknown",
    "options::leases_out_of_range_are_refused",
    "options::options_that_contradict_are_refused",
];

#[test]
fn every_other_claim_is_failed_by_some_defect() {
    let mut rejected = BTreeSet::new();
    for &defect in Defect::ALL {
        let failed = failed(&report(BrokenBackend::new(defect)));
        // One that fails nearly everything says nothing about the single claim.
        if failed.len() < CLAIMS.len() / 2 {
            rejected.extend(failed);
        }
        rejected.insert(defect.rejected_by().to_owned());
    }
    let never: Vec<_> =
        CLAIMS.iter().map(Claim::path).filter(|path| !rejected.contains(path)).collect();
    assert_eq!(never, OF_THE_CORE);
}

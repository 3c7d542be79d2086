//! The suite can fail: each broken backend is rejected, by the claim that names its defect.

use std::collections::BTreeSet;

use lock_testkit::broken::{BrokenBackend, Defect};
use lock_testkit::conformance::{CLAIMS, OneBackend, Report, find, run_blocking};

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

#[test]
fn every_claim_about_a_backend_can_fail() {
    let all: BTreeSet<_> = CLAIMS.iter().map(|claim| claim.path()).collect();
    let mut rejected = BTreeSet::new();
    for &defect in
        Defect::ALL.iter().filter(|d| !matches!(d, Defect::NeverAnswers | Defect::Panics))
    {
        rejected.extend(failed(&report(BrokenBackend::new(defect))));
    }
    let unfailed: Vec<_> = all.difference(&rejected).collect();
    assert!(unfailed.is_empty(), "no defect fails {unfailed:#?}");
}

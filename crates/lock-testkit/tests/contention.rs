//! Contention finds what a missing owner check does, and nothing where there is one.

use std::fs::File;
use std::io::BufReader;
use std::time::Duration;

use lock_core::backend::AnyBackend;
use lock_core::memory::MemoryBackend;
use lock_testkit::broken::{BrokenBackend, Defect};
use lock_testkit::contention::{Contention, Tally};
use lock_testkit::history::{Claims, History, Recorder, Report, Violation};

/// A worker can stall between its last look at the deadline and its record.
fn claims() -> Claims {
    Claims::new().require_tokens().tolerate_late_use(Duration::from_secs(10))
}

async fn contend(store: AnyBackend) -> lock_core::Result<(Tally, Report)> {
    let recorder = Recorder::new("here");
    let backends = vec![store.clone(), store];
    let tally = Contention::new("contended").run(backends, &recorder).await?;
    Ok((tally, recorder.history().check(&claims())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_rounds_on_memory_are_clean() {
    let (tally, report) = contend(AnyBackend::new(MemoryBackend::new())).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((tally.served, tally.overstayed), (1_000, 10), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_a_defect_is_clean() {
    let (_, report) = contend(AnyBackend::new(BrokenBackend::without_defect())).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_owner_check_shows_as_an_overlap() {
    let (_, report) =
        contend(AnyBackend::new(BrokenBackend::new(Defect::NoOwnerCheck))).await.unwrap();
    let overlaps = |violation: &Violation| matches!(violation, Violation::Overlap { .. });
    assert!(report.violations.iter().any(overlaps), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_records_of_several_processes_are_checked_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = AnyBackend::new(MemoryBackend::new());
    let processes = ["p1", "p2"].map(|process| {
        let recorder =
            Recorder::with_writer(process, File::create(folder.path().join(process)).unwrap());
        let (store, contention) = (store.clone(), Contention::new("contended").rounds(300));
        tokio::spawn(async move {
            contention.run(vec![store], &recorder).await.unwrap();
            recorder.flush().unwrap();
        })
    });
    for process in processes {
        process.await.unwrap();
    }
    let mut history = History::default();
    for process in ["p1", "p2"] {
        let file = File::open(folder.path().join(process)).unwrap();
        history.merge(History::read_lines(BufReader::new(file)).unwrap());
    }
    assert_eq!(history.leases.len(), 600);
    let report = history.check(&claims());
    assert!(report.is_clean(), "{report}");
}

//! The guide's table of metrics is what a recorder gets.
#![cfg(feature = "metrics")]
#![expect(clippy::unwrap_used, reason = "tests, helpers included, fail by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use distlock::LockService;
use metrics::Unit;
use metrics_util::MetricKind;
use metrics_util::debugging::DebuggingRecorder;

const GUIDE: &str = include_str!("../../../docs/guide/telemetry.md");

/// Of a metric: type, unit, and its labels with their values, but for those that all have.
type Row = (String, String, BTreeMap<String, Vec<String>>);

#[test]
fn the_guide_lists_what_is_recorded_and_nothing_else() {
    let recorded = recorded();
    let rows = rows();
    let names = |of: &BTreeMap<String, Row>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&rows), names(&recorded));
    for (name, (kind, unit, labels)) in &recorded {
        let (listed_kind, listed_unit, listed_labels) = &rows[name];
        assert_eq!((listed_kind, listed_unit), (kind, unit), "{name}");
        let keys =
            |labels: &BTreeMap<String, Vec<String>>| labels.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(listed_labels), keys(labels), "{name}");
        for (label, values) in labels {
            let (mut listed, mut values) = (listed_labels[label].clone(), values.clone());
            listed.sort();
            values.sort();
            assert_eq!(listed, values, "the values of {label} of {name}");
        }
    }
}

/// What there is of a service that was used once.
fn recorded() -> BTreeMap<String, Row> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let locks = LockService::memory();
        distlock::blocking::LockService::from(locks).ping().unwrap();
    });
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (key, unit, text, _) in snapshotter.snapshot().into_vec() {
        let (kind, key) = key.into_parts();
        assert!(text.is_some_and(|text| !text.is_empty()), "{} is not described", key.name());
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let unit = unit.map_or("ratio", |unit: Unit| match unit {
            Unit::Count => "count",
            Unit::Seconds => "seconds",
            other => other.as_str(),
        });
        let row = rows
            .entry(key.name().to_owned())
            .or_insert_with(|| (kind.to_owned(), unit.to_owned(), BTreeMap::new()));
        let mut labels: Vec<_> = key.labels().collect();
        for shared in ["backend", "store"] {
            let at = labels.iter().position(|label| label.key() == shared);
            labels.remove(at.unwrap());
        }
        for label in labels {
            row.2.entry(label.key().to_owned()).or_default().push(label.value().to_owned());
        }
    }
    rows
}

/// The rows of the guide's table; the words between backticks in the text are values of the label.
fn rows() -> BTreeMap<String, Row> {
    let table = GUIDE.lines().skip_while(|line| !line.starts_with("| metric | type |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let words = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    };
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let values = words(cells[5]);
        let labels = words(cells[4]).into_iter().map(|label| (label, values.clone())).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), cells[3].to_owned(), labels))
    })
    .collect()
}

#[test]
fn metrics_are_told_to_the_recorder_of_the_first_use() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let locks = distlock::blocking::LockService::from(LockService::memory());
    metrics::with_local_recorder(&recorder, || {
        locks.lock("x").ttl(Duration::from_secs(60)).acquire().unwrap().release();
    });
    // Without the recorder as well: the handles are kept.
    locks.lock("x").acquire().unwrap().release();
    let acquired = snapshotter.snapshot().into_vec().into_iter().find(|(key, ..)| {
        let is_outcome = |label: &metrics::Label| label.value() == "acquired";
        key.key().name() == "distlock_acquisitions_total" && key.key().labels().any(is_outcome)
    });
    assert_eq!(acquired.unwrap().3, metrics_util::debugging::DebugValue::Counter(2));
}

//! The dashboard for Grafana shows what there is.
#![expect(clippy::unwrap_used, reason = "tests, helpers included, fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use distlock::LockService;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../../docs/monitoring/grafana-dashboard.json");

/// Labels that Prometheus or its histograms add.
const ADDED: [&str; 2] = ["job", "le"];

#[test]
fn the_dashboard_names_each_metric_and_no_other_and_only_labels_that_it_has() {
    let there = there();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title} explains nothing");
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let used = metrics(query);
            assert!(!used.is_empty(), "{title}: {query}");
            for metric in &used {
                let labels = there.get(metric).unwrap_or_else(|| panic!("{title}: no {metric}"));
                let unknown: Vec<_> =
                    labels_of(query).into_iter().filter(|label| !labels.contains(label)).collect();
                assert!(unknown.is_empty(), "{title}: {metric} has no {unknown:?}");
            }
            shown.extend(used);
        }
    }
    assert_eq!(shown, there.into_keys().collect());
}

#[test]
fn the_dashboard_asks_for_each_kind_of_metric_in_its_way() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let targets = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| {
        panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap())
    });
    for query in targets {
        // A counter says nothing but how fast it rises. What is written for one rhythm of scrapes
        // misses what others bring, so the window is Grafana's, or long.
        for (at, _) in query.match_indices("_total{") {
            let (before, after) = query.split_at(at);
            assert!(before.contains("rate(") || before.contains("increase("), "{query}");
            assert!(after.contains("}[$__rate_interval]") || after.contains("}[1h]"), "{query}");
        }
        // Quantiles of buckets can be summed over instances, as long as the buckets stay apart.
        let is_quantile = query.starts_with("histogram_quantile(");
        assert_eq!(is_quantile, query.contains("_bucket{"), "{query}");
        assert_eq!(is_quantile, query.contains("by (le, "), "{query}");
    }
}

#[test]
fn the_alerts_of_the_guide_name_metrics_and_labels_that_there_are() {
    let there = there();
    let guide = include_str!("../../../docs/guide/telemetry.md");
    let rules: Vec<_> = guide.lines().filter_map(|line| line.strip_prefix("    expr: ")).collect();
    assert_eq!(rules.len(), 3);
    for rule in rules {
        let (used, labels) = (metrics(rule), labels_of(rule));
        assert!(
            !used.is_empty() && used.iter().all(|metric| there[metric].is_superset(&labels)),
            "{rule}"
        );
    }
}

/// The metrics of a service that was used once, with their labels, as Prometheus scrapes them.
fn there() -> BTreeMap<String, BTreeSet<String>> {
    let buckets = [0.1, 1.0];
    let recorder = PrometheusBuilder::new().set_buckets(&buckets).unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let locks = distlock::blocking::LockService::from(LockService::memory());
        let held = locks.lock("x").acquire().unwrap();
        locks.lock("x").wait(std::time::Duration::from_millis(1)).acquire().unwrap_err();
        held.release();
        let kept = locks.lock("x").keep_alive().acquire().unwrap();
        kept.release();
    });
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let text = recorder.handle().render();
    for line in text.lines().filter(|line| line.starts_with("distlock_")) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap();
        let known = there.entry(without_suffix(name).to_owned()).or_default();
        known.extend(ADDED.map(ToOwned::to_owned));
        known.extend(
            labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned())),
        );
    }
    there
}

/// The metrics in a query.
fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("distlock_"));
    metrics.map(|word| without_suffix(word).to_owned()).collect()
}

/// The labels that a query groups by or selects.
fn labels_of(query: &str) -> BTreeSet<String> {
    let grouped = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let selected = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let names = |list: &str| -> Vec<String> {
        list.split(',')
            .filter_map(|one| one.split(['=', '!']).next())
            .map(|n| n.trim().to_owned())
            .collect()
    };
    grouped.chain(selected).flat_map(names).collect()
}

/// What Prometheus makes several series of is one metric.
fn without_suffix(name: &str) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"];
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

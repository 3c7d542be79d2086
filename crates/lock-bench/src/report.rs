//! Tables for people and JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::Sample;

/// What one contender did in all rounds.
pub(crate) struct Cell {
    pub(crate) contender: &'static str,
    pub(crate) workers: usize,
    pub(crate) awake: bool,
    pub(crate) rounds: Vec<Sample>,
    /// The rate of the first contender of the same rounds; each round is compared with itself.
    pub(crate) ratios: Vec<f64>,
    /// Server time of the acquire and the release script in µs, where they are scripts.
    pub(crate) script_micros: Option<(f64, f64)>,
}

#[derive(Default)]
pub(crate) struct Report(Vec<Value>);

impl Report {
    pub(crate) fn add(&mut self, workload: &str, cells: &[Cell]) {
        self.0.extend(cells.iter().map(|cell| {
            let scripts = cell.script_micros.map(|(acquire, release)| json!([acquire, release]));
            json!({
                "workload": workload,
                "contender": cell.contender,
                "workers": cell.workers,
                "awake": cell.awake,
                "pairs_per_second": cell.median(Sample::rate),
                "ratio": median(&cell.ratios),
                "p50_micros": cell.median(|s| s.latency(0.5)),
                "p99_micros": cell.median(|s| s.latency(0.99)),
                "max_micros": cell.median(|s| s.latency(1.0)),
                "cpu_micros_per_pair": cell.median(Sample::cpu_micros),
                "commands_per_pair": cell.median(Sample::commands_a_pair),
                "script_micros": scripts,
            })
        }));
    }

    pub(crate) fn to_json(&self) -> String {
        format!("{:#}\n", json!(self.0))
    }
}

impl Cell {
    fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(&self.rounds.iter().map(figure).collect::<Vec<_>>())
    }
}

pub(crate) fn table(cells: &[Cell]) -> String {
    let mut text = format!(
        "{:<16} {:>7} {:>6} {:>11} {:>18} {:>9} {:>9} {:>9} {:>8} {:>15}\n",
        "contender",
        "workers",
        "awake",
        "pairs/s",
        "ratio (min-max)",
        "p50 µs",
        "p99 µs",
        "cpu µs",
        "commands",
        "scripts µs"
    );
    for cell in cells {
        let (low, high) = bounds(&cell.ratios);
        let scripts = cell.script_micros.map_or(String::new(), |(a, r)| format!("{a:.2} + {r:.2}"));
        writeln!(
            text,
            "{:<16} {:>7} {:>6} {:>11.0} {:>5.2} ({low:.2}-{high:.2}) {:>9.2} {:>9.2} {:>9.2} {:>8.2} {scripts:>15}",
            cell.contender,
            cell.workers,
            if cell.awake { "yes" } else { "no" },
            cell.median(Sample::rate),
            median(&cell.ratios),
            cell.median(|s| s.latency(0.5)),
            cell.median(|s| s.latency(0.99)),
            cell.median(Sample::cpu_micros),
            cell.median(Sample::commands_a_pair),
        )
        .ok();
    }
    text
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn bounds(figures: &[f64]) -> (f64, f64) {
    figures.iter().fold((f64::INFINITY, 0.0), |(low, high), &x| (low.min(x), high.max(x)))
}

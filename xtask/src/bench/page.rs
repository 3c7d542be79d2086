//! `docs/benchmarks.md`: puts what was measured into its places, and leaves the text around them.

use std::fmt::Write;

use super::places;
use super::plot::{Bar, Chart, Group, short};
use super::results::{Cell, Results, Spread};

/// A figure's name, the heading of its column, by what it is multiplied to be read, and whether the
/// least and the greatest of the rounds are shown.
struct Column(&'static str, &'static str, f64, bool);

/// The place of the runs with other runtimes.
const OTHER_RUNTIMES: &str = "other runtimes";

const PAIRS: &[Column] = &[
    Column("pairs_per_second", "pairs/s", 1.0, false),
    Column("ratio", "to the first", 1.0, true),
    Column("pair_p50_micros", "p50 µs", 1.0, false),
    Column("pair_p99_micros", "p99 µs", 1.0, false),
    Column("commands_sent", "commands sent", 1.0, false),
    Column("server_micros", "server µs", 1.0, false),
    Column("cpu_seconds_per_1000", "client CPU ms per 1,000", 1e3, false),
];

const SECTIONS: &[Column] = &[
    Column("sections_per_second", "sections/s", 1.0, false),
    Column("ratio", "to the first", 1.0, true),
    Column("wait_p50_micros", "wait p50 ms", 1e-3, false),
    Column("wait_p99_micros", "p99 ms", 1e-3, false),
    Column("wait_max_micros", "longest ms", 1e-3, true),
    Column("overtaken_max", "overtaken by", 1.0, false),
    Column("jain", "Jain", 1.0, false),
    Column("sections_min", "fewest", 1.0, false),
    Column("sections_max", "most", 1.0, false),
    Column("commands_sent", "commands sent", 1.0, false),
    Column("commands_total", "commands run", 1.0, false),
    Column("server_micros", "server µs", 1.0, false),
    Column("cpu_seconds_per_1000", "client CPU ms per 1,000", 1e3, false),
    Column("hold_late_p99_micros", "hold late p99 µs", 1.0, false),
    Column("failures", "failures", 1.0, false),
    Column("violations", "violations", 1.0, false),
];

const SPECIAL: &[Column] = &[
    Column("bytes_per_lock", "bytes a lock", 1.0, true),
    Column("renewal_round_millis", "a renewal round ms", 1.0, true),
    Column("renewals_late", "late", 1.0, false),
    Column("lost", "lost", 1.0, false),
    Column("after_expiry_millis", "after the expiry ms", 1.0, true),
    Column("round_trips", "round trips", 1.0, true),
    Column("uploads", "scripts uploaded", 1.0, true),
    Column("all_served_millis", "all served ms", 1.0, true),
    Column("ratio", "to one load", 1.0, true),
    Column("loads", "loads", 1.0, false),
];

const FLEET: &[Column] = &[
    Column("sections", "sections", 1.0, false),
    Column("share_percent", "share %", 1.0, false),
    Column("of_contenders_share", "of 1/n", 1.0, false),
    Column("of_share_among_alike", "of what it gets among its like", 1.0, false),
    Column("wait_max_millis", "longest ms", 1.0, false),
    Column("failures", "failures", 1.0, false),
    Column("violations", "violations", 1.0, false),
];

/// The workloads, and what their tables show.
const ALL: &[(&str, &[Column])] = &[
    ("W1", PAIRS),
    ("W2", PAIRS),
    ("W3", SECTIONS),
    ("W3t", SECTIONS),
    ("W4", SECTIONS),
    ("W4x", SECTIONS),
    ("W3p", SECTIONS),
    ("W4p", SECTIONS),
    ("W1c", PAIRS),
    ("W2c", PAIRS),
    ("W3c", SECTIONS),
    ("W5", PAIRS),
    ("W6", PAIRS),
    ("W7", PAIRS),
    ("W8", SPECIAL),
    ("W9", SPECIAL),
    ("W10", SPECIAL),
    ("W11", SPECIAL),
    ("W12", FLEET),
];

/// What figures are of: they say little without it.
pub(super) struct Origin {
    pub(super) code: String,
    pub(super) machine: String,
}

/// The page and its plots, by their names.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) plots: Vec<(&'static str, String)>,
}

/// Says what is missing if a workload that is wanted has no place in the page: nobody measures for
/// minutes to learn it afterwards.
pub(super) fn check(page: &str, wants: impl Fn(&str) -> bool) -> Result<(), String> {
    let workloads = ALL.iter().map(|(workload, _)| *workload).filter(|workload| wants(workload));
    workloads.chain([OTHER_RUNTIMES]).try_for_each(|name| places::find(page, name).map(drop))
}

/// The page with what was measured in its places. `others` are runs with other runtimes; `origin`
/// says of what code and on which machine.
pub(super) fn update(
    page: &str,
    results: &Results,
    others: &[Results],
    origin: &Origin,
) -> Result<Page, String> {
    let mut page = Page { text: page.to_owned(), plots: Vec::new() };
    let Origin { code, machine } = origin;
    let (server, runtime) = (results.server(), results.runtime());
    for (workload, columns) in ALL {
        let cells = results.cells(workload);
        if cells.is_empty() {
            continue;
        }
        let mut text =
            format!("Code of {code}, on {server}, with {runtime} in each process, on {machine}.\n");
        for (name, alt, chart) in charts(workload, &cells) {
            write!(text, "\n![{alt}](benchmarks/{name})\n").ok();
            page.plots.push((name, chart.to_svg()));
        }
        text += &format!("\n{}", table(&cells, columns));
        page.text = places::fill(&page.text, workload, &text)?;
    }
    if !others.is_empty() {
        let mut text = format!("Code of {code}, on {server}, on {machine}.\n");
        for other in others {
            let table = table(&other.cells("W2"), PAIRS);
            write!(text, "\n{}, W2:\n\n{table}", other.runtime()).ok();
        }
        page.text = places::fill(&page.text, OTHER_RUNTIMES, &text)?;
    }
    Ok(page)
}

/// Columns that nobody fills are left out.
fn table(cells: &[Cell<'_>], columns: &[Column]) -> String {
    let is_filled = |column: &&Column| cells.iter().any(|cell| cell.figure(column.0).is_some());
    let columns: Vec<&Column> = columns.iter().filter(is_filled).collect();
    let is_spread = cells.iter().any(|cell| cell.processes() > 1);
    let is_awake = cells.iter().any(Cell::is_kept_awake);
    let mut head = vec!["contender", "workers"];
    head.extend(is_spread.then_some("processes"));
    head.extend(is_awake.then_some("CPUs awake"));
    head.extend(columns.iter().map(|column| column.1));
    let mut text = row(&head.iter().map(ToString::to_string).collect::<Vec<_>>());
    text += &row(&vec!["---".to_owned(); head.len()]);
    for cell in cells {
        let mut line = vec![cell.contender().to_owned(), cell.workers().to_string()];
        line.extend(is_spread.then(|| cell.processes().to_string()));
        line.extend(is_awake.then(|| if cell.is_kept_awake() { "yes" } else { "no" }.to_owned()));
        line.extend(columns.iter().map(|column| column.show(cell.figure(column.0))));
        text += &row(&line);
    }
    text
}

fn row(fields: &[String]) -> String {
    format!("| {} |\n", fields.join(" | "))
}

impl Column {
    fn show(&self, figure: Option<Spread>) -> String {
        let Some(Spread { median, min, max }) = figure else { return String::new() };
        let show = |figure: f64| {
            let figure = figure * self.2;
            // What is counted has no fractions, and a share of exactly 1 is not one that is rounded.
            match self.0 {
                "jain" | "commands_sent" => format!("{figure:.3}"),
                _ if figure.fract() == 0.0 => format!("{figure:.0}"),
                _ => short(figure),
            }
        };
        if self.3 && min < max {
            format!("{} ({}–{})", show(median), show(min), show(max))
        } else {
            show(median)
        }
    }
}

/// File name, what it shows in words, and the chart.
fn charts(workload: &str, cells: &[Cell<'_>]) -> Vec<(&'static str, String, Chart)> {
    let plots: &[(&str, &str, &str, f64)] = match workload {
        "W1" => &[("w1.svg", "W1: pairs per second", "pairs_per_second", 1.0)],
        "W2" => &[("w2.svg", "W2: pairs per second", "pairs_per_second", 1.0)],
        "W3" => &[
            ("w3-rate.svg", "W3: sections per second", "sections_per_second", 1.0),
            ("w3-wait.svg", "W3: longest wait in ms", "wait_max_micros", 1e-3),
        ],
        "W3t" => &[("w3t-wait.svg", "W3t: wait p99 in ms", "wait_p99_micros", 1e-3)],
        "W4" => &[
            ("w4-rate.svg", "W4: sections per second", "sections_per_second", 1.0),
            ("w4-wait.svg", "W4: longest wait in ms", "wait_max_micros", 1e-3),
        ],
        "W4p" => &[("w4p-rate.svg", "W4p: sections per second", "sections_per_second", 1.0)],
        _ => &[],
    };
    let chart = |(name, title, figure, scale): &(&'static str, &str, &str, f64)| {
        let title = (*title).to_owned();
        (*name, title.clone(), Chart { title, groups: groups(cells, figure, *scale) })
    };
    plots.iter().map(chart).collect()
}

/// A group for each setting, in the order of the cells.
fn groups(cells: &[Cell<'_>], figure: &str, scale: f64) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for cell in cells {
        let Some(Spread { median, min, max }) = cell.figure(figure) else { continue };
        let label = setting(cell);
        let range = (min * scale, max * scale);
        let bar = Bar { name: cell.contender().to_owned(), value: median * scale, range };
        match groups.last_mut() {
            Some(group) if group.label == label => group.bars.push(bar),
            _ => groups.push(Group { label, bars: vec![bar] }),
        }
    }
    groups
}

fn setting(cell: &Cell<'_>) -> String {
    let many = |count: u64, one: &str, more: &str| {
        format!("{count} {}", if count == 1 { one } else { more })
    };
    let mut text = many(cell.workers(), "worker", "workers");
    text += &format!(", {}", many(cell.processes(), "process", "processes"));
    if cell.is_kept_awake() { text + ", CPUs kept awake" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let cell = |workload: &str, contender: &str, processes: u64| {
            serde_json::json!({
                "workload": workload, "contender": contender, "workers": 16,
                "processes": processes, "awake": false,
                "figures": {
                    "sections_per_second": { "median": 800.0, "min": 700.0, "max": 900.0 },
                    "wait_max_micros": { "median": 20_000.0, "min": 19_000.0, "max": 21_000.0 },
                    "jain": { "median": 1.0, "min": 1.0, "max": 1.0 },
                },
            })
        };
        let cells = [cell("W3", "raw", 1), cell("W3", "distlock", 1), cell("W3", "raw", 4)];
        let json = serde_json::json!({ "server": "redis-7.0", "runtime": "2 worker threads",
            "cells": cells });
        Results::parse(&json.to_string()).unwrap()
    }

    fn origin() -> Origin {
        Origin { code: "2026-01-02 (`1a2b3c4`)".to_owned(), machine: "2 cores".to_owned() }
    }

    fn published() -> String {
        let path = crate::paths::root().join("docs/benchmarks.md");
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_place_shows_what_was_measured_and_of_what_code() {
        let page = update(&published(), &results(), &[], &origin()).unwrap();
        let place = places::find(&page.text, "W3").unwrap();
        assert!(place.contains("Code of 2026-01-02 (`1a2b3c4`), on redis-7.0, with 2 worker"));
        assert!(place.contains("| distlock | 16 | 1 | 800 | 20 (19–21) | 1.000 |"), "{place}");
        // Nobody filled this column.
        assert!(!place.contains("commands sent |"), "{place}");
    }

    #[test]
    fn all_but_the_places_of_what_was_measured_stays_as_it_was() {
        let before = published();
        let after = update(&before, &results(), &[results()], &origin()).unwrap().text;
        assert_ne!(after, before);
        let without = |page: &str| {
            let page = places::fill(page, "W3", "").unwrap();
            places::fill(&page, OTHER_RUNTIMES, "").unwrap()
        };
        assert_eq!(without(&after), without(&before));
    }

    #[test]
    fn the_published_page_has_a_place_for_each_workload() {
        check(&published(), |_| true).unwrap();
        let without_w5 = published().replace("bench: W5 -->", "bench: W55 -->");
        assert!(check(&without_w5, |_| true).unwrap_err().contains("W5"));
        check(&without_w5, |workload| workload == "W3").unwrap();
    }

    #[test]
    fn a_place_links_exactly_its_plots() {
        let page = update(&published(), &results(), &[], &origin()).unwrap();
        let names: Vec<_> = page.plots.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["w3-rate.svg", "w3-wait.svg"]);
        assert_eq!(places::find(&page.text, "W3").unwrap().matches("](benchmarks/").count(), 2);
    }

    #[test]
    fn cells_of_one_setting_are_one_group() {
        let results = results();
        let groups = groups(&results.cells("W3"), "sections_per_second", 1.0);
        let labels: Vec<_> = groups.iter().map(|group| group.label.as_str()).collect();
        assert_eq!(labels, ["16 workers, 1 process", "16 workers, 4 processes"]);
    }

    #[test]
    fn figures_keep_the_digits_that_their_targets_need() {
        let column = Column("commands_sent", "", 1.0, false);
        let figure = Spread { median: 2.0149, min: 2.0, max: 2.1 };
        assert_eq!(column.show(Some(figure)), "2.015");
        assert_eq!(column.show(None), "");
    }
}

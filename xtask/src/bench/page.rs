//! `docs/benchmarks.md`: what was measured, how, and what came of it.

use std::fmt::Write;

use super::plot::{Bar, Chart, Group, short};
use super::results::{Cell, Results, Spread};

/// A figure's name, the heading of its column, by what it is multiplied to be read, and whether the
/// least and the greatest of the rounds are shown.
struct Column(&'static str, &'static str, f64, bool);

/// Workloads that are shown in one table.
struct Section {
    workload: &'static str,
    title: &'static str,
    /// What a reader looks for, one sentence a line.
    about: &'static str,
    columns: &'static [Column],
}

const INTRODUCTION: &str = include_str!("introduction.md");
/// The figures of `lock-bench failovers`, which take too long to be measured with the others.
const FAILOVERS: &str = include_str!("failovers.md");

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

const ALL: &[Section] = &[
    Section {
        workload: "W1",
        title: "One task",
        about: "One task acquires and releases a lock that nobody else wants, again and again.\n\
                Unless the CPUs are kept awake, this mostly measures how long a halted CPU takes to wake up; compare the rows in which they are awake.",
        columns: PAIRS,
    },
    Section {
        workload: "W2",
        title: "64 tasks, 64 locks",
        about: "Nobody waits for anybody, so this measures what a pair costs.\n\
                The server is the limit: for each pair it needs the time of both scripts, and 1.2 µs to read and write.",
        columns: PAIRS,
    },
    Section {
        workload: "W3",
        title: "16 workers, one lock, held for 1 ms",
        about: "If the lock changed hands in no time, there would be 1,000 sections a second.\n\
                Without a queue, the worker that has just released the lock usually gets it again: look first at the longest wait, and at how many sections each worker had.",
        columns: SECTIONS,
    },
    Section {
        workload: "W3t",
        title: "The same, with 5 ms of thought on average",
        about: "After each release, a worker does something else for a random time.",
        columns: SECTIONS,
    },
    Section {
        workload: "W4",
        title: "2 to 256 workers, one lock, released at once",
        about: "This measures nothing but how fast a lock changes hands.",
        columns: SECTIONS,
    },
    Section {
        workload: "W4x",
        title: "4 and 16 processes of one worker each, released at once",
        about: "Nobody shares anything but the server; the ratio is to raw.",
        columns: SECTIONS,
    },
    Section {
        workload: "W3p",
        title: "Hand-over inside a process: held for 1 ms",
        about: "A lock is handed over from one task of a process to the next without a round trip, at most 64 times and for at most 5 ms in a row.",
        columns: SECTIONS,
    },
    Section {
        workload: "W4p",
        title: "Hand-over inside a process: released at once",
        about: "The same, with locks that are not held for any time.",
        columns: SECTIONS,
    },
    Section {
        workload: "W1c",
        title: "One task, on a cluster",
        about: "As W1, on one server and on a cluster of three masters, which take turns; without replicas, as the one server has none.\n\
                All of them share the CPUs of this machine.",
        columns: PAIRS,
    },
    Section {
        workload: "W2c",
        title: "64 tasks, 64 locks, on a cluster",
        about: "The same, as W2: the locks are spread over all masters.",
        columns: PAIRS,
    },
    Section {
        workload: "W3c",
        title: "16 workers, one lock, held for 1 ms, on a cluster",
        about: "The same, as W3: one master has the lock.",
        columns: SECTIONS,
    },
    Section {
        workload: "W5",
        title: "A quorum of three servers",
        about: "One task acquires and releases a lock on one server, and on a majority of three.\n\
                All servers are on this machine, so the work of three of them shares its CPUs; between machines, only the way of the answers counts.\n\
                What that costs by itself shows \"raw, quorum of 3\": the same commands to three servers at once by the `redis` crate, which waits for all answers and looks after nothing.",
        columns: PAIRS,
    },
    Section {
        workload: "W6",
        title: "The memory store",
        about: "Compared with `tokio::sync::Mutex::lock_owned` and a drop. A mutex is not a lease: it has no deadline and no owner, and needs no clock.",
        columns: PAIRS,
    },
    Section {
        workload: "W7",
        title: "A Dapr sidecar",
        about: "Compared with a bare loop of the same two calls. The sidecar is the limit.",
        columns: PAIRS,
    },
    Section {
        workload: "W8",
        title: "100,000 locks kept alive",
        about: "The memory that the process needs for each lock, without its name, and the time in which all locks are renewed once.",
        columns: SPECIAL,
    },
    Section {
        workload: "W9",
        title: "A holder that is killed",
        about: "Its lease is 2 s. The figure is how long after the end of that lease the first waiter has the lock.",
        columns: SPECIAL,
    },
    Section {
        workload: "W10",
        title: "The first lock of a process",
        about: "How many round trips a new service needs for its first lock, those of the connection included, and how many scripts were uploaded after that.",
        columns: SPECIAL,
    },
    Section {
        workload: "W11",
        title: "A stampede",
        about: "1,000 tasks of a process want the same lock. The first loads something for 20 ms, and the others find it loaded.",
        columns: SPECIAL,
    },
    Section {
        workload: "W12",
        title: "Beside other libraries",
        about: "One lock, held for 2 to 5 ms, with 10 ms between a release and the next wish; each contender is a process.\n\
                Those named \"every …\" ask with `SET NX PX` in this rhythm, as other libraries do, and release by a script that compares and deletes.\n\
                Before the colon is how the library is used beside them.\n\
                \"Of 1/n\" compares the share of all sections with that of an equal task among n.\n\
                Who asks only now and then cannot have that much, so the next column compares it with what it gets among as many that all do as it does.\n\
                For this library, that column is what the company of the others costs.",
        columns: FLEET,
    },
];

/// The page and its plots, by their names.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) plots: Vec<(&'static str, String)>,
}

/// `others` are runs with other runtimes.
pub(super) fn write(results: &Results, others: &[Results], machine: &str) -> Page {
    let mut text = INTRODUCTION.to_owned();
    let (server, runtime) = (results.server(), results.runtime());
    write!(
        text,
        "\n## This run\n\nMachine: {machine}.\nServer: {server}, on the same machine.\n\
         Client: {runtime} in each process, except where another runtime is named.\n"
    )
    .ok();
    let mut plots = Vec::new();
    for section in ALL {
        let cells = results.cells(section.workload);
        if cells.is_empty() {
            continue;
        }
        write!(text, "\n## {}: {}\n\n{}\n", section.workload, section.title, section.about).ok();
        for (name, alt, chart) in charts(section.workload, &cells) {
            write!(text, "\n![{alt}](benchmarks/{name})\n").ok();
            plots.push((name, chart.to_svg()));
        }
        text += &format!("\n{}", table(&cells, section.columns));
    }
    if !others.is_empty() {
        text += "\n## Other runtimes\n\nThe number of threads of the runtime changes more than the choice of the library does.\n";
    }
    for other in others {
        write!(text, "\n{}, W2:\n\n{}", other.runtime(), table(&other.cells("W2"), PAIRS)).ok();
    }
    text += "\n";
    text += FAILOVERS;
    Page { text, plots }
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

    #[test]
    fn a_page_shows_what_was_measured_and_nothing_else() {
        let page = write(&results(), &[], "2 cores");
        assert!(page.text.contains("## W3: 16 workers") && !page.text.contains("## W4"));
        assert!(
            page.text.contains("| distlock | 16 | 1 | 800 | 20 (19–21) | 1.000 |"),
            "{}",
            page.text
        );
        assert!(!page.text.contains("commands sent |"), "{}", page.text);
    }

    #[test]
    fn a_page_links_exactly_its_plots() {
        let page = write(&results(), &[], "2 cores");
        let names: Vec<_> = page.plots.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["w3-rate.svg", "w3-wait.svg"]);
        assert_eq!(page.text.matches("](benchmarks/").count(), names.len());
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

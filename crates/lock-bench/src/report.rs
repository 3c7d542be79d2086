//! Tables for people and JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::figures::{Cell, Spread};

/// A figure's name, its heading, by what it is multiplied to be read, and its decimals.
struct Column(&'static str, &'static str, f64, usize);

/// Those that are not spread enough to be worth a column, such as p50s of lateness, are in the JSON.
const COLUMNS: [Column; 35] = [
    Column("pairs_per_second", "pairs/s", 1.0, 0),
    Column("sections", "sections", 1.0, 0),
    Column("share_percent", "share %", 1.0, 1),
    Column("of_contenders_share", "of 1/n", 1.0, 2),
    Column("of_share_among_alike", "of alike", 1.0, 2),
    Column("wait_max_millis", "longest ms", 1.0, 0),
    Column("sections_per_second", "sections/s", 1.0, 0),
    Column("ratio", "ratio", 1.0, 2),
    Column("pair_p50_micros", "p50 µs", 1.0, 2),
    Column("pair_p99_micros", "p99 µs", 1.0, 2),
    Column("wait_p50_micros", "wait p50 µs", 1.0, 0),
    Column("wait_p99_micros", "p99 µs", 1.0, 0),
    Column("wait_max_micros", "max µs", 1.0, 0),
    Column("open_wait_max_micros", "open µs", 1.0, 0),
    Column("overtaken_max", "overtaken", 1.0, 0),
    Column("jain", "jain", 1.0, 3),
    Column("sections_min", "min", 1.0, 0),
    Column("sections_max", "max", 1.0, 0),
    Column("commands_sent", "sent", 1.0, 3),
    Column("commands_total", "total", 1.0, 2),
    Column("server_micros", "server µs", 1.0, 2),
    Column("cpu_seconds_per_1000", "cpu ms/1000", 1e3, 1),
    Column("hold_late_p50_micros", "late p50 µs", 1.0, 1),
    Column("hold_late_p99_micros", "p99 µs", 1.0, 0),
    Column("failures", "failed", 1.0, 0),
    Column("violations", "violated", 1.0, 0),
    Column("bytes_per_lock", "bytes/lock", 1.0, 0),
    Column("renewal_round_millis", "renewal ms", 1.0, 1),
    Column("renewals_late", "late", 1.0, 0),
    Column("lost", "lost", 1.0, 0),
    Column("after_expiry_millis", "after expiry ms", 1.0, 2),
    Column("round_trips", "round trips", 1.0, 0),
    Column("uploads", "uploads", 1.0, 0),
    Column("all_served_millis", "all served ms", 1.0, 2),
    Column("loads", "loads", 1.0, 0),
];

#[derive(Default)]
pub(crate) struct Report(Vec<Value>);

impl Report {
    pub(crate) fn add(&mut self, workload: &str, cells: &[Cell]) {
        self.0.extend(cells.iter().map(|cell| cell.to_json(workload)));
    }

    /// The cells, under what is said of the run.
    pub(crate) fn to_json(&self, about: Value) -> String {
        let mut report = json!({ "cells": self.0 });
        if let (Some(report), Value::Object(about)) = (report.as_object_mut(), about) {
            report.extend(about);
        }
        format!("{report:#}\n")
    }
}

/// Medians; of ratios also the least and the greatest. Columns that nobody fills are left out.
pub(crate) fn table(cells: &[Cell]) -> String {
    let columns: Vec<_> = COLUMNS
        .iter()
        .filter(|column| cells.iter().any(|cell| cell.figure(column.0).is_some()))
        .collect();
    let mut text = format!("{:<18} {:>7} {:>5} {:>5}", "contender", "workers", "procs", "awake");
    for column in &columns {
        write!(text, " {:>1$}", column.1, column.width()).ok();
    }
    text.push('\n');
    for cell in cells {
        let awake = if cell.awake { "yes" } else { "no" };
        let Cell { contender, workers, processes, .. } = cell;
        write!(text, "{contender:<18} {workers:>7} {processes:>5} {awake:>5}").ok();
        for column in &columns {
            let figure = cell.figure(column.0).map(|spread| column.show(spread));
            write!(text, " {:>1$}", figure.unwrap_or_default(), column.width()).ok();
        }
        text.push('\n');
    }
    text
}

impl Column {
    fn width(&self) -> usize {
        if self.0 == "ratio" { 18 } else { self.1.chars().count().max(8) }
    }

    fn show(&self, Spread { median, min, max }: Spread) -> String {
        let Self(name, _, scale, decimals) = self;
        let median = median * scale;
        if *name == "ratio" {
            format!("{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
        } else {
            format!("{median:.decimals$}")
        }
    }
}

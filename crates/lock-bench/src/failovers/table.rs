//! What came of all rounds of a case, as a row of a table.

use std::time::Duration;

use super::load::Seen;

pub(crate) const HEAD: &str = "\
| what fails | replicas that confirm | rounds | locks/s before | nobody served for, ms | some name not served for, ms | \
attempts failed that wait | that do not | kept locks lost | overlaps in the history | numbers that fall |
|---|---|---|---|---|---|---|---|---|---|---|";

pub(crate) fn row(name: &str, replicas: u8, seen: &[Seen]) -> String {
    let times = |of: fn(&Seen) -> Duration| spread(seen.iter().map(|seen| of(seen).as_millis()));
    let sum = |of: fn(&Seen) -> usize| seen.iter().map(of).sum::<usize>();
    let mut rates: Vec<f64> = seen.iter().map(|seen| seen.rate).collect();
    rates.sort_by(f64::total_cmp);
    let rate = rates.get(rates.len() / 2).copied().unwrap_or_default();
    let other = match sum(|seen| seen.other) {
        0 => String::new(),
        other => format!(", {other} other"),
    };
    format!(
        "| {name} | {replicas} | {} | {rate:.0} | {} | {} | {} | {} | {} of {} | {}{other} | {} |",
        seen.len(),
        times(|seen| seen.paused),
        times(|seen| seen.name_paused),
        spread(seen.iter().map(|seen| seen.failed as u128)),
        spread(seen.iter().map(|seen| seen.failed_at_once as u128)),
        sum(|seen| seen.lost),
        sum(|seen| seen.kept),
        sum(|seen| seen.overlaps),
        sum(|seen| seen.falling),
    )
}

/// The median, and the largest.
fn spread(values: impl Iterator<Item = u128>) -> String {
    let mut values: Vec<u128> = values.collect();
    values.sort_unstable();
    match (values.get(values.len() / 2), values.last()) {
        (Some(median), Some(worst)) => format!("{median} ({worst})"),
        _ => String::new(),
    }
}

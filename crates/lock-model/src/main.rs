//! `lock-model [--ci | --full | --list | --row NAME]`: explores rows and planted bugs.
//!
//! It exits with 0 if every row holds and every bug is found, with 1 if not, and with 2 if it
//! does not understand its arguments.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command line")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lock_model::attempt::{self, scenarios::Row};
use lock_model::handover::{self, scenarios::HandoverRow};
use lock_model::queue::{self, scenarios::QueueRow};
use lock_model::search::{End, Report, explore};

const USAGE: &str = "\
usage: lock-model [OPTION]
  --ci         the quick rows and every planted bug (the default)
  --full       every row and every planted bug
  --list       the names
  --row NAME   one row or planted bug, with its trace";

/// A row that grows beyond this is taken for a mistake.
const CAP: usize = 30_000_000;
/// The same of a quick row that must hold: more states take too long for every change. The search
/// for a bug ends where it is found.
const QUICK_CAP: usize = 1_000_000;

/// A row, and the property that it must break if it has a bug.
type Case = (AnyRow, Option<&'static str>);

/// A row of one of the models.
#[derive(Clone, Copy)]
enum AnyRow {
    Attempt(Row),
    Line(QueueRow),
    HandOver(HandoverRow),
}

impl AnyRow {
    const fn name(&self) -> &'static str {
        match self {
            Self::Attempt(row) => row.name,
            Self::Line(row) => row.name,
            Self::HandOver(row) => row.store.name,
        }
    }

    const fn has_bug(&self) -> bool {
        match self {
            Self::Attempt(row) => row.plant.is_some(),
            Self::Line(row) => row.plant.is_some(),
            Self::HandOver(row) => row.plant.is_some(),
        }
    }

    const fn is_quick(&self) -> bool {
        match self {
            Self::Attempt(row) => row.quick,
            Self::Line(row) => row.quick,
            Self::HandOver(row) => row.store.quick,
        }
    }

    fn explore(&self) -> Report {
        let cap = if self.is_quick() && !self.has_bug() { QUICK_CAP } else { CAP };
        match self {
            Self::Attempt(row) => explore(row, cap),
            Self::Line(row) => explore(row, cap),
            Self::HandOver(row) => explore(row, cap),
        }
    }
}

fn all_cases() -> Vec<Case> {
    let rows = attempt::scenarios::ROWS.iter().map(|row| AnyRow::Attempt(*row));
    let rows = rows.chain(queue::scenarios::ROWS.iter().map(|row| AnyRow::Line(*row)));
    let rows = rows.chain(handover::scenarios::ROWS.iter().map(|row| AnyRow::HandOver(*row)));
    let bugs = attempt::seeded_bugs::PLANTS
        .iter()
        .map(|(row, property)| (AnyRow::Attempt(*row), *property));
    let line_bugs = queue::seeded_bugs::PLANTS.iter();
    let bugs = bugs.chain(line_bugs.map(|(row, property)| (AnyRow::Line(*row), *property)));
    let hand_over_bugs = handover::seeded_bugs::PLANTS.iter();
    let bugs =
        bugs.chain(hand_over_bugs.map(|(row, property)| (AnyRow::HandOver(*row), *property)));
    rows.map(|row| (row, None)).chain(bugs.map(|(row, property)| (row, Some(property)))).collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let all = all_cases();
    let of = all.len();
    let filtered =
        |keep: &dyn Fn(&Case) -> bool| all.iter().copied().filter(keep).collect::<Vec<_>>();
    match arguments[..] {
        [] | ["--ci"] => run(&filtered(&|(row, _)| row.is_quick()), of, false),
        ["--full"] => run(&all, of, false),
        ["--row", name] => {
            let chosen = filtered(&|(row, _)| row.name() == name);
            if chosen.is_empty() {
                eprintln!("no row is named {name:?}; --list shows the names");
                return ExitCode::from(2);
            }
            run(&chosen, chosen.len(), true)
        }
        ["--list"] => {
            for (row, property) in all {
                let kind = match property {
                    Some(property) => format!("bug, breaks {property}"),
                    None if row.is_quick() => "row".to_owned(),
                    None => "row, only with --full".to_owned(),
                };
                println!("{:<34} {kind}", row.name());
            }
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Explores on as many threads as there are processors, and prints each result as it comes.
fn run(cases: &[Case], of: usize, with_trace: bool) -> ExitCode {
    let next = AtomicUsize::new(0);
    let passed = Mutex::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(cases.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = case.0.explore();
                    // Held while printing, so that no two results are mixed.
                    if let Ok(mut passed) = passed.lock() {
                        *passed += usize::from(judge(case, &report, with_trace));
                    }
                }
            });
        }
    });
    let passed = passed.into_inner().unwrap_or(0);
    let failed = cases.len() - passed;
    println!("{passed} passed, {failed} failed, {} skipped", of - cases.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge((row, expected): &Case, report: &Report, with_trace: bool) -> bool {
    let (good, said) = match (&report.end, expected) {
        (End::Exhausted, None) => (true, "holds".to_owned()),
        (End::Exhausted, Some(_)) => (false, "the bug is not found".to_owned()),
        (End::Capped, _) => (false, "more states than such a row may have".to_owned()),
        (End::Broken { property, .. }, Some(expected)) if property.starts_with(expected) => {
            (true, format!("found by {property}"))
        }
        (End::Broken { property, .. }, _) => (false, property.clone()),
    };
    let [overtaken, most, free] = report.extent;
    let said = match row {
        AnyRow::Line(_) if good && expected.is_none() => {
            format!("{said}; overtaken by {overtaken}, free for {most}, unasked for {free}")
        }
        AnyRow::HandOver(_) if good && expected.is_none() => {
            format!("{said}; overtaken by {overtaken} and {most} inside, free for {free}")
        }
        _ => said,
    };
    println!(
        "{} {:<34} {:>9} states {:>3} deep {:>6.1} s  {said}",
        if good { "ok  " } else { "FAIL" },
        row.name(),
        report.states,
        report.depth,
        report.took.as_secs_f64(),
    );
    if let End::Broken { trace, .. } = &report.end
        && (with_trace || !good)
    {
        for event in trace {
            println!("       {event}");
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names = HashSet::new();
        for (row, _) in all_cases() {
            assert!(names.insert(row.name()), "{}", row.name());
        }
    }
}

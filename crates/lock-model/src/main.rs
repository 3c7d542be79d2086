//! `lock-model [--ci | --full | --list | --scenario NAME]`: explores scenarios and seeded bugs.
//!
//! It exits with 0 if every scenario holds and every bug is found, with 1 if not, and with 2 if it
//! does not understand its arguments.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command line")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lock_model::search::{Case, End, Outline, Report};
use lock_model::{attempt, handover, queue};

const USAGE: &str = "\
usage: lock-model [OPTION]
  --ci              the quick scenarios and every seeded bug (the default)
  --full            every scenario and every seeded bug
  --list            the names
  --scenario NAME   one scenario or seeded bug, with its trace";

/// A scenario that grows beyond this is taken for a mistake.
const CAP: usize = 30_000_000;
/// The same of a quick scenario that must hold: more states take too long for every change. The
/// search for a bug ends where it is found.
const QUICK_CAP: usize = 1_000_000;

/// A scenario, and the property that it must break if a bug is seeded in it.
#[derive(Clone, Copy)]
struct Entry {
    case: &'static dyn Case,
    expected: Option<&'static str>,
}

impl Entry {
    fn explore(&self) -> Report {
        let Outline { quick, has_bug, .. } = self.case.outline();
        self.case.explore(if quick && !has_bug { QUICK_CAP } else { CAP })
    }
}

fn every_entry() -> Vec<Entry> {
    fn scenarios<C: Case>(cases: &'static [C]) -> impl Iterator<Item = Entry> {
        cases.iter().map(|case| Entry { case, expected: None })
    }
    fn bugs<C: Case>(cases: &'static [(C, &'static str)]) -> impl Iterator<Item = Entry> {
        cases.iter().map(|(case, property)| Entry { case, expected: Some(property) })
    }
    scenarios(attempt::scenarios::SCENARIOS)
        .chain(scenarios(queue::scenarios::SCENARIOS))
        .chain(scenarios(queue::scenarios_plain::SCENARIOS))
        .chain(scenarios(handover::scenarios::SCENARIOS))
        .chain(bugs(attempt::seeded_bugs::SEEDED_BUGS))
        .chain(bugs(queue::seeded_bugs::SEEDED_BUGS))
        .chain(bugs(queue::seeded_bugs_plain::SEEDED_BUGS))
        .chain(bugs(handover::seeded_bugs::SEEDED_BUGS))
        .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let all = every_entry();
    let of = all.len();
    match arguments[..] {
        [] | ["--ci"] => {
            let quick: Vec<_> =
                all.into_iter().filter(|entry| entry.case.outline().quick).collect();
            run(&quick, of, false)
        }
        ["--full"] => run(&all, of, false),
        ["--scenario", name] => {
            let named: Vec<_> =
                all.into_iter().filter(|entry| entry.case.outline().name == name).collect();
            if named.is_empty() {
                eprintln!("no scenario is named {name:?}; --list shows the names");
                return ExitCode::from(2);
            }
            run(&named, named.len(), true)
        }
        ["--list"] => {
            for Entry { case, expected } in all {
                let kind = match expected {
                    Some(property) => format!("bug, breaks {property}"),
                    None if case.outline().quick => "scenario".to_owned(),
                    None => "scenario, only with --full".to_owned(),
                };
                println!("{:<34} {kind}", case.outline().name);
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
fn run(entries: &[Entry], of: usize, with_trace: bool) -> ExitCode {
    let next = AtomicUsize::new(0);
    let passed = Mutex::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(entries.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = entry.explore();
                    // Held while printing, so that no two results are mixed.
                    if let Ok(mut passed) = passed.lock() {
                        *passed += usize::from(judge(entry, &report, with_trace));
                    }
                }
            });
        }
    });
    let passed = passed.into_inner().unwrap_or(0);
    let failed = entries.len() - passed;
    println!("{passed} passed, {failed} failed, {} skipped", of - entries.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(&Entry { case, expected }: &Entry, report: &Report, with_trace: bool) -> bool {
    let (good, said) = match (&report.end, expected) {
        (End::Exhausted, None) => (true, "holds".to_owned()),
        (End::Exhausted, Some(_)) => (false, "the bug is not found".to_owned()),
        (End::Capped, _) => (false, "more states than such a scenario may have".to_owned()),
        (End::Broken { property, .. }, Some(expected)) if property.starts_with(expected) => {
            (true, format!("found by {property}"))
        }
        (End::Broken { property, .. }, _) => (false, property.clone()),
    };
    let measured = case.describe(report.extent);
    let said = if good && expected.is_none() && !measured.is_empty() {
        format!("{said}; {measured}")
    } else {
        said
    };
    println!(
        "{} {:<34} {:>9} states {:>3} deep {:>6.1} s  {said}",
        if good { "ok  " } else { "FAIL" },
        case.outline().name,
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
        for Entry { case, .. } in every_entry() {
            assert!(names.insert(case.outline().name), "{}", case.outline().name);
        }
    }
}

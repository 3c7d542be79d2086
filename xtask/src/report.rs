//! The steps of a run: a line each as they end, a table and the sum at the end.

use std::fmt;
use std::time::{Duration, Instant};

/// How many tests and checks passed, failed, and were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// The last line of a run; its form is fixed, so that machines can read it.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// What a step found.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    pub(crate) counts: Counts,
    /// A few words for the step's line: what was checked, or why it was not.
    pub(crate) note: String,
    /// What a person needs to see of a failure.
    pub(crate) details: String,
}

impl Finding {
    pub(crate) fn passed(note: impl Into<String>) -> Self {
        let counts = Counts { passed: 1, ..Counts::default() };
        Self { counts, note: note.into(), details: String::new() }
    }

    pub(crate) fn failed(note: impl Into<String>, details: impl Into<String>) -> Self {
        let counts = Counts { failed: 1, ..Counts::default() };
        Self { counts, note: note.into(), details: details.into() }
    }

    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        let counts = Counts { skipped: 1, ..Counts::default() };
        Self { counts, note: why.into(), details: String::new() }
    }

    /// One finding for two: both counted, both told.
    pub(crate) fn and(self, other: Self) -> Self {
        let join = |a: String, b: String, between: &str| match (a.is_empty(), b.is_empty()) {
            (true, _) => b,
            (_, true) => a,
            _ => a + between + &b,
        };
        Self {
            counts: self.counts.plus(other.counts),
            note: join(self.note, other.note, ", "),
            details: join(self.details, other.details, "\n"),
        }
    }

    fn mark(&self) -> &'static str {
        match self.counts {
            Counts { failed: 1.., .. } => "FAILED",
            Counts { passed: 0, skipped: 1.., .. } => "SKIPPED",
            _ => "ok",
        }
    }
}

struct Step {
    name: String,
    finding: Finding,
    time: Duration,
}

/// All steps of a run so far.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Runs a step, and prints a line about it, with the details of a failure below it.
    pub(crate) fn step(&mut self, name: impl Into<String>, run: impl FnOnce() -> Finding) {
        let started = Instant::now();
        let finding = run();
        let step = Step { name: name.into(), finding, time: started.elapsed() };
        println!("{}", line(&step));
        for detail in step.finding.details.lines() {
            println!("{}", format!("    | {detail}").trim_end());
        }
        self.steps.push(step);
    }

    /// Prints the table of all steps, and the sum as the last line.
    pub(crate) fn finish(&self) -> Counts {
        print!("\n{}", self.table());
        let sum = self.sum();
        println!("\n{sum}");
        sum
    }

    fn sum(&self) -> Counts {
        self.steps.iter().fold(Counts::default(), |sum, step| sum.plus(step.finding.counts))
    }

    fn table(&self) -> String {
        let title = ["step", "", "passed", "failed", "skipped", "seconds"];
        let [name, mark, passed, failed, skipped, seconds] = title;
        let mut table =
            format!("{name:<24} {mark:<7} {passed:>6} {failed:>6} {skipped:>7} {seconds:>7}\n");
        for step in &self.steps {
            let Counts { passed, failed, skipped } = step.finding.counts;
            let (name, mark) = (&step.name, step.finding.mark());
            let seconds = step.time.as_secs_f64();
            table += &format!(
                "{name:<24} {mark:<7} {passed:>6} {failed:>6} {skipped:>7} {seconds:>7.1}\n"
            );
        }
        table
    }
}

fn line(step: &Step) -> String {
    let Step { name, finding, time } = step;
    let line =
        format!("{:<7} {name:<24} {:>6.1} s  {}", finding.mark(), time.as_secs_f64(), finding.note);
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_has_the_form_that_machines_read() {
        let mut report = Report::default();
        report.step("a", || Finding::passed("").and(Finding::passed("")));
        report.step("b", || Finding::skipped("no such tool"));
        report.step("c", || Finding::failed("1 finding", "x.rs:1: too long"));
        assert_eq!(report.sum().to_string(), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn step_with_any_failure_has_failed_and_one_without_a_pass_was_skipped() {
        assert_eq!(Finding::passed("").and(Finding::failed("", "")).mark(), "FAILED");
        assert_eq!(Finding::passed("").and(Finding::skipped("")).mark(), "ok");
        assert_eq!(Finding::skipped("").mark(), "SKIPPED");
    }

    #[test]
    fn joined_findings_tell_both() {
        let both = Finding::failed("a", "x").and(Finding::failed("b", "y"));
        assert_eq!((both.note.as_str(), both.details.as_str()), ("a, b", "x\ny"));
        assert_eq!(Finding::passed("").and(Finding::passed("b")).note, "b");
    }
}

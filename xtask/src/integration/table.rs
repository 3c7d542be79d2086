//! What came of the suites, image by image.

use std::fmt;
use std::time::Duration;

use crate::report::Counts;

/// What came of one suite on one image.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The name of the store.
    pub(super) store: &'static str,
    /// The image as the engine knows it: `redis:8`.
    pub(super) image: String,
    /// The beginning of its digest, or of its id if no registry gave it one.
    pub(super) id: String,
    pub(super) suite: &'static str,
    pub(super) counts: Counts,
    /// Claims that say nothing about this backend.
    pub(super) not_applicable: u64,
    pub(super) time: Duration,
}

impl Row {
    pub(super) fn mark(&self) -> &'static str {
        if self.counts.failed == 0 { "ok" } else { "FAILED" }
    }
}

/// All rows of a run, as a table.
#[derive(Debug, Default)]
pub(super) struct Table(pub(super) Vec<Row>);

impl Table {
    pub(super) fn sum(&self) -> Counts {
        self.0.iter().fold(Counts::default(), |sum, row| sum.plus(row.counts))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images = self.0.iter().map(|row| row.image.len());
        let width = images.max().unwrap_or_default().max("image".len());
        writeln!(
            f,
            "{:<8} {:<width$} {:<12} {:<11} {:<6} {:>6} {:>6} {:>14} {:>7}",
            "store", "image", "id", "suite", "", "passed", "failed", "not applicable", "seconds"
        )?;
        for row in &self.0 {
            let Row { store, image, id, suite, counts, not_applicable, time } = row;
            let (mark, passed, failed) = (row.mark(), counts.passed, counts.failed);
            let seconds = time.as_secs_f64();
            writeln!(
                f,
                "{store:<8} {image:<width$} {id:<12} {suite:<11} {mark:<6} {passed:>6} {failed:>6} \
                 {not_applicable:>14} {seconds:>7.1}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(suite: &'static str, passed: u64, failed: u64) -> Row {
        Row {
            store: "redis-8",
            image: "distlock-test/redis:8.2".into(),
            id: "0123456789ab".into(),
            suite,
            counts: Counts { passed, failed, skipped: 0 },
            not_applicable: 2,
            time: Duration::from_millis(1_250),
        }
    }

    #[test]
    fn every_row_is_shown_and_summed_up() {
        let table = Table(vec![row("conformance", 70, 0), row("examples", 4, 1)]);
        assert_eq!(table.sum().to_string(), "74 passed, 1 failed, 0 skipped");
        let text = table.to_string();
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "store image id suite passed failed not applicable seconds",
                "redis-8 distlock-test/redis:8.2 0123456789ab conformance ok 70 0 2 1.2",
                "redis-8 distlock-test/redis:8.2 0123456789ab examples FAILED 4 1 2 1.2",
            ]
        );
    }
}

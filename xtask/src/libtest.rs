//! Counts from what `cargo test` prints.

use crate::report::Counts;

/// Sums up all `test result:` lines.
///
/// A test that was left out by a filter counts as skipped, as an ignored one does: the only filters
/// that this program sets are those for missing servers.
pub(crate) fn counts(output: &str) -> Counts {
    let results = output.lines().filter_map(|line| line.strip_prefix("test result: "));
    results.map(one_result).fold(Counts::default(), Counts::plus)
}

fn one_result(line: &str) -> Counts {
    let mut counts = Counts::default();
    // `ok. 11 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.93s`
    let line = line.split_once(". ").map_or(line, |(_, rest)| rest);
    for part in line.split(';') {
        let Some((number, what)) = part.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match what {
            "passed" => counts.passed += number,
            "failed" => counts.failed += number,
            "ignored" | "filtered out" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_summed_up() {
        let output = "\
running 11 tests
test a ... ok
test result: ok. 11 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
some noise: 5 failed
test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.5s
";
        assert_eq!(counts(output), Counts { passed: 14, failed: 2, skipped: 5 });
    }

    #[test]
    fn output_without_results_counts_nothing() {
        assert_eq!(counts("error: could not compile"), Counts::default());
    }
}

//! What was measured, and how it is told.

use std::time::Duration;

use crate::output::{self, Span};

/// Durations are counted in groups, of which each is an eighth of a power of two wide.
const PARTS: usize = 8;
const GROUPS: usize = 64 * PARTS;
/// How long the longest line of the histogram is.
const WIDTH: usize = 40;

/// What one task has measured, or all of them.
#[derive(Default)]
pub(super) struct Figures {
    acquire: Times,
    release: Times,
    hand_over: Times,
    violations: u64,
}

impl Figures {
    pub(super) fn acquired(&mut self, took: Duration) {
        self.acquire.count(took);
    }

    pub(super) fn released(&mut self, took: Duration) {
        self.release.count(took);
    }

    /// From the release by one to the grant to another who waited.
    pub(super) fn handed_over(&mut self, took: Duration) {
        self.hand_over.count(took);
    }

    pub(super) fn violated(&mut self) {
        self.violations += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.acquire.add(&other.acquire);
        self.release.add(&other.release);
        self.hand_over.add(&other.hand_over);
        self.violations += other.violations;
    }

    /// The report.
    pub(super) fn text(&self, what: &str, took: Duration) -> String {
        let pairs = self.release.total;
        let head = ["", "COUNT", "P50", "P99", "MAX"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for (name, times) in
            [("acquire", &self.acquire), ("release", &self.release), ("hand-over", &self.hand_over)]
        {
            let at = |part| times.at(part).map_or("-".to_owned(), |time| Fine(time).to_string());
            rows.push(vec![name.to_owned(), times.total.to_string(), at(0.5), at(0.99), at(1.0)]);
        }
        let rate = per_second(pairs, took);
        let took = Span(took);
        let mut text = format!("{what}\n{pairs} pairs in {took}: {rate:.0} pairs/s\n");
        let held_twice = match self.violations {
            0 => "0 times".to_owned(),
            1 => "ONCE".to_owned(),
            times => format!("{times} TIMES"),
        };
        text.push_str(&format!("held twice: {held_twice}\n\n{}", output::table(&rows)));
        let histogram = self.acquire.histogram();
        if !histogram.is_empty() {
            text.push_str(&format!("\nhow long it took to acquire\n{histogram}"));
        }
        text
    }
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// How often something took how long.
struct Times {
    groups: Box<[u64; GROUPS]>,
    total: u64,
    longest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { groups: Box::new([0; GROUPS]), total: 0, longest: Duration::ZERO }
    }
}

impl Times {
    fn count(&mut self, took: Duration) {
        self.groups[group(took)] += 1;
        self.total += 1;
        self.longest = self.longest.max(took);
    }

    fn add(&mut self, other: &Self) {
        for (group, more) in self.groups.iter_mut().zip(other.groups.iter()) {
            *group += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// What this part of them took at most, to an eighth.
    fn at(&self, part: f64) -> Option<Duration> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "it is a part of a count"
        )]
        let rank = (self.total as f64 * part).ceil() as u64;
        let mut seen = 0;
        let group = self.groups.iter().position(|count| {
            seen += count;
            *count > 0 && seen >= rank
        })?;
        Some(end_of(group).min(self.longest))
    }

    /// A line for each power of two, from the first that is not empty to the last.
    fn histogram(&self) -> String {
        let powers: Vec<u64> = self.groups.chunks(PARTS).map(|group| group.iter().sum()).collect();
        let (Some(first), Some(last)) =
            (powers.iter().position(|n| *n > 0), powers.iter().rposition(|n| *n > 0))
        else {
            return String::new();
        };
        let most = powers.iter().copied().max().unwrap_or(1).max(1);
        let rows = (first..=last).map(|power| {
            let count = powers[power];
            // Something is seen of each that is not empty.
            let length = (u128::from(count) * WIDTH as u128).div_ceil(u128::from(most));
            let bar = "#".repeat(usize::try_from(length).unwrap_or(WIDTH));
            let until = Fine(end_of(power * PARTS + PARTS - 1)).to_string();
            vec![format!("{until:>8}"), format!("{count:>8}"), bar]
        });
        output::table(&rows.collect::<Vec<_>>())
    }
}

/// The group of a duration: the power of two of its nanoseconds, and the eighth of that.
fn group(took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(PARTS as u64);
    let power = nanos.ilog2();
    let part = usize::try_from(nanos >> (power - PARTS.ilog2())).unwrap_or(PARTS) - PARTS;
    power as usize * PARTS + part
}

/// What the durations of a group are less than.
fn end_of(group: usize) -> Duration {
    let (power, part) = (group / PARTS, group % PARTS);
    let step = 1_u128 << power >> PARTS.ilog2();
    let nanos = (PARTS + part + 1) as u128 * step;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A duration with three digits: `87.4us`, `1.23ms`.
struct Fine(Duration);

impl std::fmt::Display for Fine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0.as_secs_f64() * 1e6;
        let (value, unit) = match micros {
            0.0..1e3 => (micros, "us"),
            1e3..1e6 => (micros / 1e3, "ms"),
            _ => (micros / 1e6, "s"),
        };
        let decimals = match value {
            0.0..10.0 => 2,
            10.0..100.0 => 1,
            _ => 0,
        };
        f.pad(&format!("{value:.decimals$}{unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_to_an_eighth_and_the_longest_exactly() {
        let mut times = Times::default();
        assert_eq!(times.at(0.5), None);
        for micros in 1..=1_000 {
            times.count(Duration::from_micros(micros));
        }
        for (part, exact) in [(0.5, 500.0), (0.99, 990.0)] {
            let told = times.at(part).unwrap().as_secs_f64() * 1e6;
            assert!((exact..=exact * 1.13).contains(&told), "{part}: {told}");
        }
        assert_eq!(times.at(1.0), Some(Duration::from_micros(1_000)));
        for nanos in [0, 1, 7, 8, 9, 1_023, 1_024, u64::MAX / 3, u64::MAX] {
            let took = Duration::from_nanos(nanos);
            assert!(took <= end_of(group(took)), "{nanos}");
        }
    }

    #[test]
    fn the_figures_of_all_tasks_make_a_report() {
        let mut all = Figures::default();
        for millis in [1, 1, 1, 1, 9] {
            let mut one = Figures::default();
            one.acquired(Duration::from_millis(millis));
            one.released(Duration::from_micros(90));
            all.add(&one);
        }
        let lines = [
            "here",
            "5 pairs in 2.0s: 2 pairs/s",
            "held twice: 0 times",
            "",
            "           COUNT  P50     P99     MAX",
            "acquire    5      1.05ms  9.00ms  9.00ms",
            "release    5      90.0us  90.0us  90.0us",
            "hand-over  0      -       -       -",
            "",
            "how long it took to acquire",
            "  1.05ms         4  ########################################",
            "  2.10ms         0",
            "  4.19ms         0",
            "  8.39ms         0",
            "  16.8ms         1  ##########",
        ];
        assert_eq!(all.text("here", Duration::from_secs(2)).lines().collect::<Vec<_>>(), lines);
        all.violated();
        assert!(all.text("here", Duration::from_secs(2)).contains("held twice: ONCE\n"));
    }
}

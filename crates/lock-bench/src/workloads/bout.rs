//! A contended cell: one lock, many workers, one process or several.

use std::ops::Range;
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::Clock;
use tempfile::NamedTempFile;

use crate::contenders::rivals::Rival;
use crate::failure::Failure;
use crate::measure::figures::{Cell, count, jain, most_overtaken, quantile};
use crate::measure::server::{Stats, Traffic};
use crate::processes::child::Process;
use crate::processes::contest::{CONTEND, Party, Seen, SeenByOne, Window};

/// For all processes to see the beginning before it is there.
const LEAD: Duration = Duration::from_millis(50);
/// Until the line has formed and every script has run.
const WARM_UP: Duration = Duration::from_millis(200);
/// For the server to be asked while everybody still works.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// One contender's turn in a cell.
pub(crate) struct Bout<'a> {
    pub(crate) url: &'a str,
    pub(crate) rival: Rival,
    pub(crate) workers: usize,
    pub(crate) processes: usize,
    pub(crate) threads: usize,
    pub(crate) hold: Duration,
    pub(crate) think: Duration,
    pub(crate) time: Duration,
}

impl Bout<'_> {
    pub(crate) async fn run(&self, stats: &Stats) -> Result<Contested, Failure> {
        stats.flush()?;
        let exclusion = NamedTempFile::new()?;
        let mut parties = Vec::new();
        for number in 0..self.processes {
            let share =
                self.workers / self.processes + usize::from(number < self.workers % self.processes);
            let party = Party {
                url: self.url.to_owned(),
                rival: self.rival,
                key: "contended".to_owned(),
                workers: share,
                threads: self.threads,
                hold_micros: u64::try_from(self.hold.as_micros())?,
                hold_more_micros: 0,
                think_micros: u64::try_from(self.think.as_micros())?,
                thinks_at_random: true,
                record: None,
                exclusion: exclusion.path().to_owned(),
            };
            parties.push(party);
        }
        contend(&parties, self.time, stats).await
    }
}

/// Several processes contend for the same lock.
pub(crate) async fn contend(
    parties: &[Party],
    time: Duration,
    stats: &Stats,
) -> Result<Contested, Failure> {
    let mut processes = Vec::new();
    for party in parties {
        processes.push(Process::start(&[CONTEND, &serde_json::to_string(party)?])?);
    }
    for process in &mut processes {
        process.await_ready().await?;
    }
    let begin = Clock::SYSTEM.now() + LEAD;
    let (from, to) = (begin + WARM_UP, begin + WARM_UP + time);
    let nanos = Instant::as_nanos;
    let (begin, stop) = (nanos(begin), nanos(to + AFTERWARDS));
    let window = Window { begin, from: nanos(from), to: nanos(to), stop };
    let order = serde_json::to_string(&window)?;
    for process in &mut processes {
        process.tell(&order).await?;
    }
    Clock::SYSTEM.sleep_until(from).await;
    let (counted_from, before) = (Clock::SYSTEM.now().as_nanos(), stats.snapshot()?);
    Clock::SYSTEM.sleep_until(to).await;
    let (counted_to, after) = (Clock::SYSTEM.now().as_nanos(), stats.snapshot()?);
    let traffic = after.since(&before);
    let counted = (counted_from, counted_to);
    let mut contested = Contested {
        window,
        counted,
        traffic,
        cpu_share: 0.0,
        parties: Vec::new(),
        workers: Vec::new(),
    };
    for mut process in processes {
        let seen: Seen = serde_json::from_str(&process.line().await?)?;
        process.ended().await?;
        contested.cpu_share += seen.cpu_share;
        contested
            .parties
            .push(contested.workers.len()..contested.workers.len() + seen.workers.len());
        contested.workers.extend(seen.workers);
    }
    Ok(contested)
}

/// What came of it.
pub(crate) struct Contested {
    window: Window,
    /// When the server was asked what it had done: not quite the window, if this process was late.
    counted: (u64, u64),
    traffic: Traffic,
    /// The CPU time of all processes for a second.
    cpu_share: f64,
    workers: Vec<SeenByOne>,
    /// Which of them are those of which process.
    parties: Vec<Range<usize>>,
}

impl Contested {
    /// The sections of one process within the window, and the longest wait of its workers.
    pub(crate) fn of_process(&self, number: usize) -> Option<(f64, Duration)> {
        let Window { from, to, stop, .. } = self.window;
        let workers = self.workers.get(self.parties.get(number)?.clone())?;
        let sections = workers.iter().map(|worker| ended_within(worker, from, to)).sum();
        let wait = |worker: &SeenByOne| {
            let open = worker.waits_since.map(|since| stop.saturating_sub(since));
            let ended = worker.grants.iter().map(|(asked, at)| at.saturating_sub(*asked)).max();
            open.max(ended).unwrap_or(0)
        };
        let longest = workers.iter().map(wait).max().unwrap_or(0);
        Some((sections, Duration::from_nanos(longest)))
    }

    /// How often somebody was inside together with somebody else.
    pub(crate) fn violations(&self) -> u64 {
        self.workers.iter().map(|worker| worker.violations).sum()
    }

    /// How often a worker was told of an error.
    pub(crate) fn failures(&self) -> u64 {
        self.workers.iter().map(|worker| worker.failures).sum()
    }

    /// Sections a second.
    pub(crate) fn rate(&self) -> f64 {
        let sections: f64 = self.shares().iter().sum();
        sections / (micros(self.window.from, self.window.to) / 1e6)
    }

    /// How many sections each worker had within the window.
    fn shares(&self) -> Vec<f64> {
        let Window { from, to, .. } = self.window;
        self.workers.iter().map(|worker| ended_within(worker, from, to)).collect()
    }

    pub(crate) fn add_to(&self, cell: &mut Cell) {
        let Self { window, traffic, workers, .. } = self;
        let mut grants: Vec<_> = workers.iter().flat_map(|w| w.grants.iter().copied()).collect();
        let mut waits: Vec<f64> = grants.iter().map(|&(asked, at)| micros(asked, at)).collect();
        waits.sort_by(f64::total_cmp);
        let open = workers.iter().filter_map(|worker| worker.waits_since);
        let open = open.map(|since| micros(since, window.stop)).fold(0.0, f64::max);
        let mut late: Vec<f64> =
            workers.iter().flat_map(|w| &w.lateness).map(|&late| micros(0, late)).collect();
        late.sort_by(f64::total_cmp);
        let shares = self.shares();
        let (from, to) = self.counted;
        let counted: f64 = workers.iter().map(|worker| ended_within(worker, from, to)).sum();
        cell.add("sections_per_second", self.rate());
        cell.add("wait_p50_micros", quantile(&waits, 0.5));
        cell.add("wait_p99_micros", quantile(&waits, 0.99));
        cell.add("wait_max_micros", quantile(&waits, 1.0).max(open));
        cell.add("open_wait_max_micros", open);
        cell.add("overtaken_max", count(most_overtaken(&mut grants)));
        cell.add("jain", jain(&shares));
        cell.add("sections_min", shares.iter().copied().fold(f64::INFINITY, f64::min));
        cell.add("sections_max", shares.iter().copied().fold(0.0, f64::max));
        cell.add("commands_sent", traffic.sent / counted);
        cell.add("commands_total", traffic.total / counted);
        cell.add("server_micros", traffic.micros / counted);
        cell.add("cpu_seconds_per_1000", self.cpu_share / self.rate() * 1e3);
        cell.add("failures", workers.iter().map(|worker| count(worker.failures)).sum());
        cell.add("violations", workers.iter().map(|worker| count(worker.violations)).sum());
        cell.add("hold_late_p50_micros", quantile(&late, 0.5));
        cell.add("hold_late_p99_micros", quantile(&late, 0.99));
    }
}

fn ended_within(worker: &SeenByOne, from: u64, to: u64) -> f64 {
    count(worker.ends.iter().filter(|end| (from..=to).contains(end)).count())
}

fn micros(from: u64, to: u64) -> f64 {
    count(to.saturating_sub(from)) / 1e3
}

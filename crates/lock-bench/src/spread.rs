//! A contended cell: one lock, many workers, one process or several.

use std::process::Stdio;
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::Clock;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::Failure;
use crate::contest::{Party, READY, Seen, SeenByOne, Window};
use crate::figures::{Cell, count, jain, most_overtaken, quantile};
use crate::rivals::Rival;
use crate::server::{Stats, Traffic};

/// The word that makes this program one process of a cell.
pub(crate) const CONTEND: &str = "contend";
/// For all processes to see the beginning before it is there.
const LEAD: Duration = Duration::from_millis(50);
/// Until the line has formed and every script has run.
const WARM_UP: Duration = Duration::from_millis(300);
/// A process that says nothing for so much longer than it should has failed.
const PATIENCE: Duration = Duration::from_secs(20);

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
        let mut processes = Vec::new();
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
                think_micros: u64::try_from(self.think.as_micros())?,
                exclusion: exclusion.path().to_owned(),
            };
            processes.push(Process::start(&party)?);
        }
        for process in &mut processes {
            process.await_ready().await?;
        }
        let begin = Clock::SYSTEM.now() + LEAD;
        let (from, to) = (begin + WARM_UP, begin + WARM_UP + self.time);
        let nanos = Instant::as_nanos;
        let window = Window { begin: nanos(begin), from: nanos(from), to: nanos(to) };
        for process in &mut processes {
            process.tell(&window).await?;
        }
        Clock::SYSTEM.sleep_until(from).await;
        let before = stats.snapshot()?;
        Clock::SYSTEM.sleep_until(to).await;
        let traffic = stats.snapshot()?.since(&before);
        let mut contested = Contested { window, traffic, cpu_seconds: 0.0, workers: Vec::new() };
        for mut process in processes {
            let seen = process.seen().await?;
            contested.cpu_seconds += seen.cpu_seconds;
            contested.workers.extend(seen.workers);
        }
        Ok(contested)
    }
}

/// One run of this program as a part of the cell; killed when it is dropped.
struct Process {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(party: &Party) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(CONTEND)
            .arg(serde_json::to_string(party)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = child.stdin.take().ok_or("a process without an input")?;
        let answers = child.stdout.take().ok_or("a process without an output")?;
        Ok(Self { child, orders, answers: BufReader::new(answers).lines() })
    }

    async fn await_ready(&mut self) -> Result<(), Failure> {
        let line = self.line().await?;
        if line == READY { Ok(()) } else { Err(line.into()) }
    }

    async fn tell(&mut self, window: &Window) -> Result<(), Failure> {
        let line = serde_json::to_string(window)? + "\n";
        Ok(self.orders.write_all(line.as_bytes()).await?)
    }

    async fn seen(&mut self) -> Result<Seen, Failure> {
        let seen = serde_json::from_str(&self.line().await?)?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(seen)
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let line = timeout(PATIENCE, self.answers.next_line()).await;
        let line = line.map_err(|_| "a process of the cell hangs")??;
        line.ok_or_else(|| "a process of the cell ended early".into())
    }
}

/// What came of it.
pub(crate) struct Contested {
    window: Window,
    traffic: Traffic,
    cpu_seconds: f64,
    workers: Vec<SeenByOne>,
}

impl Contested {
    fn sections(&self) -> f64 {
        self.workers.iter().map(|worker| count(worker.sections)).sum()
    }

    /// Sections a second.
    pub(crate) fn rate(&self) -> f64 {
        self.sections() / (micros(self.window.from, self.window.to) / 1e6)
    }

    pub(crate) fn add_to(&self, cell: &mut Cell) {
        let Self { window, traffic, workers, .. } = self;
        let mut grants: Vec<_> = workers.iter().flat_map(|w| w.grants.iter().copied()).collect();
        let mut waits: Vec<f64> = grants.iter().map(|&(asked, at)| micros(asked, at)).collect();
        waits.sort_by(f64::total_cmp);
        let open = workers.iter().filter_map(|worker| worker.waits_since);
        let open = open.map(|since| micros(since, window.to)).fold(0.0, f64::max);
        let mut late: Vec<f64> =
            workers.iter().flat_map(|w| &w.lateness).map(|&late| micros(0, late)).collect();
        late.sort_by(f64::total_cmp);
        let shares: Vec<f64> = workers.iter().map(|worker| count(worker.sections)).collect();
        let sections = self.sections();
        cell.add("sections_per_second", self.rate());
        cell.add("wait_p50_micros", quantile(&waits, 0.5));
        cell.add("wait_p99_micros", quantile(&waits, 0.99));
        cell.add("wait_max_micros", quantile(&waits, 1.0).max(open));
        cell.add("open_wait_max_micros", open);
        cell.add("overtaken_max", count(most_overtaken(&mut grants)));
        cell.add("jain", jain(&shares));
        cell.add("sections_min", shares.iter().copied().fold(f64::INFINITY, f64::min));
        cell.add("sections_max", shares.iter().copied().fold(0.0, f64::max));
        cell.add("commands_sent", traffic.sent / sections);
        cell.add("commands_total", traffic.total / sections);
        cell.add("server_micros", traffic.micros / sections);
        cell.add("cpu_seconds_per_1000", self.cpu_seconds / sections * 1e3);
        cell.add("failures", workers.iter().map(|worker| count(worker.failures)).sum());
        cell.add("violations", workers.iter().map(|worker| count(worker.violations)).sum());
        cell.add("hold_late_p50_micros", quantile(&late, 0.5));
        cell.add("hold_late_p99_micros", quantile(&late, 0.99));
    }
}

fn micros(from: u64, to: u64) -> f64 {
    count(to.saturating_sub(from)) / 1e3
}

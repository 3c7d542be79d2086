//! One process of a contended cell: its workers take turns, and it tells what they saw.
//!
//! The program runs itself for this, so that each cell begins with nothing of the one before, and
//! so that workers can be spread over several processes.

use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use lock_core::Instant;
use lock_core::backend::Clock;
use lock_testkit::history::Recorder;
use serde::{Deserialize, Serialize};

use super::child::READY;
use crate::contenders::rivals::{Rival, Turns};
use crate::contenders::stint::{self, Stint};
use crate::failure::Failure;
use crate::measure::cpu::cpu_seconds;
use crate::runtime::runtime;

/// The word that makes this program one process of a cell.
pub(crate) const CONTEND: &str = "contend";
/// A holder may go on to its end for this long; nobody else is waited for.
const LAST_SECTION: Duration = Duration::from_secs(5);

/// What a process is to do.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) url: String,
    pub(crate) rival: Rival,
    pub(crate) key: String,
    pub(crate) workers: usize,
    /// Of the runtime; 0 is the current-thread runtime.
    pub(crate) threads: usize,
    pub(crate) hold_micros: u64,
    /// A hold is this much longer at most, at random.
    pub(crate) hold_more_micros: u64,
    /// For how long a worker does something else after each release.
    pub(crate) think_micros: u64,
    /// That time is a random one, and this is its mean.
    pub(crate) thinks_at_random: bool,
    /// Under which name the history is recorded, and in which file.
    pub(crate) record: Option<(String, PathBuf)>,
    pub(crate) exclusion: PathBuf,
}

/// When it is to do it; nanoseconds of the machine's clock, which all processes share.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) begin: u64,
    /// What happens before is not measured: the line forms.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// They go on until whoever counts has counted.
    pub(crate) stop: u64,
}

/// What the workers of one process saw.
#[derive(Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) workers: Vec<SeenByOne>,
    /// The CPU time of the process for a second of the window.
    pub(crate) cpu_share: f64,
}

/// What one worker saw.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct SeenByOne {
    /// When its sections ended, in any time.
    pub(crate) ends: Vec<u64>,
    /// When it asked and when it was granted, unless that was before the window.
    pub(crate) grants: Vec<(u64, u64)>,
    /// Since when it waited at the end.
    pub(crate) waits_since: Option<u64>,
    /// How much too long it was inside, in nanoseconds.
    pub(crate) lateness: Vec<u64>,
    pub(crate) violations: u64,
    pub(crate) failures: u64,
}

/// The program's other face: does what the argument says, and writes what was seen.
pub(crate) fn run(party: &str) -> Result<(), Failure> {
    let party: Party = serde_json::from_str(party)?;
    let runtime = runtime(party.threads)?;
    // Connections, scripts and threads come up outside what is measured.
    let turns = runtime.block_on(async {
        let warm = party.rival.connect(&party.url, &party.key).await?;
        warm.section(&Stint::new(Duration::ZERO, &party.exclusion)?).await.map(|()| warm)
    })?;
    let mut out = std::io::stdout();
    writeln!(out, "{READY}")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let window: Window = serde_json::from_str(&line)?;
    let seen = runtime.block_on(contest(&party, turns, window))?;
    writeln!(out, "{}", serde_json::to_string(&seen)?)?;
    Ok(())
}

async fn contest(party: &Party, turns: Arc<dyn Turns>, window: Window) -> Result<Seen, Failure> {
    let hold = Duration::from_micros(party.hold_micros);
    let recorder = party.record.as_ref().map(|(name, _)| Recorder::new(name));
    let workers: Vec<_> = (0..party.workers)
        .map(|number| {
            let mut stint = Stint::new(hold, &party.exclusion)?
                .with_more(Duration::from_micros(party.hold_more_micros));
            if let Some(recorder) = &recorder {
                stint = stint.recorded(recorder.clone(), u64::try_from(number)?);
            }
            let worker = Worker { turns: Arc::clone(&turns), stint, window };
            let think = (party.think_micros, party.thinks_at_random);
            Ok::<_, Failure>(tokio::spawn(worker.run(think)))
        })
        .collect::<Result<_, _>>()?;
    Clock::SYSTEM.sleep_until(Instant::from_nanos(window.from)).await;
    let (began, cpu) = (Clock::SYSTEM.now(), cpu_seconds());
    Clock::SYSTEM.sleep_until(Instant::from_nanos(window.to)).await;
    let cpu_seconds = cpu_seconds() - cpu;
    // Whoever is woken late has measured a longer time, or a shorter.
    let took = Clock::SYSTEM.now().saturating_duration_since(began);
    let cpu_share = cpu_seconds / took.as_secs_f64();
    let mut seen = Seen { workers: Vec::new(), cpu_share };
    for worker in workers {
        seen.workers.push(worker.await?);
    }
    if let (Some(recorder), Some((_, file))) = (recorder, &party.record) {
        recorder.write_lines(BufWriter::new(File::create(file)?))?;
    }
    Ok(seen)
}

struct Worker {
    turns: Arc<dyn Turns>,
    stint: Stint,
    window: Window,
}

impl Worker {
    async fn run(self, (think_micros, at_random): (u64, bool)) -> SeenByOne {
        let Self { turns, stint, window } = &self;
        let mut seen = SeenByOne::default();
        let mut end = pin!(Clock::SYSTEM.sleep_until(Instant::from_nanos(window.stop)));
        stint::sleep_until(Instant::from_nanos(window.begin)).await;
        loop {
            let asked = Clock::SYSTEM.now().as_nanos();
            if asked >= window.stop {
                break;
            }
            stint.ask();
            let section = turns.section(stint);
            match select(section, end.as_mut()).await {
                Either::Left((Ok(()), _)) => self.note(&mut seen, asked),
                Either::Left((Err(_), _)) => {
                    stint.give_up();
                    seen.failures += 1;
                }
                Either::Right(((), section)) if stint.granted_at().is_some() => {
                    tokio::time::timeout(LAST_SECTION, section).await.ok();
                    break;
                }
                Either::Right(_) => {
                    seen.waits_since = Some(asked);
                    break;
                }
            }
            if think_micros > 0 {
                let think = Duration::from_micros(think_micros);
                let think = if at_random { thought(think) } else { think };
                stint::sleep_until(Clock::SYSTEM.now() + think).await;
            }
        }
        stint.give_up();
        seen.violations = stint.violations();
        seen
    }

    fn note(&self, seen: &mut SeenByOne, asked: u64) {
        seen.ends.push(Clock::SYSTEM.now().as_nanos());
        let Some(granted) = self.stint.granted_at() else { return };
        if granted.as_nanos() >= self.window.from {
            seen.grants.push((asked, granted.as_nanos()));
            let lateness = self.stint.lateness().unwrap_or_default().as_nanos();
            seen.lateness.push(u64::try_from(lateness).unwrap_or(u64::MAX));
        }
    }
}

/// A random time of this mean; short ones are the most frequent, as with independent callers.
fn thought(mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - fastrand::f64()).ln())
}

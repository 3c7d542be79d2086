//! W3, W3t, W4 and their twins with hand-over: many workers, one lock.

use std::time::Duration;

use super::bench::Bench;
use super::bout::Bout;
use crate::contenders::rivals::Rival;
use crate::failure::Failure;
use crate::measure::awake::Awake;
use crate::measure::figures::Cell;
use crate::settings::Settings;

/// The mark comes first: the others of a round are compared with it.
const STRICT: [Rival; 5] =
    [Rival::RawLocal, Rival::Raw, Rival::Rslock, Rival::Rslock10, Rival::Distlock];
/// Where the workers have nothing in common but the server.
const APART: [Rival; 3] = [Rival::Raw, Rival::Rslock, Rival::Distlock];
const WITH_HANDOVER: [Rival; 2] = [Rival::RawLocal, Rival::DistlockHandover];
const SATURATED: [usize; 4] = [2, 16, 64, 256];
/// So many processes of one worker each.
const SINGLE: [usize; 2] = [4, 16];
/// Over how many processes the workers are spread, if there are enough of them.
const PROCESSES: [usize; 2] = [1, 4];

/// How the lock is used in a cell.
struct Use {
    workers: usize,
    hold: Duration,
    think: Duration,
    time: Duration,
}

impl Use {
    /// Whether so little goes on that the waking of halted CPUs is much of what is measured.
    fn halts_cpus(&self) -> bool {
        self.think.is_zero() && (self.workers <= 2 || !self.hold.is_zero())
    }
}

const HOLD: Duration = Duration::from_millis(1);
const THINK: Duration = Duration::from_millis(5);

pub(crate) async fn held(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let time = settings.contest();
    let usage = Use { workers: 16, hold: HOLD, think: Duration::ZERO, time };
    everywhere(bench, settings, &STRICT, &usage).await
}

pub(crate) async fn with_thought(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let time = settings.contest();
    let usage = Use { workers: 16, hold: HOLD, think: THINK, time };
    everywhere(bench, settings, &STRICT, &usage).await
}

pub(crate) async fn saturated(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    at_every_size(bench, settings, &STRICT).await
}

pub(crate) async fn saturated_apart(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for workers in SINGLE {
        let (hold, think) = (Duration::ZERO, Duration::ZERO);
        let usage = Use { workers, hold, think, time: settings.short_contest() };
        cells.extend(compare(bench, settings, &APART, &usage, workers).await?);
    }
    Ok(cells)
}

pub(crate) async fn held_with_handover(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    let usage = Use { workers: 16, hold: HOLD, think: Duration::ZERO, time: settings.contest() };
    everywhere(bench, settings, &WITH_HANDOVER, &usage).await
}

pub(crate) async fn saturated_with_handover(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    at_every_size(bench, settings, &WITH_HANDOVER).await
}

async fn at_every_size(
    bench: &Bench,
    settings: &Settings,
    rivals: &[Rival],
) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for workers in SATURATED {
        let (hold, think) = (Duration::ZERO, Duration::ZERO);
        let usage = Use { workers, hold, think, time: settings.short_contest() };
        cells.extend(everywhere(bench, settings, rivals, &usage).await?);
    }
    Ok(cells)
}

/// In one process, and spread over several.
async fn everywhere(
    bench: &Bench,
    settings: &Settings,
    rivals: &[Rival],
    usage: &Use,
) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for processes in PROCESSES.into_iter().filter(|processes| *processes <= usage.workers) {
        cells.extend(compare(bench, settings, rivals, usage, processes).await?);
        if settings.awake && processes == 1 && usage.halts_cpus() {
            let _awake = Awake::start()?;
            let awake = compare(bench, settings, rivals, usage, processes).await?;
            cells.extend(awake.into_iter().map(|cell| cell.kept_awake(true)));
        }
    }
    Ok(cells)
}

/// All of them in turn, round by round.
async fn compare(
    bench: &Bench,
    settings: &Settings,
    rivals: &[Rival],
    usage: &Use,
    processes: usize,
) -> Result<Vec<Cell>, Failure> {
    let url = bench.server.url();
    let empty = |rival: &Rival| Cell::new(rival.name(), usage.workers).over_processes(processes);
    let mut cells: Vec<Cell> = rivals.iter().map(empty).collect();
    for _ in 0..settings.contests() {
        let mut mark = None;
        for (cell, rival) in cells.iter_mut().zip(rivals) {
            let bout = Bout {
                url: &url,
                rival: *rival,
                workers: usage.workers,
                processes,
                threads: settings.threads,
                hold: usage.hold,
                think: usage.think,
                time: usage.time,
            };
            let contested = bout.run(&bench.stats).await;
            let contested = contested.map_err(|why| format!("{}: {why}", rival.name()))?;
            let mark = *mark.get_or_insert(contested.rate());
            cell.add("ratio", contested.rate() / mark);
            contested.add_to(cell);
        }
    }
    Ok(cells)
}

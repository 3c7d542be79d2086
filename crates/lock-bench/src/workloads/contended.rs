//! W3, W3t, W4, and their twins with hand-over and on a cluster: many workers, one lock.

use std::time::Duration;

use super::bench::{Bench, Cluster};
use super::bout::Bout;
use crate::contenders::rivals::Rival;
use crate::failure::Failure;
use crate::measure::awake::Awake;
use crate::measure::figures::Cell;
use crate::measure::server::Stats;
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

/// Who is compared: under which name, on which servers, and how it takes turns.
struct Field<'a> {
    stats: &'a Stats,
    contestants: Vec<(&'static str, String, Rival)>,
}

impl<'a> Field<'a> {
    /// On the server of the run.
    fn of(bench: &'a Bench, rivals: &[Rival]) -> Self {
        let contestant = |rival: &Rival| (rival.name(), bench.server.url(), *rival);
        Self { stats: &bench.stats, contestants: rivals.iter().map(contestant).collect() }
    }
}

const HOLD: Duration = Duration::from_millis(1);
const THINK: Duration = Duration::from_millis(5);

pub(crate) async fn held(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let time = settings.contest();
    let usage = Use { workers: 16, hold: HOLD, think: Duration::ZERO, time };
    everywhere(&Field::of(bench, &STRICT), settings, &usage).await
}

pub(crate) async fn with_thought(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let time = settings.contest();
    let usage = Use { workers: 16, hold: HOLD, think: THINK, time };
    everywhere(&Field::of(bench, &STRICT), settings, &usage).await
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
        cells.extend(compare(&Field::of(bench, &APART), settings, &usage, workers).await?);
    }
    Ok(cells)
}

pub(crate) async fn held_with_handover(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    let usage = Use { workers: 16, hold: HOLD, think: Duration::ZERO, time: settings.contest() };
    everywhere(&Field::of(bench, &WITH_HANDOVER), settings, &usage).await
}

/// One server, and a cluster of three masters, of which one has the lock.
pub(crate) async fn held_on_a_cluster(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    let cluster = Cluster::beside(bench)?;
    let contestants = vec![
        ("distlock, one server", bench.server.url(), Rival::Distlock),
        ("distlock, cluster of 3", cluster.set.url(), Rival::Distlock),
    ];
    let field = Field { stats: &cluster.stats, contestants };
    let usage = Use { workers: 16, hold: HOLD, think: Duration::ZERO, time: settings.contest() };
    everywhere(&field, settings, &usage).await
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
        cells.extend(everywhere(&Field::of(bench, rivals), settings, &usage).await?);
    }
    Ok(cells)
}

/// In one process, and spread over several.
async fn everywhere(
    field: &Field<'_>,
    settings: &Settings,
    usage: &Use,
) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for processes in PROCESSES.into_iter().filter(|processes| *processes <= usage.workers) {
        cells.extend(compare(field, settings, usage, processes).await?);
        if settings.awake && processes == 1 && usage.halts_cpus() {
            let _awake = Awake::start()?;
            let awake = compare(field, settings, usage, processes).await?;
            cells.extend(awake.into_iter().map(|cell| cell.kept_awake(true)));
        }
    }
    Ok(cells)
}

/// All of them in turn, round by round.
async fn compare(
    field: &Field<'_>,
    settings: &Settings,
    usage: &Use,
    processes: usize,
) -> Result<Vec<Cell>, Failure> {
    let empty = |contestant: &(&'static str, String, Rival)| {
        Cell::new(contestant.0, usage.workers).over_processes(processes)
    };
    let mut cells: Vec<Cell> = field.contestants.iter().map(empty).collect();
    for _ in 0..settings.contests() {
        let mut mark = None;
        for (cell, (name, url, rival)) in cells.iter_mut().zip(&field.contestants) {
            let bout = Bout {
                url,
                rival: *rival,
                workers: usage.workers,
                processes,
                threads: settings.threads,
                hold: usage.hold,
                think: usage.think,
                time: usage.time,
            };
            let contested = bout.run(field.stats).await;
            let contested = contested.map_err(|why| format!("{name}: {why}"))?;
            let mark = *mark.get_or_insert(contested.rate());
            cell.add("ratio", contested.rate() / mark);
            contested.add_to(cell);
        }
    }
    Ok(cells)
}

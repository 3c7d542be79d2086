//! The workloads: who does what, how many of them, against which mark.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{AttemptRequest, Clock, LockBackend, LockKey, OwnerToken, ReleaseRequest};
use lock_redis::{Mode, RedisBackend};
use lock_testkit::server::{DaprSidecar, RedisServer};

use crate::Failure;
use crate::arguments::Arguments;
use crate::awake::Awake;
use crate::contenders::{Contender, Ours, Raw, TokioMutex};
use crate::dapr::{self, BareCalls};
use crate::measure::closed_loop;
use crate::report::Cell;
use crate::server::{self, Stats};

pub(crate) struct Workload {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: for<'a> fn(&'a Bench, &'a Arguments) -> Running<'a>,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Vec<Cell>, Failure>> + 'a>>;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        id: "W1",
        what: "1 task, its own key, acquire and release",
        run: |bench, arguments| Box::pin(uncontended(bench, arguments, 1)),
    },
    Workload {
        id: "W2",
        what: "64 tasks, their own keys, one service",
        run: |bench, arguments| Box::pin(uncontended(bench, arguments, 64)),
    },
    Workload {
        id: "W6",
        what: "the memory store, 1 task, acquire and release",
        run: |_, arguments| Box::pin(in_memory(arguments)),
    },
    Workload {
        id: "W7",
        what: "a Dapr sidecar, 1 and 64 tasks, acquire and release",
        run: |bench, arguments| Box::pin(beside_a_sidecar(bench, arguments)),
    },
];

/// What all workloads share.
pub(crate) struct Bench {
    server: RedisServer,
    stats: Stats,
}

impl Bench {
    pub(crate) fn start(arguments: &Arguments) -> Result<Self, Failure> {
        let (server, stats) = server::start(&arguments.server)?;
        Ok(Self { server, stats })
    }

    pub(crate) fn server(&self) -> String {
        let binary = self.server.binary();
        format!("{} ({})", binary.kind(), binary.version())
    }
}

type Contenders = Vec<(&'static str, Arc<dyn Contender>)>;

async fn uncontended(
    bench: &Bench,
    arguments: &Arguments,
    workers: usize,
) -> Result<Vec<Cell>, Failure> {
    let url = bench.server.url();
    let contenders: Contenders = vec![
        ("raw", Raw::connect(&url, workers).await?),
        ("distlock", Ours::redis(&url, Mode::Auto, workers)?),
        ("distlock plain", Ours::redis(&url, Mode::Plain, workers)?),
    ];
    let scripts = script_micros(bench).await?;
    let mut cells = compare(&contenders, workers, arguments, Some(&bench.stats)).await?;
    for cell in &mut cells {
        if cell.contender == "distlock" {
            cell.script_micros = Some(scripts);
        }
    }
    Ok(cells)
}

async fn in_memory(arguments: &Arguments) -> Result<Vec<Cell>, Failure> {
    let contenders: Contenders =
        vec![("tokio Mutex", TokioMutex::new(1)), ("memory", Ours::memory(1))];
    compare(&contenders, 1, arguments, None).await
}

/// The sidecar's own work is the same for both, and raw Redis shows what it is.
async fn beside_a_sidecar(bench: &Bench, arguments: &Arguments) -> Result<Vec<Cell>, Failure> {
    let sidecar = DaprSidecar::start(&bench.server)?;
    let mut cells = Vec::new();
    for workers in [1, 64] {
        let contenders: Contenders = vec![
            ("bare tonic", BareCalls::connect(&sidecar, workers)?),
            ("distlock", dapr::ours(&sidecar, workers)?),
            ("raw Redis", Raw::connect(&bench.server.url(), workers).await?),
        ];
        cells.extend(compare(&contenders, workers, arguments, Some(&bench.stats)).await?);
    }
    Ok(cells)
}

/// All contenders in turn, round by round, with the CPUs as they are and, if asked, kept awake.
async fn compare(
    contenders: &Contenders,
    workers: usize,
    arguments: &Arguments,
    stats: Option<&Stats>,
) -> Result<Vec<Cell>, Failure> {
    let mut all = Vec::new();
    for awake in if arguments.awake { vec![false, true] } else { vec![false] } {
        let _awake = if awake { Some(Awake::start()?) } else { None };
        let empty = |(contender, _): &(&'static str, _)| Cell {
            contender,
            workers,
            awake,
            rounds: Vec::new(),
            ratios: Vec::new(),
            script_micros: None,
        };
        let mut cells: Vec<_> = contenders.iter().map(empty).collect();
        for _ in 0..arguments.rounds() {
            let mut mark = None;
            for (cell, (_, contender)) in cells.iter_mut().zip(contenders) {
                let sample = closed_loop(contender, workers, arguments.round(), stats).await?;
                let mark = *mark.get_or_insert(sample.rate());
                cell.ratios.push(sample.rate() / mark);
                cell.rounds.push(sample);
            }
        }
        all.extend(cells);
    }
    Ok(all)
}

/// The server's own time for the acquire script and for the release script, in µs.
async fn script_micros(bench: &Bench) -> Result<(f64, f64), Failure> {
    const ROUNDS: u32 = 200;
    let url = bench.server.url();
    let backend = Arc::new(RedisBackend::builder().url(url).build()?);
    let keys: Vec<_> = (0..100)
        .map(|key| LockKey::new("", &format!("script:{key}").into()))
        .collect::<Result<_, _>>()?;
    // So that connecting is over.
    Arc::clone(&backend).ping().await?;
    let (mut acquire, mut release) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        bench.stats.reset()?;
        let mut held = Vec::with_capacity(keys.len());
        for key in &keys {
            let (token, clock) = (OwnerToken::random()?, Clock::SYSTEM);
            let request = AttemptRequest::new(key.clone(), token, Duration::from_secs(30), clock);
            Arc::clone(&backend).attempt(request).await?;
            held.push(ReleaseRequest::new(key.clone(), token, clock));
        }
        acquire += bench.stats.script_micros()?;
        bench.stats.reset()?;
        for request in held {
            Arc::clone(&backend).release(request).await?;
        }
        release += bench.stats.script_micros()?;
    }
    Ok((acquire / f64::from(ROUNDS), release / f64::from(ROUNDS)))
}

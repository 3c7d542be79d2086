//! W1, W2, their twins on a cluster, W5, W6 and W7: nobody waits for anybody.

use std::sync::Arc;

use lock_core::LockService;
use lock_quorum::QuorumBackend;
use lock_redis::RedisBackend;
use testbed::{DaprSidecar, RedisServer};

use super::bench::{Bench, Cluster};
use crate::contenders::dapr::{self, BareCalls};
use crate::contenders::pairs::{Contender, Ours, Raw, RawQuorum, Rslock, TokioMutex};
use crate::failure::Failure;
use crate::measure::awake::Awake;
use crate::measure::closed_loop::closed_loop;
use crate::measure::figures::Cell;
use crate::measure::server::Stats;
use crate::settings::Settings;

type Contenders = Vec<(&'static str, Arc<dyn Contender>)>;

pub(crate) async fn on_redis(
    bench: &Bench,
    settings: &Settings,
    workers: usize,
) -> Result<Vec<Cell>, Failure> {
    let url = bench.server.url();
    let contenders: Contenders = vec![
        ("raw", Raw::connect(&url, workers).await?),
        ("rslock", Rslock::new(&url, workers)),
        ("distlock", Ours::redis(&url, workers)?),
    ];
    compare(&contenders, workers, settings, Some(&bench.stats)).await
}

/// One server, and a cluster of three masters.
pub(crate) async fn on_a_cluster(
    bench: &Bench,
    settings: &Settings,
    workers: usize,
) -> Result<Vec<Cell>, Failure> {
    let cluster = Cluster::beside(bench)?;
    let contenders: Contenders = vec![
        ("distlock, one server", Ours::redis(&bench.server.url(), workers)?),
        ("distlock, cluster of 3", Ours::redis(&cluster.set.url(), workers)?),
    ];
    compare(&contenders, workers, settings, Some(&cluster.stats)).await
}

/// One server alone, and beside two more with which it is a quorum.
pub(crate) async fn as_a_quorum(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let kind = bench.server.binary().kind().clone();
    let others = [RedisServer::start(&kind)?, RedisServer::start(&kind)?];
    let urls = [&bench.server, &others[0], &others[1]].map(RedisServer::url);
    let mut quorum = QuorumBackend::builder();
    for url in &urls {
        quorum = quorum.member(RedisBackend::builder().url(url).build()?);
    }
    let quorum = LockService::new(quorum.build()?);
    let contenders: Contenders = vec![
        ("distlock, one server", Ours::redis(&urls[0], 1)?),
        ("distlock, quorum of 3", Ours::over(&quorum, 1)),
        ("raw, one server", Raw::connect(&urls[0], 1).await?),
        ("raw, quorum of 3", RawQuorum::connect(&urls, 1).await?),
    ];
    compare(&contenders, 1, settings, Some(&bench.stats)).await
}

pub(crate) async fn in_memory(settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let contenders: Contenders =
        vec![("tokio Mutex", TokioMutex::new(1)), ("distlock memory", Ours::memory(1))];
    compare(&contenders, 1, settings, None).await
}

/// The sidecar's own work is the same for both, and raw Redis shows what it is.
pub(crate) async fn beside_a_sidecar(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    let sidecar = DaprSidecar::start(&bench.server)?;
    let mut cells = Vec::new();
    for workers in [1, 64] {
        let contenders: Contenders = vec![
            ("bare tonic", BareCalls::connect(&sidecar, workers)?),
            ("distlock dapr", dapr::ours(&sidecar, workers)?),
            ("raw Redis", Raw::connect(&bench.server.url(), workers).await?),
        ];
        cells.extend(compare(&contenders, workers, settings, Some(&bench.stats)).await?);
    }
    Ok(cells)
}

/// All contenders in turn, round by round, with the CPUs as they are and, if asked, kept awake.
async fn compare(
    contenders: &Contenders,
    workers: usize,
    settings: &Settings,
    stats: Option<&Stats>,
) -> Result<Vec<Cell>, Failure> {
    let mut all = Vec::new();
    for awake in if settings.awake { vec![false, true] } else { vec![false] } {
        let _awake = if awake { Some(Awake::start()?) } else { None };
        let empty =
            |(contender, _): &(&'static str, _)| Cell::new(*contender, workers).kept_awake(awake);
        let mut cells: Vec<_> = contenders.iter().map(empty).collect();
        for _ in 0..settings.rounds() {
            let mut mark = None;
            for (cell, (_, contender)) in cells.iter_mut().zip(contenders) {
                let sample = closed_loop(contender, workers, settings.round(), stats).await?;
                let mark = *mark.get_or_insert(sample.rate());
                cell.add("ratio", sample.rate() / mark);
                sample.add_to(cell);
            }
        }
        all.extend(cells);
    }
    Ok(all)
}

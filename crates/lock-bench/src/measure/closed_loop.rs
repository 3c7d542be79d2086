//! The closed loop without contention: each worker starts its next pair when its last has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cpu::cpu_seconds;
use super::figures::{Cell, count, quantile};
use super::server::{Stats, Traffic};
use crate::contenders::pairs::Contender;
use crate::failure::Failure;

/// One contender in one round.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    seconds: f64,
    /// Microseconds of all pairs, sorted.
    latencies: Vec<f64>,
    cpu_seconds: f64,
    traffic: Option<Traffic>,
}

impl Sample {
    fn pairs(&self) -> f64 {
        count(self.latencies.len())
    }

    /// Pairs a second.
    pub(crate) fn rate(&self) -> f64 {
        self.pairs() / self.seconds
    }

    pub(crate) fn add_to(&self, cell: &mut Cell) {
        cell.add("pairs_per_second", self.rate());
        cell.add("pair_p50_micros", quantile(&self.latencies, 0.5));
        cell.add("pair_p99_micros", quantile(&self.latencies, 0.99));
        cell.add("pair_max_micros", quantile(&self.latencies, 1.0));
        cell.add("cpu_seconds_per_1000", self.cpu_seconds / self.pairs() * 1e3);
        if let Some(traffic) = &self.traffic {
            cell.add("commands_sent", traffic.sent / self.pairs());
            cell.add("commands_total", traffic.total / self.pairs());
            cell.add("server_micros", traffic.micros / self.pairs());
        }
    }
}

/// Lets the workers run for a while.
pub(crate) async fn closed_loop(
    contender: &Arc<dyn Contender>,
    workers: usize,
    time: Duration,
    stats: Option<&Stats>,
) -> Result<Sample, Failure> {
    // Connections, scripts and threads come up outside what is measured.
    for worker in 0..workers {
        contender.pair(worker).await?;
    }
    let before = stats.map(Stats::snapshot).transpose()?;
    let (cpu, began) = (cpu_seconds(), Instant::now());
    let tasks: Vec<_> = (0..workers)
        .map(|worker| tokio::spawn(work(Arc::clone(contender), worker, began + time)))
        .collect();
    let mut sample = Sample::default();
    for task in tasks {
        sample.latencies.extend(task.await??);
    }
    sample.seconds = began.elapsed().as_secs_f64();
    sample.cpu_seconds = cpu_seconds() - cpu;
    sample.latencies.sort_by(f64::total_cmp);
    if let (Some(stats), Some(before)) = (stats, before) {
        sample.traffic = Some(stats.snapshot()?.since(&before));
    }
    Ok(sample)
}

async fn work(
    contender: Arc<dyn Contender>,
    worker: usize,
    end: Instant,
) -> Result<Vec<f64>, Failure> {
    let mut latencies = Vec::new();
    let mut now = Instant::now();
    while now < end {
        contender.pair(worker).await?;
        let after = Instant::now();
        latencies.push(after.duration_since(now).as_secs_f64() * 1e6);
        now = after;
    }
    Ok(latencies)
}

//! The closed loop: each worker starts its next pair when its last one has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::contenders::Contender;
use crate::server::Stats;

/// One contender in one round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) pairs: u64,
    pub(crate) seconds: f64,
    /// Microseconds of all pairs, sorted.
    latencies: Vec<f64>,
    pub(crate) cpu_seconds: f64,
    pub(crate) commands: f64,
}

impl Sample {
    pub(crate) fn rate(&self) -> f64 {
        count(self.pairs) / self.seconds
    }

    /// The latency in µs that this part of the pairs stays below.
    pub(crate) fn latency(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index between nothing and the last"
        )]
        let at = (last as f64 * part).round() as usize;
        self.latencies.get(at).copied().unwrap_or_default()
    }

    /// What the client's own CPU time is for a pair, in µs.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / count(self.pairs)
    }

    /// Commands that the client sent for a pair.
    pub(crate) fn commands_a_pair(&self) -> f64 {
        self.commands / count(self.pairs)
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
    if let Some(stats) = stats {
        stats.reset()?;
    }
    let (cpu, began) = (cpu_seconds()?, Instant::now());
    let tasks: Vec<_> = (0..workers)
        .map(|worker| tokio::spawn(work(Arc::clone(contender), worker, began + time)))
        .collect();
    let mut sample = Sample::default();
    for task in tasks {
        sample.latencies.extend(task.await??);
    }
    sample.seconds = began.elapsed().as_secs_f64();
    sample.cpu_seconds = cpu_seconds()? - cpu;
    sample.pairs = u64::try_from(sample.latencies.len())?;
    sample.latencies.sort_by(f64::total_cmp);
    if let Some(stats) = stats {
        sample.commands = stats.client_commands()?;
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

/// The CPU time of this process, user and system.
fn cpu_seconds() -> Result<f64, Failure> {
    // Fields 14 and 15 of proc(5), in hundredths; the second field may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no fields in the process's status")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

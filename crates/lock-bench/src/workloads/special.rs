//! W8 to W11: what happens once, and matters.

use std::sync::Arc;
use std::time::Duration;

use lock_core::LockService;
use lock_core::backend::Clock;
use lock_redis::RedisBackend;
use lock_testkit::proxy::{Direction, Fault, Proxy, Scope};
use tempfile::NamedTempFile;

use super::bench::Bench;
use crate::contenders::rivals::Rival;
use crate::contenders::stint::Stint;
use crate::failure::Failure;
use crate::measure::figures::{Cell, count};
use crate::processes::child::Process;
use crate::processes::holder::{self, HOLD};
use crate::processes::kept_alive::{KEEP_ALIVE, Kept, Order};
use crate::settings::Settings;

/// Long enough that nothing else takes as long, so that delays can be counted.
const LINE: Duration = Duration::from_millis(50);
const LOAD: Duration = Duration::from_millis(20);
const CROWD: usize = 1_000;
/// Those who wait for the dead.
const MOURNERS: usize = 3;

pub(crate) async fn many_kept_alive(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    let (locks, ttl_millis) = settings.kept_alive();
    let mut cell = Cell::new("distlock", locks);
    for _ in 0..settings.rare_rounds() {
        bench.stats.flush()?;
        let order = Order { url: bench.server.url(), locks, ttl_millis };
        let mut process = Process::start(&[KEEP_ALIVE, &serde_json::to_string(&order)?])?;
        let line = process.line().await?;
        let kept: Kept = serde_json::from_str(&line).map_err(|_| line)?;
        process.ended().await?;
        cell.add("bytes_per_lock", kept.bytes_per_lock);
        cell.add("renewal_round_millis", kept.renewal_round_millis);
        cell.add("renewals_late", count(kept.late));
        cell.add("lost", count(kept.lost));
    }
    bench.stats.flush()?;
    Ok(vec![cell])
}

pub(crate) async fn after_a_death(
    bench: &Bench,
    settings: &Settings,
) -> Result<Vec<Cell>, Failure> {
    let url = bench.server.url();
    let rivals = [Rival::Raw, Rival::Rslock, Rival::Distlock];
    let mut cells: Vec<Cell> =
        rivals.iter().map(|rival| Cell::new(rival.name(), MOURNERS)).collect();
    for _ in 0..settings.rare_rounds() {
        for (cell, rival) in cells.iter_mut().zip(rivals) {
            bench.stats.flush()?;
            let late = first_after_a_death(bench, &url, rival).await?;
            cell.add("after_expiry_millis", late.as_secs_f64() * 1e3);
        }
    }
    Ok(cells)
}

/// How long after the end of the dead one's lease the first of those who wait has the lock.
async fn first_after_a_death(bench: &Bench, url: &str, rival: Rival) -> Result<Duration, Failure> {
    const NAME: &str = "inherited";
    // The library spells keys with a prefix.
    let key = format!("lock:{NAME}");
    let name = if rival.has_key_prefix() { NAME } else { &key };
    let mut holder = Process::start(&[HOLD, url, NAME])?;
    holder.await_ready().await?;
    let exclusion = NamedTempFile::new()?;
    let turns = rival.connect(url, name).await?;
    let waiting = (0..MOURNERS).map(|_| {
        let stint = Stint::new(Duration::ZERO, exclusion.path())?;
        let turns = Arc::clone(&turns);
        Ok::<_, Failure>(tokio::spawn(async move {
            turns.section(&stint).await?;
            stint.granted_at().ok_or_else(|| Failure::from("nobody was inside"))
        }))
    });
    let waiting = waiting.collect::<Result<Vec<_>, _>>()?;
    Clock::SYSTEM.sleep(holder::TTL / 4).await;
    holder.kill().await?;
    let expiry = bench.stats.expiry(&key)?;
    let mut first = None;
    for granted in waiting {
        let granted = granted.await??;
        first = Some(first.map_or(granted, |first: lock_core::Instant| first.min(granted)));
    }
    Ok(first.map_or(Duration::ZERO, |first| first.saturating_duration_since(expiry)))
}

pub(crate) async fn from_cold(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let mut cells = vec![Cell::new("distlock, cold", 1), Cell::new("distlock, after connect", 1)];
    for _ in 0..settings.rare_rounds() {
        for (cell, is_connected) in cells.iter_mut().zip([false, true]) {
            let proxy = Proxy::start(bench.server.address())?;
            proxy.set(Direction::ToClient, Scope::All, Fault::Delay(LINE));
            let service = LockService::new(RedisBackend::builder().url(proxy.url()).build()?);
            if is_connected {
                service.ping().await?;
            }
            let before = bench.stats.snapshot()?;
            let began = Clock::SYSTEM.now();
            let guard = service.lock("cold").acquire().await?;
            let took = Clock::SYSTEM.now().saturating_duration_since(began);
            let traffic = bench.stats.snapshot()?.since(&before);
            drop(guard);
            service.shutdown(Duration::ZERO).await;
            cell.add("round_trips", (took.as_secs_f64() / LINE.as_secs_f64()).floor());
            cell.add("uploads", traffic.uploads);
        }
    }
    Ok(cells)
}

pub(crate) async fn stampede(bench: &Bench, settings: &Settings) -> Result<Vec<Cell>, Failure> {
    let url = bench.server.url();
    let rivals =
        [Rival::RawLocal, Rival::Raw, Rival::Rslock10, Rival::Distlock, Rival::DistlockHandover];
    let mut cells: Vec<Cell> = rivals.iter().map(|rival| Cell::new(rival.name(), CROWD)).collect();
    let exclusion = NamedTempFile::new()?;
    for _ in 0..settings.contests() {
        for (cell, rival) in cells.iter_mut().zip(&rivals) {
            bench.stats.flush()?;
            let turns = rival.connect(&url, "stampede").await?;
            turns.section(&Stint::new(Duration::ZERO, exclusion.path())?).await?;
            let stint = Arc::new(Stint::of_loading(LOAD, exclusion.path())?);
            let began = Clock::SYSTEM.now();
            let crowd: Vec<_> = (0..CROWD)
                .map(|_| {
                    let (turns, stint) = (Arc::clone(&turns), Arc::clone(&stint));
                    tokio::spawn(async move { turns.section(&stint).await })
                })
                .collect();
            for one in crowd {
                one.await??;
            }
            let took = Clock::SYSTEM.now().saturating_duration_since(began);
            cell.add("all_served_millis", took.as_secs_f64() * 1e3);
            cell.add("ratio", took.as_secs_f64() / LOAD.as_secs_f64());
            cell.add("loads", count(stint.loads()));
        }
    }
    Ok(cells)
}

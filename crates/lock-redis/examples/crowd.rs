//! Many at once on a Redis server, in a process of their own so that its memory can be told.
//!
//! `crowd URL wait COUNT`: so many tasks queue for one lock; then half of them give up, and
//! the others are served.
//! `crowd URL keep COUNT`: so many locks are kept alive, and each is seen to be renewed.
//! Both print what came of it as `NAME VALUE` lines.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lock_core::{Handover, Lock, LockGuard, LockService};
use lock_redis::RedisBackend;
use tokio::sync::watch;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// So long that nothing expires by accident.
const LONG: Duration = Duration::from_secs(3_600);
/// The lease of the locks that are kept: a third of it is ten times what it takes to renew them.
const KEPT: Duration = Duration::from_secs(30);
/// Nothing here is about a server that is slow to answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// So many locks are acquired at a time.
const AT_A_TIME: usize = 256;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, what, count] = words.as_slice() else { return usage() };
    let Ok(count) = count.parse() else { return usage() };
    let ran = match what.as_str() {
        "wait" => wait(url, count).await,
        "keep" => keep(url, count).await,
        _ => return usage(),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: crowd URL wait|keep COUNT");
    ExitCode::from(2)
}

/// In strict order, so that each task is in the server's queue by itself.
fn service(url: &str) -> lock_core::Result<LockService> {
    let backend = RedisBackend::builder().url(url).response_timeout(RESPONSE_TIMEOUT).build()?;
    Ok(LockService::builder(backend).handover(Handover::OFF).build())
}

async fn wait(url: &str, count: u64) -> Outcome<()> {
    let (holder, locks) = (service(url)?, service(url)?);
    let guard = holder.lock("x").ttl(LONG).acquire().await?;
    // Connects, so that the memory of that is not counted.
    drop(locks.lock("before").acquire().await?);
    let before = resident_bytes()?;
    let mut waiting = JoinSet::new();
    // Only when all are queued, however long that takes.
    let (give_up, given_up) = watch::channel(false);
    for task in 0..count {
        let given_up = (task % 2 == 1).then(|| given_up.clone());
        drop(waiting.spawn(a_section(locks.lock("x").ttl(LONG).wait(LONG), given_up)));
    }
    while in_line(&holder).await? < count {}
    println!("bytes_each {}", resident_bytes()?.saturating_sub(before) / count);
    give_up.send(true)?;
    while in_line(&holder).await? > count / 2 {}
    let released = Instant::now();
    guard.release().await;
    let (mut served, mut gave_up) = (0, 0);
    while let Some(was_served) = waiting.join_next().await {
        *(if was_served?? { &mut served } else { &mut gave_up }) += 1;
    }
    println!("served {served}\ngave_up {gave_up}");
    println!("millis_to_serve {}", released.elapsed().as_millis());
    Ok(())
}

async fn in_line(locks: &LockService) -> Outcome<u64> {
    Ok(locks.status("x").await?.and_then(|status| status.waiters).unwrap_or(0))
}

/// Whether it was served before it gave up.
async fn a_section(lock: Lock, given_up: Option<watch::Receiver<bool>>) -> Outcome<bool> {
    let given_up = async move {
        match given_up {
            Some(mut given_up) => drop(given_up.wait_for(|given_up| *given_up).await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        guard = lock.acquire() => Ok(guard?.release().await.is_released()),
        () = given_up => Ok(false),
    }
}

async fn keep(url: &str, count: u64) -> Outcome<()> {
    let locks = service(url)?;
    drop(locks.lock("before").keep_alive().acquire().await?);
    let before = resident_bytes()?;
    let mut acquiring = JoinSet::new();
    let mut guards: Vec<LockGuard> = Vec::new();
    for number in 0..count {
        if acquiring.len() >= AT_A_TIME
            && let Some(guard) = acquiring.join_next().await
        {
            guards.push(guard??);
        }
        let lock = locks.lock(format!("{number:09}")).ttl(KEPT).keep_alive();
        drop(acquiring.spawn(lock.acquire()));
    }
    while let Some(guard) = acquiring.join_next().await {
        guards.push(guard??);
    }
    println!("bytes_each {}", resident_bytes()?.saturating_sub(before) / count);
    // The renewals are due at each third of the lease, so the least of all remaining times tells
    // how late the latest was.
    let mut least = KEPT;
    let since = Instant::now();
    while since.elapsed() < KEPT / 2 {
        least = guards.iter().map(LockGuard::remaining).fold(least, Duration::min);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lost = guards.iter().filter(|guard| !guard.is_held()).count();
    let thousandths = least.as_millis() * 1_000 / KEPT.as_millis();
    println!("lost {lost}\nleast_remaining_thousandths {thousandths}");
    Ok(())
}

/// The memory of this process that is in use.
fn resident_bytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}

//! Waits for one lock on a Redis server, and says what it gets, for tests that kill or freeze it.
//!
//! `waiter URL NAME TTL_MS [--then-hold]`: prints `held <fencing token>` as soon as it holds the
//! lock, and releases it; with `--then-hold` it holds on for ever.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::process::ExitCode;
use std::time::Duration;

use lock_core::LockService;
use lock_redis::RedisBackend;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, ttl, ..] = words.as_slice() else { return usage() };
    let Ok(ttl) = ttl.parse().map(Duration::from_millis) else { return usage() };
    let holds_on = match words.get(3).map(String::as_str) {
        None => false,
        Some("--then-hold") => true,
        Some(_) => return usage(),
    };
    match wait(url, name, ttl, holds_on).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: waiter URL NAME TTL_MS [--then-hold]");
    ExitCode::from(2)
}

async fn wait(url: &str, name: &str, ttl: Duration, holds_on: bool) -> lock_core::Result<()> {
    let locks = LockService::new(RedisBackend::builder().url(url).build()?);
    let guard = locks.lock(name).ttl(ttl).wait_forever().acquire().await?;
    println!("held {}", guard.fencing_token().map_or(0, |token| token.get()));
    if holds_on {
        std::future::pending::<()>().await;
    }
    guard.release().await;
    Ok(())
}

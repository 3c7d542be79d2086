//! Takes a lock on a Redis server and ends without a release or a shutdown, for tests that look at what
//! it leaves behind.
//!
//! `leaver URL NAME RUNTIME PLACE [--pause]`: `RUNTIME` is `current` or `multi`, and `PLACE` says where
//! the guard is dropped, always with the service or after it:
//!
//! - `inside`: at the end of the future that `block_on` runs, which is that of an `async fn main`;
//! - `outside`: after `block_on`, while the runtime exists;
//! - `after`: when the runtime is gone;
//! - `task`: with a task that the end of the runtime drops;
//! - `panic`: while a panic unwinds;
//! - `waiting`: it never gets the lock, which another holds, and gives up while it waits for it.
//!
//! With `--pause` it prints `held` when it holds the lock, and goes on when its input ends.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use lock_core::{LockGuard, LockService, Result};
use lock_redis::RedisBackend;
use tokio::runtime::{Builder, Runtime};

/// Long enough that what is left behind is found.
const TTL: Duration = Duration::from_secs(120);

struct Settings {
    url: String,
    name: String,
    place: String,
    pauses: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, runtime, place, rest @ ..] = words.as_slice() else { return usage() };
    let mut builder = match runtime.as_str() {
        "current" => Builder::new_current_thread(),
        "multi" => Builder::new_multi_thread(),
        _ => return usage(),
    };
    let settings = Settings {
        url: url.clone(),
        name: name.clone(),
        place: place.clone(),
        pauses: rest.iter().any(|word| word == "--pause"),
    };
    let left = builder
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| leave(runtime, &settings).map_err(|error| error.to_string()));
    match left {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => usage(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: leaver URL NAME current|multi inside|outside|after|task|panic|waiting [--pause]"
    );
    ExitCode::from(2)
}

/// `false`: there is no such place.
fn leave(runtime: Runtime, settings: &Settings) -> Result<bool> {
    match settings.place.as_str() {
        "inside" => runtime.block_on(async {
            let _held = hold(settings).await?;
            Ok(true)
        }),
        "outside" => {
            let _held = runtime.block_on(hold(settings))?;
            Ok(true)
        }
        "after" => {
            let _held = runtime.block_on(hold(settings))?;
            drop(runtime);
            Ok(true)
        }
        "task" => runtime.block_on(async {
            let held = hold(settings).await?;
            tokio::spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
            Ok(true)
        }),
        "panic" => {
            let panicked = std::panic::catch_unwind(|| {
                runtime.block_on(async {
                    let held = hold(settings).await;
                    assert!(held.is_err(), "on purpose");
                    held.map(drop)
                })
            });
            panicked.map_or(Ok(true), |failed| failed.map(|()| true))
        }
        "waiting" => runtime.block_on(async {
            let locks = connect(settings)?;
            let waiting = locks.lock(&settings.name).ttl(TTL).wait_forever().acquire();
            let gave_up = tokio::time::timeout(Duration::from_millis(200), waiting).await;
            Ok(gave_up.is_err())
        }),
        _ => Ok(false),
    }
}

async fn hold(settings: &Settings) -> Result<(LockService, LockGuard)> {
    let locks = connect(settings)?;
    let guard = locks.lock(&settings.name).ttl(TTL).acquire().await?;
    if settings.pauses {
        println!("held");
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
    }
    Ok((locks, guard))
}

fn connect(settings: &Settings) -> Result<LockService> {
    Ok(LockService::new(RedisBackend::builder().url(settings.url.as_str()).build()?))
}

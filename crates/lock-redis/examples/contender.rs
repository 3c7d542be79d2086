//! Fights for one lock on a Redis server and writes down what it sees, for the history checker.
//!
//! `contender URL NAME ROUNDS FILE [--no-owner-check]`: start it twice with one URL and one name,
//! and check both files together (`tests/integration/processes.rs` does).
//! With `--no-owner-check` a release deletes the key whoever owns it: the defect that the checker
//! must find.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;

use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, LockBackend, LockKey, ReleaseReply,
    ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockError, LockErrorKind, LockStatus, Result};
use lock_redis::RedisBackend;
use lock_testkit::contention::Contention;
use lock_testkit::history::Recorder;
use redis::aio::MultiplexedConnection;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, rounds, file, ..] = words.as_slice() else { return usage() };
    let Ok(rounds) = rounds.parse() else { return usage() };
    let checks_owner = match words.get(4).map(String::as_str) {
        None => true,
        Some("--no-owner-check") => false,
        Some(_) => return usage(),
    };
    match contend(url, name, rounds, file, checks_owner).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: contender URL NAME ROUNDS FILE [--no-owner-check]");
    ExitCode::from(2)
}

async fn contend(
    url: &str,
    name: &str,
    rounds: u64,
    file: &str,
    checks_owner: bool,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let redis = Arc::new(RedisBackend::builder().url(url).build()?);
    let backend: AnyBackend = if checks_owner {
        AnyBackend::new(redis)
    } else {
        let client = redis::Client::open(url)?;
        let connection = client.get_multiplexed_async_connection().await?;
        AnyBackend::new(DeletesAnything { redis, connection })
    };
    let process = std::process::id().to_string();
    let recorder = Recorder::with_writer(process, File::create(file)?);
    let tally = Contention::new(name).rounds(rounds).run(vec![backend], &recorder).await?;
    recorder.flush()?;
    println!("{tally:?}");
    Ok(())
}

/// Releases a lock whoever owns it, and lets the next in the queue in.
struct DeletesAnything {
    redis: Arc<RedisBackend>,
    connection: MultiplexedConnection,
}

impl LockBackend for DeletesAnything {
    fn kind(&self) -> &'static str {
        "deletes anything"
    }

    fn capabilities(&self) -> Capabilities {
        self.redis.capabilities()
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        Arc::clone(&self.redis).acquire(request).await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        let mut connection = self.connection.clone();
        let key = format!("lock:{}", request.key);
        let deleted: u32 =
            redis::cmd("DEL").arg(key).query_async(&mut connection).await.map_err(|error| {
                LockError::new(LockErrorKind::Unavailable, "DEL failed").with_source(error)
            })?;
        // The first in the queue is granted the lock at once, as by a release that may.
        Arc::clone(&self.redis).release(request).await?;
        Ok(if deleted == 1 { ReleaseReply::Released } else { ReleaseReply::NotHeld })
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        Arc::clone(&self.redis).renew(batch).await
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        Arc::clone(&self.redis).status(key).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        self.redis.check_key(key)
    }

    async fn ping(&self) -> Result<()> {
        Arc::clone(&self.redis).ping().await
    }

    async fn close(&self) {
        Arc::clone(&self.redis).close().await;
    }
}

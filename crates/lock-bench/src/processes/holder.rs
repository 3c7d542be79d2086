//! A process that takes a lock and is killed with it.

use std::io::{Read, Write};
use std::time::Duration;

use lock_core::LockService;
use lock_redis::RedisBackend;

use super::child::READY;
use crate::failure::Failure;
use crate::runtime::runtime;

/// The word that makes this program the holder.
pub(crate) const HOLD: &str = "hold";
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// Takes the lock and keeps it until the input ends.
pub(crate) fn run(url: &str, name: &str) -> Result<(), Failure> {
    let runtime = runtime(0)?;
    let service = LockService::new(RedisBackend::builder().url(url).build()?);
    let guard = runtime.block_on(service.lock(name).ttl(TTL).acquire())?;
    let mut out = std::io::stdout();
    writeln!(out, "{READY}")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(guard);
    Ok(())
}

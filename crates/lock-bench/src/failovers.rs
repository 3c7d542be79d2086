//! What a failover costs: servers fail under load, again and again, and everything is recorded.
//!
//! `lock-bench failovers [ROUNDS] [WORD]` runs each case that has the word in its name so often, and
//! prints a table.

mod load;
mod scenes;
mod table;

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::runtime::runtime;
use load::{Load, Seen};
use scenes::{CASES, Case};

/// The first word of the command line.
pub(crate) const FAILOVERS: &str = "failovers";

const ROUNDS: usize = 10;
/// The load has begun, and nothing has failed yet.
const BEFORE: Duration = Duration::from_secs(1);
/// The load goes on when service has resumed.
const AFTER: Duration = Duration::from_millis(1_500);
/// A round in which service does not resume is given up.
const LIMIT: Duration = Duration::from_secs(40);

/// Runs what the words ask for.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let rounds = words.first().map(|rounds| rounds.parse()).transpose()?.unwrap_or(ROUNDS);
    let wanted = words.get(1).map_or("", String::as_str);
    println!("{}", table::HEAD);
    for case in CASES.iter().filter(|case| case.name.contains(wanted)) {
        for replicas in case.replicas {
            let mut seen = Vec::new();
            for _ in 0..rounds {
                // A runtime for each, so that nothing of a round is left in the next one.
                seen.push(runtime(2)?.block_on(round(case, *replicas))?);
            }
            println!("{}", table::row(case.name, *replicas, &seen));
        }
    }
    Ok(())
}

async fn round(case: &Case, replicas: u8) -> Result<Seen, Failure> {
    let mut scene = (case.start)()?;
    let services = vec![scene.service(replicas)?, scene.service(replicas)?];
    let load = Load::start(services, scene.prefixes());
    tokio::time::sleep(BEFORE).await;
    load.keep_locks();
    tokio::time::sleep(BEFORE / 2 + BEFORE.mul_f64(fastrand::f64() / 10.0)).await;
    // Servers are ended and started by calls that block.
    let (mut scene, failing) = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        scene.fail().map(|()| (scene, begun..Instant::now()))
    })
    .await??;
    let mended_at = if case.is_mended {
        tokio::time::sleep(BEFORE).await;
        scene = tokio::task::spawn_blocking(move || scene.mend().map(|()| scene)).await??;
        Some(Instant::now())
    } else {
        None
    };
    let resumed = load.until_served(mended_at.unwrap_or(failing.end), LIMIT).await;
    tokio::time::sleep(AFTER).await;
    let seen = load.end(failing, mended_at).await;
    drop(scene);
    if !resumed {
        println!("service did not resume within {LIMIT:?}: {seen:?}");
    }
    Ok(seen)
}

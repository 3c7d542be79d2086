//! Runs claims: all of them into a report, or one as a test.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::runtime::{Builder, Runtime};

use super::claim::{Claim, Proving};
use super::harness::Harness;
use super::index::{CLAIMS, find};
use super::proof::{Failure, Proof};
use super::report::{Outcome, Report, Verdict, listed};
use super::scene::Scene;

/// A proof in paused time takes no time, unless it blocks its thread.
const BLOCKED_AFTER: Duration = Duration::from_secs(60);

/// Proves every claim, one after the other, and reports.
///
/// With [`Pace::paused`](super::Pace::paused) the calling runtime's time must be paused:
/// [`run_blocking`] sees to that.
pub async fn run(harness: &dyn Harness) -> Report {
    let mut verdicts = Vec::with_capacity(CLAIMS.len());
    let mut backend = "unreachable";
    for claim in CLAIMS {
        let (kind, outcome) = prove(harness, claim).await;
        backend = kind.unwrap_or(backend);
        verdicts.push(Verdict { claim: *claim, outcome });
    }
    Report { backend, verdicts }
}

/// Proves every claim in a runtime of its own, and reports.
///
/// # Panics
///
/// If called within an async runtime, or if no runtime can be made.
pub fn run_blocking(harness: &dyn Harness) -> Report {
    runtime(harness).block_on(run(harness))
}

/// Proves one claim in a thread and a runtime of its own: a test of `conformance_tests!`.
///
/// # Panics
///
/// If the claim does not hold, or there is none at this path.
#[expect(clippy::print_stdout, reason = "a claim that does not apply must not vanish in silence")]
pub fn prove_or_panic(harness: impl Harness + 'static, path: &str) {
    let Some(claim) = find(path) else { panic!("there is no claim {path}") };
    let limit = if harness.pace().is_paused() { BLOCKED_AFTER } else { harness.pace().limit() * 2 };
    let (sender, outcome) = mpsc::channel();
    // The limit of a proof cannot stop one that blocks its thread, so this one is left behind.
    std::thread::spawn(move || {
        let (_, outcome) = runtime(&harness).block_on(prove(&harness, claim));
        sender.send(outcome).ok();
    });
    let outcome = outcome.recv_timeout(limit).unwrap_or_else(|missing| {
        Outcome::Failed(match missing {
            RecvTimeoutError::Timeout => format!("no end within {limit:?}: it blocks its thread"),
            RecvTimeoutError::Disconnected => "the harness panicked".to_owned(),
        })
    });
    let verdict = Verdict { claim: *claim, outcome };
    match verdict.outcome {
        Outcome::Failed(_) => panic!("{path}: {verdict}"),
        Outcome::Passed => {}
        _ => println!("{path}: {verdict}"),
    }
}

/// Proves one claim; also says what kind of backend it was about.
pub(super) async fn prove(harness: &dyn Harness, claim: &Claim) -> (Option<&'static str>, Outcome) {
    let scene = match Scene::new(harness, claim.name).await {
        Ok(scene) => scene,
        Err(Failure(reason)) => return (None, Outcome::Failed(reason)),
    };
    let missing = claim.missing(&scene.capabilities());
    let undeclared: Vec<_> =
        missing.iter().copied().filter(|need| !harness.lacks().contains(need)).collect();
    let outcome = if !undeclared.is_empty() {
        Outcome::Failed(format!(
            "the backend has no {0}; if that is meant, let the harness' `lacks` name {0}",
            listed(&undeclared)
        ))
    } else if missing.is_empty() {
        settle(within_limit(&scene, (claim.prove)(&scene)).await, Outcome::Passed)
    } else if let Some(counter) = claim.counter {
        settle(within_limit(&scene, (counter.prove)(&scene)).await, Outcome::CounterPassed)
    } else {
        Outcome::NotApplicable(missing)
    };
    (Some(scene.kind()), outcome)
}

fn settle(proof: Proof, passed: Outcome) -> Outcome {
    match proof {
        Ok(()) => passed,
        Err(Failure(reason)) => Outcome::Failed(reason),
    }
}

/// A proof that hangs, or panics, has failed.
async fn within_limit(scene: &Scene<'_>, proving: Proving<'_>) -> Proof {
    let limit = scene.pace().limit();
    let guarded = AssertUnwindSafe(proving).catch_unwind();
    match select(guarded, scene.clock().sleep(limit)).await {
        Either::Left((Ok(proof), _)) => proof,
        Either::Left((Err(panic), _)) => Err(Failure(format!("panic: {}", words(&*panic)))),
        Either::Right(_) => Err(Failure(format!("no end within the time limit of {limit:?}"))),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn runtime(harness: &dyn Harness) -> Runtime {
    let built = if harness.pace().is_paused() {
        Builder::new_current_thread().enable_all().start_paused(true).build()
    } else {
        Builder::new_multi_thread().worker_threads(2).enable_all().build()
    };
    built.unwrap_or_else(|error| panic!("no runtime for a claim: {error}"))
}

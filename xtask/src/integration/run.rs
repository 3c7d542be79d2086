//! A run: image by image, suite by suite, and the end of it whatever happens.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::engine::Engine;
use super::options::{Options, Tested};
use super::store::Store;
use super::suites::{self, Examples, Finding};
use super::table::{Row, Table};
use crate::verb::{Failure, Outcome};

/// For threads that are still at work when all is said.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run(options: &Options) -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Error(error.to_string()))?;
    let engine = runtime.block_on(Engine::connect()).map_err(Failure::Error)?;
    // Nothing has been started yet, so a signal may still end the process at once.
    let examples = Examples::build().map_err(Failure::Error)?;
    let outcome = runtime.block_on(supervised(Arc::new(engine), options.clone(), examples));
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    outcome
}

/// Runs everything; a signal or a panic ends it early. Removes the containers in any case.
async fn supervised(engine: Arc<Engine>, options: Options, examples: Examples) -> Outcome {
    let mut signals = Signals::catch().map_err(|error| Failure::Error(error.to_string()))?;
    let mut work = tokio::spawn(test_all(Arc::clone(&engine), options, examples));
    let ended = tokio::select! {
        ended = &mut work => ended.map_err(|error| format!("the run ended early: {error}")),
        name = signals.any() => {
            eprintln!("{name}: removing the containers");
            work.abort();
            // Its containers are dropped when it is gone.
            drop(work.await);
            Err(format!("ended by {name}"))
        }
    };
    let removed = engine.remove_all().await.map_err(Failure::Error);
    let table = ended.map_err(Failure::Error)?;
    removed?;
    let sum = table.sum();
    println!("\n{table}\n{sum}");
    if sum.failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}

/// All stores at a time: a suite waits for leases to end most of its time.
async fn test_all(engine: Arc<Engine>, options: Options, examples: Examples) -> Table {
    let behind_dapr = options.behind_dapr();
    let tests = options.tested().map(|tested| test(&engine, tested, behind_dapr, &examples));
    Table(join_all(tests).await.concat())
}

async fn test(
    engine: &Engine,
    tested: Tested<'_>,
    behind_dapr: &str,
    examples: &Examples,
) -> Vec<Row> {
    let Tested { name, reference, .. } = tested;
    let began = Instant::now();
    let mut id = String::new();
    let row = |suite, began: Instant, finding: Finding, id: &str| {
        let Finding { counts, not_applicable, details } = finding;
        let (image, time) = (reference.to_owned(), began.elapsed());
        let row =
            Row { store: name, image, id: id.to_owned(), suite, counts, not_applicable, time };
        tell(&row, &details);
        row
    };
    let store = async {
        id = engine.obtain(reference).await?;
        Store::start(engine, tested, behind_dapr).await
    };
    let store = match store.await {
        Ok(store) => store,
        Err(why) => return vec![row("start", began, Finding::failed(why), &id)],
    };
    let began = Instant::now();
    let conformance = store.while_running(suites::conformance(store.address())).await;
    let conformance = row("conformance", began, conformance, &id);
    let began = Instant::now();
    let examples = store.while_running(examples.run(&store.address().url())).await;
    let examples = row("examples", began, examples, &id);
    let rows = vec![conformance, examples];
    if rows.iter().any(|row| row.counts.failed > 0) {
        println!("{name} printed at last:{}", indented(&store.logs().await));
    }
    rows
}

/// A line for each suite as it ends, and the details of a failure below it.
fn tell(row: &Row, details: &str) {
    let Row { store, suite, counts, time, .. } = row;
    let (mark, seconds) = (row.mark(), time.as_secs_f64());
    let line = format!("{mark:<7} {store} {suite}: {counts}, {seconds:.1} s");
    // In one piece, since other stores are tested at the same time.
    println!("{line}{}", indented(details));
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\n    | {line}").trim_end().to_owned()).collect()
}

/// The signals that ask a program to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}

//! `distlock bench`: a short load on the store.

mod figures;
mod load;
mod whose;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use distlock::LockOptions;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::arguments;
use crate::exit::{self, Ending, Failure};
use crate::output;
use crate::store::{self, Connected};
use figures::Figures;
use load::Load;

/// As many processes would take part, so that locks are handed over between them, too.
const SERVICES: usize = 4;
/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);
/// How long the last answers are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
const BAR: usize = 40;

pub(crate) fn bench(arguments: &arguments::Bench) -> Result<Ending, Failure> {
    let address = store::address(&arguments.store)?;
    if !arguments.yes && !whose::is_own(&address) {
        let message = format!(
            "bench puts as much load on {address} as it can, and others may use that store; use \
             --yes to run it anyway (not needed for a store on this machine)"
        );
        return Err(Failure::new(exit::USAGE, message));
    }
    let interrupts = interrupts()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(exit::USAGE, format!("the runtime cannot be started: {error}"))
    })?;
    runtime.block_on(measure(arguments, interrupts))
}

async fn measure(
    arguments: &arguments::Bench,
    mut interrupts: UnboundedReceiver<i32>,
) -> Result<Ending, Failure> {
    let tasks = arguments.tasks as usize;
    let stores = tokio::select! {
        stores = connect(arguments) => stores?,
        Some(signal) = interrupts.recv() => return Ok(ended_by(signal)),
    };
    let services = stores.len();
    let prefix = format!("distlock-bench:{:016x}", store::random());
    let load = Load::new(&prefix, arguments.names as usize);
    let length = Duration::from_secs(arguments.seconds.into());
    let began = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| tokio::spawn(load.task(stores[task % services].locks.clone(), task)))
        .collect();
    let bar = Bar::new();
    let mut interrupted = None;
    while began.elapsed() < length && interrupted.is_none() && !load.has_failed() {
        bar.draw(began.elapsed(), length, load.pairs());
        let left = length.saturating_sub(began.elapsed());
        tokio::select! {
            () = tokio::time::sleep(TICK.min(left)) => {}
            signal = interrupts.recv() => interrupted = signal,
        }
    }
    let took = began.elapsed();
    load.stop();
    let finished = async {
        let mut figures = Figures::default();
        for task in running {
            // One that panicked has no figures; the panic is on standard error.
            if let Ok(part) = task.await {
                figures.add(&part);
            }
        }
        bar.clear();
        settle(&stores).await;
        figures
    };
    let figures = tokio::select! {
        figures = finished => figures,
        // A store that does not answer is waited for no longer.
        Some(signal) = interrupts.recv() => {
            bar.clear();
            return Ok(ended_by(signal));
        }
    };
    if let Some(error) = load.failure() {
        return Err(error.into());
    }
    let what = format!(
        "{} in {}, {}, {}",
        output::count(tasks, "task"),
        output::count(services, "service"),
        output::count(arguments.names as usize, "lock"),
        stores[0].address
    );
    let text = figures.text(&what, took);
    output::print(&text).map_err(|error| {
        Failure::new(exit::USAGE, format!("the figures cannot be written: {error}"))
    })?;
    Ok(match interrupted {
        Some(signal) => ended_by(signal),
        None if load.violations() > 0 => Ending::Code(exit::HELD_TWICE),
        None => Ending::Code(exit::SUCCESS),
    })
}

/// The services among which the tasks are spread.
async fn connect(arguments: &arguments::Bench) -> Result<Vec<Connected>, Failure> {
    let first = store::connect(&arguments.store, LockOptions::new()).await?;
    // Each connection to `memory:` is a store of its own.
    let services = if first.is_private() { 1 } else { SERVICES.min(arguments.tasks as usize) };
    let mut stores = vec![first];
    while stores.len() < services {
        stores.push(store::connect(&arguments.store, LockOptions::new()).await?);
    }
    Ok(stores)
}

#[cfg(unix)]
fn ended_by(signal: i32) -> Ending {
    Ending::Signal(signal)
}

/// Never called: there are no signals.
#[cfg(not(unix))]
fn ended_by(_signal: i32) -> Ending {
    Ending::Code(exit::SUCCESS)
}

/// What is still on its way to the store: releases, and places in queues that are left.
async fn settle(stores: &[Connected]) {
    for store in stores {
        let settled = store.locks.shutdown(Duration::ZERO);
        tokio::time::timeout(LAST_ANSWERS, settled).await.ok();
    }
}

/// The numbers of the signals that are to end the program.
#[cfg(unix)]
fn interrupts() -> Result<UnboundedReceiver<i32>, Failure> {
    use crate::signals::{Blocked, ENDS};
    use rustix::process::Signal;

    let failed =
        |error: io::Error| Failure::new(exit::USAGE, format!("cannot listen for signals: {error}"));
    let blocked = Blocked::new(&ENDS).map_err(failed)?;
    let (tell, told) = mpsc::unbounded_channel();
    let listen = move |signal: Signal| tell.send(signal.as_raw()).is_ok();
    blocked.listen(listen).map_err(failed)?;
    Ok(told)
}

/// Elsewhere a signal ends the program, and its locks end with their ttl.
#[cfg(not(unix))]
fn interrupts() -> Result<UnboundedReceiver<i32>, Failure> {
    let (tell, told) = mpsc::unbounded_channel();
    std::mem::forget(tell);
    Ok(told)
}

/// How far the load is, for whoever sits at a terminal.
struct Bar {
    is_shown: bool,
}

impl Bar {
    fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() }
    }

    fn draw(&self, elapsed: Duration, length: Duration, pairs: u64) {
        if !self.is_shown {
            return;
        }
        let part = (elapsed.as_secs_f64() / length.as_secs_f64()).min(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and the length of the bar"
        )]
        let full = (part * BAR as f64) as usize;
        let rate = figures::per_second(pairs, elapsed);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR - full));
        self.write(&format!("\r[{bar}] {:3.0}%  {rate:.0} pairs/s\x1b[K", part * 100.0));
    }

    fn clear(&self) {
        if self.is_shown {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        // Nobody misses a bar that cannot be drawn.
        io::stderr().write_all(text.as_bytes()).ok();
    }
}

//! `distlock check`: what the store can do, and what is to be changed.

use std::time::{Duration, Instant};

use distlock::backend::Capabilities;
use distlock::{LockErrorKind, LockGuard, LockOptions, LockService, ReleaseOutcome, ServerInfo};

use crate::arguments::{self, Ability};
use crate::exit::{self, Ending, Failure};
use crate::output::{self, Span};
use crate::{store, warnings};

const PINGS: usize = 10;
const PROBE_TTL: Duration = Duration::from_secs(5);
/// Long enough to begin to wait, and to be asked who holds the lock.
const A_MOMENT: Duration = Duration::from_millis(100);
const ABILITIES: [Ability; 4] =
    [Ability::Renewal, Ability::Fencing, Ability::Queue, Ability::Status];

pub(crate) async fn check(arguments: &arguments::Check) -> Result<Ending, Failure> {
    let warnings = warnings::keep();
    let began = Instant::now();
    let store = store::connect(&arguments.store, LockOptions::new()).await?;
    let connected = began.elapsed();
    let pings = round_trips(&store.locks).await?;
    let probed = probe(&store.locks).await?;
    // What waiting needs is found by whoever waits: another one than the holder.
    let waiter = store::connect(&arguments.store, LockOptions::new()).await?.locks;
    wait_in_vain(&store.locks, &waiter).await?;

    let servers = waiter.servers().await?;
    let mut rows = vec![row("store", &store.address)];
    rows.extend(servers.iter().flat_map(about));
    rows.extend([
        row("connected", format!("in {}", Span(connected))),
        row("round trip", format!("{} ({PINGS} pings, the slowest {})", pings.0, pings.1)),
        row("lock", format!("taken and released in {}", Span(probed))),
    ]);
    let able = waiter.capabilities();
    let mut problems = Vec::new();
    for ability in ABILITIES {
        let has = has(able, ability);
        let text = if has { "yes".to_owned() } else { format!("no: {}", lack(ability)) };
        rows.push(row(name(ability), text));
        if !has && arguments.require.contains(&ability) {
            problems.push(format!("{} is required, and the store lacks it", name(ability)));
        }
    }
    // Each of the services that it connects warns for itself.
    for warning in warnings.texts() {
        if !problems.contains(&warning) {
            problems.push(warning);
        }
    }
    if store.is_private() {
        let what = "the store is the memory of one process, so nobody else is excluded; name a \
                    store that all instances share";
        problems.push(what.to_owned());
    }
    let mut text = output::table(&rows);
    for problem in &problems {
        text.push_str(&format!("to be changed: {problem}\n"));
    }
    output::print(&text).map_err(|error| {
        Failure::new(exit::USAGE, format!("the result cannot be written: {error}"))
    })?;
    Ok(Ending::Code(if problems.is_empty() { exit::SUCCESS } else { exit::TO_BE_CHANGED }))
}

/// The rows of a server.
fn about(server: &ServerInfo) -> Vec<Vec<String>> {
    let facts = server.facts.iter().map(|(name, what)| row(&format!("  {name}"), what));
    [row("server", &server.address)].into_iter().chain(facts).collect()
}

/// The median and the slowest of some round trips.
async fn round_trips(locks: &LockService) -> Result<(Span, Span), Failure> {
    let mut took = [Duration::ZERO; PINGS];
    for took in &mut took {
        let began = Instant::now();
        locks.ping().await?;
        *took = began.elapsed();
    }
    took.sort_unstable();
    Ok((Span(took[PINGS / 2]), Span(took[PINGS - 1])))
}

/// Takes a lock that nobody else asks for, and releases it: what is not permitted is found.
async fn probe(locks: &LockService) -> Result<Duration, Failure> {
    let began = Instant::now();
    let guard = store::own_lock(locks, &name_of_probe(), PROBE_TTL).acquire().await?;
    release(guard).await?;
    Ok(began.elapsed())
}

/// Waits a moment for a lock that is held.
async fn wait_in_vain(holder: &LockService, waiter: &LockService) -> Result<(), Failure> {
    let name = name_of_probe();
    let guard = store::own_lock(holder, &name, PROBE_TTL).acquire().await?;
    match store::own_lock(waiter, &name, PROBE_TTL).wait(A_MOMENT).acquire().await {
        // Each of them has a store of its own, in memory.
        Ok(another) => release(another).await?,
        Err(error) if error.kind() == LockErrorKind::Timeout => {}
        Err(error) => return Err(error.into()),
    }
    release(guard).await
}

async fn release(guard: LockGuard) -> Result<(), Failure> {
    match guard.release().await {
        ReleaseOutcome::Released => Ok(()),
        outcome => Err(Failure::new(
            exit::STORE,
            format!("a lock was taken, and its release was not confirmed: {outcome}"),
        )),
    }
}

fn name_of_probe() -> String {
    format!("distlock-check:{:016x}", store::random())
}

const fn has(able: Capabilities, ability: Ability) -> bool {
    match ability {
        Ability::Renewal => able.renew,
        Ability::Fencing => able.fencing,
        Ability::Queue => able.queueing,
        Ability::Status => able.inspect,
    }
}

const fn name(ability: Ability) -> &'static str {
    match ability {
        Ability::Renewal => "renewal",
        Ability::Fencing => "fencing",
        Ability::Queue => "queue",
        Ability::Status => "status",
    }
}

/// What it means that the store lacks it.
const fn lack(ability: Ability) -> &'static str {
    match ability {
        Ability::Renewal => "`distlock run` ends a command that takes longer than --ttl",
        Ability::Fencing => "a command gets no DISTLOCK_FENCING_TOKEN",
        Ability::Queue => "waiters poll, and are served in no order",
        Ability::Status => "`distlock status` and `distlock wait` do not work",
    }
}

fn row(name: &str, value: impl Into<String>) -> Vec<String> {
    vec![name.to_owned(), value.into()]
}

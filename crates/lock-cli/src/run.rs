//! `distlock run`: a command under a lock.

mod group;
mod launch;
mod watch;

use std::ffi::OsString;
use std::future::Future;
use std::io::IsTerminal;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use distlock::{Holder, Lock, LockErrorKind, LockGuard, LockOptions, LockService, ReleaseOutcome};
use rustix::process::Signal;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::arguments::{self, WaitTime};
use crate::exit::{self, Ending, Failure};
use crate::output::{Span, tell};
use crate::signals::{self, Blocked};
use crate::terminal::Terminal;
use crate::{store, warnings};
use group::{End, Group};
use watch::{Event, Outcome, Watch};

pub(crate) use launch::in_child;

/// A wait that takes longer than this is told, if somebody sits at a terminal.
const SILENT_WAIT: Duration = Duration::from_secs(1);
/// A wait that is not worth a word: the lock was asked for once.
const SHORT_WAIT: Duration = Duration::from_millis(100);
/// How long the end of the program waits for answers of the store.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

pub(crate) fn run(arguments: &arguments::Run) -> Result<Ending, Failure> {
    // Before the runtime and the library start threads, since a thread inherits what is blocked.
    let blocked = Blocked::new().map_err(|error| internal("signals cannot be blocked", &error))?;
    if !arguments.quiet {
        warnings::print();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| internal("the runtime cannot be started", &error))?;
    runtime.block_on(under_lock(arguments, &blocked))
}

async fn under_lock(arguments: &arguments::Run, blocked: &Blocked) -> Result<Ending, Failure> {
    let (events, mut inbox) = mpsc::unbounded_channel();
    let signals = events.clone();
    blocked
        .listen(move |signal| signals.send(Event::Signal(signal)).is_ok())
        .map_err(|error| internal("cannot listen for signals", &error))?;

    name_program(&arguments.command);
    let defaults = LockOptions::new().keep_alive_if_supported().wait_forever();
    let connecting = store::connect(&arguments.store, defaults);
    let store = match unless_ended(&mut inbox, blocked, connecting).await {
        Ok(store) => store?,
        Err(signal) => return Ok(Ending::Signal(signal.as_raw())),
    };
    let locks = store.locks.clone();
    if store.is_private() && !arguments.quiet {
        tell("warning: the store is the memory of this process, so nobody else is excluded");
    }
    let lock = lock(&locks, arguments);
    lock.check()?;
    let began = Instant::now();
    let acquiring = with_notice(arguments, lock.acquire());
    let ending = match unless_ended(&mut inbox, blocked, acquiring).await {
        Err(signal) => Ok(Ending::Signal(signal.as_raw())),
        Ok(Err(error)) if error.kind() == LockErrorKind::Timeout => {
            Ok(not_acquired(arguments, began.elapsed(), error.holder()))
        }
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(guard)) => {
            if !locks.capabilities().renew && !arguments.quiet {
                let left = Span(guard.remaining());
                tell(format_args!(
                    "warning: this store cannot renew leases: the command is ended if it takes \
                     longer than {left}; --ttl sets that"
                ));
            }
            command(arguments, blocked, guard, &events, &mut inbox).await
        }
    };
    // What is still on its way to the store: the release of a lock, or of a place in its queue.
    tokio::time::timeout(LAST_ANSWERS, locks.shutdown(Duration::ZERO)).await.ok();
    ending
}

/// The options of the command line, over those of the environment and the URL.
fn lock(locks: &LockService, arguments: &arguments::Run) -> Lock {
    let mut lock = locks.lock(&*arguments.name);
    if let Some(ttl) = arguments.ttl {
        lock = lock.ttl(ttl);
    }
    if let Some(min_hold) = arguments.min_hold {
        lock = lock.min_hold(min_hold);
    }
    if let Some(max_hold) = arguments.max_hold {
        lock = lock.max_hold(max_hold);
    }
    match arguments.wait {
        _ if arguments.no_wait => lock.wait(Duration::ZERO),
        None => lock,
        Some(WaitTime::For(wait)) => lock.wait(wait),
        Some(WaitTime::Forever) => lock.wait_forever(),
    }
}

/// Others read the name of the command when they ask who holds the lock, unless the environment names
/// the program. Not its arguments, which may hold secrets.
fn name_program(command: &[OsString]) {
    let name = command.first().and_then(|command| Path::new(command).file_name());
    if let Some(name) = name {
        distlock::backend::name_program(&format!("distlock run {}", name.to_string_lossy()));
    }
}

/// Carries something out before the command runs. A signal that is to end the program ends it.
async fn unless_ended<T>(
    inbox: &mut UnboundedReceiver<Event>,
    blocked: &Blocked,
    what: impl Future<Output = T>,
) -> Result<T, Signal> {
    let mut what = pin!(what);
    loop {
        let event = tokio::select! {
            output = &mut what => return Ok(output),
            event = inbox.recv() => event,
        };
        match event {
            Some(Event::Signal(Signal::TSTP)) => blocked.stop_self(),
            Some(Event::Signal(Signal::CONT | Signal::WINCH)) => {}
            Some(Event::Signal(signal)) => return Err(signal),
            _ => {}
        }
    }
}

/// Tells whoever sits before a terminal what is waited for.
async fn with_notice<T>(arguments: &arguments::Run, acquiring: impl Future<Output = T>) -> T {
    let mut acquiring = pin!(acquiring);
    if let Ok(output) = tokio::time::timeout(SILENT_WAIT, &mut acquiring).await {
        return output;
    }
    if !arguments.quiet && std::io::stderr().is_terminal() {
        tell(format_args!("waiting for lock {:?}, which somebody else holds", arguments.name));
    }
    acquiring.await
}

fn not_acquired(arguments: &arguments::Run, waited: Duration, holder: Option<&Holder>) -> Ending {
    if !arguments.quiet {
        let name = &arguments.name;
        let wait = if waited < SHORT_WAIT {
            String::new()
        } else {
            format!(" for the whole wait of {}", Span(waited))
        };
        let who = holder.map(|holder| format!(": {holder}")).unwrap_or_default();
        tell(format_args!(
            "somebody else holds lock {name:?}{wait}{who}; --wait sets how long to wait for it"
        ));
    }
    Ending::Code(arguments.conflict_exit_code)
}

/// Runs the command, and releases the lock when it has ended.
async fn command(
    arguments: &arguments::Run,
    blocked: &Blocked,
    guard: LockGuard,
    events: &UnboundedSender<Event>,
    inbox: &mut UnboundedReceiver<Event>,
) -> Result<Ending, Failure> {
    let terminal = Terminal::open();
    let takes_terminal = terminal.as_ref().is_some_and(Terminal::is_for_the_command);
    let mut child = launch::command(&arguments.command, blocked, takes_terminal)
        .map_err(|error| internal("the command cannot be started", &error))?;
    child.env("DISTLOCK_NAME", &arguments.name);
    match guard.fencing_token() {
        Some(token) => child.env("DISTLOCK_FENCING_TOKEN", token.to_string()),
        // That of an outer `distlock run` is not for this lock.
        None => child.env_remove("DISTLOCK_FENCING_TOKEN"),
    };
    let group = Group::spawn(&mut child)
        .map_err(|error| internal("the command cannot be started", &error))?;
    let changes = events.clone();
    let tell_change = move |change| changes.send(Event::Changed(change)).is_ok();
    if let Err(error) = group.watch(tell_change) {
        group.kill();
        return Err(internal("the command cannot be waited for", &error));
    }
    let (lost, losses) = (guard.lost(), events.clone());
    tokio::spawn(async move {
        if let Some(reason) = lost.await {
            losses.send(Event::Lost(reason)).ok();
        }
    });
    let watch = Watch::new(arguments, blocked, &guard, group, terminal);
    let outcome = watch.until_end(inbox).await;
    Ok(release(arguments, guard, outcome).await)
}

/// Releases the lock, and says how the program ends.
async fn release(arguments: &arguments::Run, guard: LockGuard, outcome: Outcome) -> Ending {
    let name = &arguments.name;
    let mut is_lost = outcome.is_lost;
    if !is_lost {
        match guard.release().await {
            ReleaseOutcome::Released => {}
            ReleaseOutcome::AlreadyExpired | ReleaseOutcome::HeldByOther => {
                is_lost = true;
                tell(format_args!(
                    "lock {name:?} was lost while the command ran, which was noticed only after its \
                     end: somebody else may have held it meanwhile"
                ));
            }
            _ => tell(format_args!(
                "warning: the store did not confirm the release of lock {name:?}, which stays taken \
                 for the rest of its ttl at most"
            )),
        }
    }
    if is_lost {
        return Ending::Code(exit::LOST);
    }
    match outcome.end {
        End::Code(code) => Ending::Code(code),
        End::Signal(number) => {
            if outcome.had_terminal {
                signals::pass_on_to_own_group(number);
            }
            Ending::Signal(number)
        }
        End::Unknown => {
            tell(
                "the exit code of the command is not known, because SIGCHLD is ignored; start \
                 distlock with its default",
            );
            Ending::Code(exit::USAGE)
        }
    }
}

fn internal(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(exit::USAGE, format!("{what}: {error}"))
}

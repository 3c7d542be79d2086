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

use distlock::{
    Holder, Lock, LockConfig, LockError, LockErrorKind, LockGuard, LockOptions, LockStatus,
    ReleaseOutcome,
};
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
    let blocked = Blocked::new(&signals::ALL)
        .map_err(|error| internal("signals cannot be blocked", &error))?;
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
    let connecting = store::connect_to(config(arguments)?);
    let store = match unless_ended(&mut inbox, blocked, connecting).await {
        Ok(store) => store?,
        Err(signal) => return Ok(Ending::Signal(signal.as_raw())),
    };
    let locks = store.locks.clone();
    if store.is_private() && !arguments.quiet {
        tell("warning: the store is the memory of this process, so nobody else is excluded");
    }
    let lock = locks.lock(&*arguments.name);
    lock.check()?;
    let began = Instant::now();
    let acquiring = with_notice(arguments, &lock);
    let ending = match unless_ended(&mut inbox, blocked, acquiring).await {
        Err(signal) => Ok(Ending::Signal(signal.as_raw())),
        Ok(Err(error)) if error.kind() == LockErrorKind::Timeout => {
            Ok(not_acquired(arguments, began.elapsed(), error.holder()))
        }
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(guard)) => {
            if !guard.lease().is_kept_alive() && !arguments.quiet {
                let why = match locks.capabilities().renew {
                    true => "the lease is not renewed, since keep_alive is set to false",
                    false => "this store cannot renew leases",
                };
                let left = Span(guard.remaining());
                tell(format_args!(
                    "warning: {why}: the command is ended if it takes longer than {left}; --ttl sets \
                     that"
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
fn config(arguments: &arguments::Run) -> Result<LockConfig, Failure> {
    let defaults = LockOptions::new().keep_alive_if_supported().wait_forever();
    let mut config = store::config(&arguments.store)?.defaults(defaults);
    if let Some(ttl) = arguments.ttl {
        config = config.ttl(ttl);
    }
    if let Some(min_hold) = arguments.min_hold {
        config = config.min_hold(min_hold);
    }
    if let Some(max_hold) = arguments.max_hold {
        config = config.max_hold(max_hold);
    }
    // Whoever waits for the lock waits for its store, too: what connects is the request for the lock,
    // which is repeated until the wait is over.
    Ok(match arguments.wait {
        _ if arguments.no_wait => config.wait(Duration::ZERO),
        None => config.lazy(true),
        Some(WaitTime::For(Duration::ZERO)) => config.wait(Duration::ZERO),
        Some(WaitTime::For(wait)) => config.wait(wait).lazy(true),
        Some(WaitTime::Forever) => config.wait_forever().lazy(true),
    })
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
            Some(Event::Signal(Signal::TSTP)) => blocked.stop(),
            Some(Event::Signal(Signal::CONT | Signal::WINCH)) => {}
            Some(Event::Signal(signal)) => return Err(signal),
            _ => {}
        }
    }
}

/// Acquires the lock, and tells whoever sits before a terminal what is waited for.
async fn with_notice(arguments: &arguments::Run, lock: &Lock) -> Result<LockGuard, LockError> {
    let mut acquiring = pin!(lock.acquire());
    if let Ok(acquired) = tokio::time::timeout(SILENT_WAIT, &mut acquiring).await {
        return acquired;
    }
    if !arguments.quiet && std::io::stderr().is_terminal() {
        let status = tokio::select! {
            acquired = &mut acquiring => return acquired,
            status = lock.status() => status,
        };
        let name = &arguments.name;
        match status {
            Ok(Some(LockStatus { holder: Some(holder), .. })) if holder.has_released => {
                tell(format_args!(
                    "waiting for lock {name:?}, whose name stays taken for the --min-hold of {holder}"
                ));
            }
            Ok(Some(LockStatus { holder: Some(holder), .. })) => {
                tell(format_args!("waiting for lock {name:?}, which is held by {holder}"));
            }
            Ok(Some(_)) => {
                tell(format_args!("waiting for lock {name:?}, which somebody else holds"));
            }
            // It has just become free.
            Ok(None) => {}
            // A warning tells of it.
            Err(error) if error.is_retryable() => {}
            // Dapr cannot show locks, and a user of Redis may lack the permission.
            Err(_) => tell(format_args!("waiting for lock {name:?}")),
        }
    }
    acquiring.await
}

fn not_acquired(arguments: &arguments::Run, waited: Duration, holder: Option<&Holder>) -> Ending {
    if !arguments.quiet {
        let name = &arguments.name;
        let (holds, wait) = if waited < SHORT_WAIT {
            ("holds", String::new())
        } else {
            ("held", format!(" at the end of the wait of {}", Span(waited)))
        };
        let who = holder.map(|holder| format!(": {holder}")).unwrap_or_default();
        if holder.is_some_and(|holder| holder.has_released) {
            tell(format_args!(
                "lock {name:?} was released, and stays taken for the rest of its min_hold{who}; \
                 --wait sets how long to wait for it"
            ));
        } else {
            tell(format_args!(
                "somebody else {holds} lock {name:?}{wait}{who}; --wait sets how long to wait for it"
            ));
        }
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

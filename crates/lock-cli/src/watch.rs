//! `distlock watch`: what is held, looked at again and again.

mod changes;
mod picture;
mod screen;

use std::future::Future;
use std::io::{self, IsTerminal};
use std::pin::Pin;

use distlock::{LockError, LockOptions, LockService};
use rustix::process::Signal;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::arguments;
use crate::exit::{self, Ending, Failure};
use crate::output::tell;
use crate::signals::{ALL, Blocked};
use crate::store;
use changes::Lines;
use picture::Locks;
use screen::Screen;

/// What happens beside the answers of the store.
enum Event {
    Signal(Signal),
    /// Whoever sits at the terminal has seen enough.
    Quit,
}

pub(crate) fn watch(arguments: &arguments::Watch) -> Result<Ending, Failure> {
    // Before the runtime and the library start threads, since a thread inherits what is blocked.
    let blocked =
        Blocked::new(&ALL).map_err(|error| internal("signals cannot be blocked", &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| internal("the runtime cannot be started", &error))?;
    runtime.block_on(follow(arguments, &blocked))
}

async fn follow(arguments: &arguments::Watch, blocked: &Blocked) -> Result<Ending, Failure> {
    let (events, mut inbox) = mpsc::unbounded_channel();
    let signals = events.clone();
    blocked
        .listen(move |signal| signals.send(Event::Signal(signal)).is_ok())
        .map_err(|error| internal("cannot listen for signals", &error))?;
    let connecting = store::connect(&arguments.store, LockOptions::new());
    let store = tokio::select! {
        store = connecting => store?,
        signal = ends(&mut inbox, blocked) => return Ok(Ending::Signal(signal.as_raw())),
    };
    let first = tokio::select! {
        first = look(&store.locks, arguments) => first?,
        signal = ends(&mut inbox, blocked) => return Ok(Ending::Signal(signal.as_raw())),
    };
    let of_memory = store.is_private();
    let heading = format!("{}, every {:?}", store.address, arguments.every);
    let on_screen = io::stdout().is_terminal();
    let opened = if on_screen {
        Screen::open(heading, move || events.send(Event::Quit).is_ok())
    } else {
        None
    };
    let mut view = match opened {
        Some(screen) => View::Screen(screen),
        None => {
            if of_memory {
                store.warn_if_private();
            }
            View::Lines(Lines::default())
        }
    };
    view.begin(first, of_memory)?;
    let mut looking = look_later(store.locks.clone(), arguments.clone());
    loop {
        tokio::select! {
            answer = &mut looking => {
                match answer {
                    Ok(locks) => view.show(locks)?,
                    Err(error) if error.is_retryable() => view.fail(&error),
                    Err(error) => return Err(error.into()),
                }
                looking = look_later(store.locks.clone(), arguments.clone());
            }
            event = inbox.recv() => match event {
                None | Some(Event::Quit) => return Ok(Ending::Code(exit::SUCCESS)),
                Some(Event::Signal(Signal::TSTP)) => view.stop(blocked),
                Some(Event::Signal(Signal::CONT | Signal::WINCH)) => view.redraw(),
                Some(Event::Signal(signal)) => return Ok(Ending::Signal(signal.as_raw())),
            },
        }
        if view.is_over() {
            return Ok(Ending::Code(exit::SUCCESS));
        }
    }
}

/// Waits for a signal that ends the program.
async fn ends(inbox: &mut UnboundedReceiver<Event>, blocked: &Blocked) -> Signal {
    loop {
        match inbox.recv().await {
            Some(Event::Signal(Signal::TSTP)) => blocked.stop(),
            Some(Event::Signal(Signal::CONT | Signal::WINCH) | Event::Quit) => {}
            Some(Event::Signal(signal)) => return signal,
            None => std::future::pending().await,
        }
    }
}

type Looking = Pin<Box<dyn Future<Output = Result<Locks, LockError>>>>;

fn look_later(locks: LockService, arguments: arguments::Watch) -> Looking {
    Box::pin(async move {
        tokio::time::sleep(arguments.every).await;
        look(&locks, &arguments).await
    })
}

async fn look(locks: &LockService, arguments: &arguments::Watch) -> Result<Locks, LockError> {
    if arguments.names.is_empty() {
        let held = locks.list(arguments.prefix.as_deref().unwrap_or_default()).await?;
        return Ok(held
            .into_iter()
            .map(|held| (held.name.to_string(), Some(held.status)))
            .collect());
    }
    let mut found = Vec::new();
    for name in &arguments.names {
        found.push((name.clone(), locks.status(&**name).await?));
    }
    Ok(found)
}

/// Where the locks are shown.
enum View {
    Screen(Screen),
    Lines(Lines),
}

impl View {
    fn begin(&mut self, locks: Locks, of_memory: bool) -> Result<(), Failure> {
        if let Self::Screen(screen) = self
            && of_memory
        {
            screen.note("the store is the memory of this process, so it shows no locks of others");
        }
        self.show(locks)
    }

    fn show(&mut self, locks: Locks) -> Result<(), Failure> {
        match self {
            Self::Screen(screen) => screen.show(locks),
            Self::Lines(lines) => lines
                .show(&locks)
                .map_err(|error| internal("the locks cannot be printed", &error))?,
        }
        Ok(())
    }

    /// The store did not answer, and is asked again.
    fn fail(&mut self, error: &LockError) {
        match self {
            Self::Screen(screen) => screen.fail(exit::text(error)),
            Self::Lines(lines) => {
                let text = exit::text(error);
                lines.fail(|| tell(format_args!("warning: {text}; it is asked again")));
            }
        }
    }

    fn stop(&mut self, blocked: &Blocked) {
        match self {
            Self::Screen(screen) => screen.stop(blocked),
            Self::Lines(_) => blocked.stop(),
        }
    }

    fn redraw(&mut self) {
        if let Self::Screen(screen) = self {
            screen.redraw();
        }
    }

    /// Whether nobody looks any more.
    fn is_over(&self) -> bool {
        match self {
            Self::Screen(screen) => screen.is_gone(),
            Self::Lines(lines) => lines.are_unread(),
        }
    }
}

fn internal(what: &str, error: &io::Error) -> Failure {
    Failure::new(exit::USAGE, format!("{what}: {error}"))
}

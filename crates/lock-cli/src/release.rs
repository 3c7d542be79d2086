//! `distlock release --force`: takes a lock away from a holder that it has shown.

use std::io::{self, IsTerminal, Write};

use distlock::{LockOptions, LockStatus, ReleaseOutcome};

use crate::arguments;
use crate::exit::{self, Ending, Failure};
use crate::output::tell;
use crate::{status, store};

pub(crate) async fn release(arguments: &arguments::Release) -> Result<Ending, Failure> {
    let name = &*arguments.name;
    if !arguments.yes && !has_terminal() {
        let message = "it asks before it takes a lock away, and there is no terminal; use --yes \
                       to skip the question";
        return Err(Failure::new(exit::USAGE, message));
    }
    let store = store::connect(&arguments.store, LockOptions::new()).await?;
    store.warn_if_private();
    let locks = store.locks;
    if !locks.capabilities().inspect {
        let message = "this store cannot show who holds a lock, so none can be taken away; a lock \
                       ends with its ttl";
        return Err(Failure::new(exit::USAGE, message));
    }
    let Some(shown) = locks.status(name).await? else {
        tell(format_args!("nobody holds lock {name:?}"));
        return Ok(Ending::Code(exit::SUCCESS));
    };
    if shown.holder.as_ref().is_none_or(|holder| holder.id.is_none()) {
        let message = format!("the store does not report who holds lock {name:?}");
        return Err(Failure::new(exit::USAGE, message));
    }
    show(name, &shown);
    if !arguments.yes && !agrees(name)? {
        tell(format_args!("lock {name:?} was not released"));
        return Ok(Ending::Code(exit::NOTHING_DONE));
    }
    let code = match locks.force_release(name, &shown).await? {
        ReleaseOutcome::Released => {
            tell(format_args!("lock {name:?} was taken from the holder that was shown"));
            exit::SUCCESS
        }
        ReleaseOutcome::AlreadyExpired => {
            tell(format_args!("nobody holds lock {name:?} any more; nothing was done"));
            exit::SUCCESS
        }
        _ => {
            tell(format_args!("somebody else holds lock {name:?} by now; nothing was done"));
            exit::NOTHING_DONE
        }
    };
    Ok(Ending::Code(code))
}

fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Shows whose the lock is, where the question will be.
fn show(name: &str, shown: &LockStatus) {
    let table = status::for_people(&[(name, Some(shown.clone()))]);
    // If it cannot be shown, neither can the question, and nobody answers that.
    io::stderr().write_all(table.as_bytes()).ok();
}

/// Asks whoever sits at the terminal.
fn agrees(name: &str) -> Result<bool, Failure> {
    let asked = || {
        let question = format!(
            "If this holder still runs, it goes on without the lock, and somebody else begins.\n\
             Take lock {name:?} from it? [y/N] "
        );
        io::stderr().write_all(question.as_bytes())?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
    };
    asked().map_err(|error: io::Error| {
        Failure::new(exit::USAGE, format!("cannot ask the question: {error}"))
    })
}

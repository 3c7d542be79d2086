//! `distlock`, the command line: runs commands under distributed locks, and looks at them.
//!
//! What can be written on it is in `arguments.rs`, how it ends in `exit.rs`; every verb has a file
//! of its own.

mod arguments;
mod bench;
mod check;
mod exit;
mod list;
mod output;
mod release;
#[cfg(unix)]
mod run;
mod shell;
#[cfg(unix)]
mod signals;
mod status;
mod store;
#[cfg(unix)]
mod terminal;
mod wait;
mod warnings;
#[cfg(unix)]
mod watch;

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Verb};
use exit::{Ending, Failure};

fn main() -> ExitCode {
    #[cfg(unix)]
    if let Some(code) = run::in_child() {
        return code.into();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            let code = if message.use_stderr() { exit::USAGE } else { exit::SUCCESS };
            // There is nobody to tell if it cannot be printed.
            message.print().ok();
            return code.into();
        }
    };
    let ending = carry_out(arguments.verb).unwrap_or_else(|failure| {
        output::tell(&failure);
        Ending::Code(failure.code)
    });
    output::finish();
    match ending {
        Ending::Code(code) => code.into(),
        #[cfg(unix)]
        Ending::Signal(number) => signals::end_by(number).into(),
    }
}

fn carry_out(verb: Verb) -> Result<Ending, Failure> {
    match verb {
        #[cfg(unix)]
        Verb::Run(run) => run::run(&run),
        #[cfg(not(unix))]
        Verb::Run(_) => Err(Failure::new(
            exit::USAGE,
            "`run` needs process groups and signals, which this system does not have; use the \
             library",
        )),
        #[cfg(unix)]
        Verb::Watch(watch) => watch::watch(&watch),
        #[cfg(not(unix))]
        Verb::Watch(_) => Err(Failure::new(
            exit::USAGE,
            "`watch` needs signals and terminals of Unix; use `distlock list`",
        )),
        Verb::Wait(wait) => in_runtime(wait::wait(&wait)),
        Verb::Status(status) => in_runtime(status::status(&status)),
        Verb::List(list) => in_runtime(list::list(&list)),
        Verb::Release(release) => in_runtime(release::release(&release)),
        Verb::Check(check) => in_runtime(check::check(&check)),
        Verb::Bench(bench) => bench::bench(&bench),
        Verb::Completions { shell } => shell::completions(shell),
        Verb::Man => shell::man(),
    }
}

/// Runs a verb that signals may end at any time.
fn in_runtime(verb: impl Future<Output = Result<Ending, Failure>>) -> Result<Ending, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(exit::USAGE, format!("the runtime cannot be started: {error}"))
    })?;
    runtime.block_on(verb)
}

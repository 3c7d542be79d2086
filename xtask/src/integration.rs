//! `integration`: the conformance suite and the examples on servers in containers.
//!
//! The containers come by `testcontainers`, which only this verb needs: so it is behind the feature
//! `integration` of this package, and the verb runs this program again with that feature.

pub(crate) mod options;

#[cfg(feature = "integration")]
mod engine;
#[cfg(feature = "integration")]
mod run;
#[cfg(feature = "integration")]
mod sets;
#[cfg(feature = "integration")]
mod store;
#[cfg(feature = "integration")]
mod suites;
#[cfg(any(feature = "integration", test))]
mod table;

use options::{IMAGES_VARIABLE, Options};

use crate::verb::Outcome;

/// Mistakes of the command line are told at once, before anything is built.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let environment = std::env::var(IMAGES_VARIABLE).unwrap_or_default();
    let options = Options::parse(arguments, &environment)?;
    proceed(arguments, &options)
}

#[cfg(feature = "integration")]
fn proceed(_: &[String], options: &Options) -> Outcome {
    run::run(options)
}

#[cfg(not(feature = "integration"))]
fn proceed(arguments: &[String], options: &Options) -> Outcome {
    use std::os::unix::process::CommandExt;

    let stores: Vec<String> =
        options.tested().map(|store| format!("{} ({})", store.name, store.reference)).collect();
    eprintln!("tests on {}; building them takes minutes the first time", stores.join(", "));
    let mut command = crate::exec::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--features", "integration"]);
    // In place of this process, so that a signal reaches the one that can act on it.
    let error = command.args(["--", "integration"]).args(arguments).exec();
    Err(crate::verb::Failure::Error(format!("cannot run cargo: {error}")))
}

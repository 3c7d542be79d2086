//! Closed-loop comparisons against raw Redis: the same work, the same server, the same run, in turn.
//!
//! Machines are noisy, so only ratios between contenders of one run count.
//! `lock-bench --help` lists the flags.
#![expect(clippy::print_stdout, reason = "a program that prints a report")]

mod arguments;
mod contenders;
mod failovers;
mod failure;
mod measure;
mod processes;
mod report;
mod runtime;
mod settings;
mod workloads;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use failure::Failure;
use settings::Settings;
use workloads::Bench;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(result) = processes::run(&words) {
        return ended(result);
    }
    if let Some((first, words)) = words.split_first()
        && first == failovers::FAILOVERS
    {
        return ended(failovers::run(words));
    }
    match Arguments::parse(words.into_iter()) {
        Ok(Command::Run(arguments)) => ended(run(&arguments)),
        Ok(Command::Help) => {
            println!("{}", arguments::HELP);
            ExitCode::SUCCESS
        }
        Err(message) => {
            println!("error: {message}\n\n{}", arguments::HELP);
            ExitCode::from(2)
        }
    }
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = &arguments.settings;
    let runtime = runtime::runtime(settings.threads)?;
    let bench = Bench::start(settings)?;
    println!("{}, {}, {} rounds", bench.server(), settings.runtime_text(), settings.rounds());
    let mut report = report::Report::default();
    for workload in workloads::ALL {
        if !arguments.wants(workload.id) {
            continue;
        }
        println!("\n{}: {}", workload.id, workload.what);
        let cells = runtime.block_on((workload.run)(&bench, settings))?;
        print!("{}", report::table(&cells));
        report.add(workload.id, &cells);
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.to_json(about(&bench, settings)))?;
    }
    Ok(())
}

/// What a reader has to know beside the figures.
fn about(bench: &Bench, settings: &Settings) -> serde_json::Value {
    serde_json::json!({
        "server": bench.server(),
        "runtime": settings.runtime_text(),
        "quick": settings.quick,
        "workloads": workloads::ALL
            .iter()
            .map(|workload| (workload.id, workload.what))
            .collect::<std::collections::BTreeMap<_, _>>(),
    })
}

//! Closed-loop comparisons against raw Redis: the same work, the same server, the same run, in turn.
//!
//! Machines are noisy, so only ratios between contenders of one run count.
//! `lock-bench --help` lists the flags.
#![expect(clippy::print_stdout, reason = "a program that prints a report")]

mod arguments;
mod awake;
mod contenders;
mod dapr;
mod measure;
mod report;
mod server;
mod workloads;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use workloads::Bench;

/// What stops a run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Run(arguments)) => arguments,
        Ok(Command::Help) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            println!("error: {message}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = arguments.runtime()?;
    let bench = Bench::start(arguments)?;
    println!("{}, {}, {} rounds", bench.server(), arguments.runtime_text(), arguments.rounds());
    let mut report = report::Report::default();
    for workload in workloads::ALL {
        if arguments.wants(workload.id) {
            println!("\n{}: {}", workload.id, workload.what);
            let cells = runtime.block_on((workload.run)(&bench, arguments))?;
            print!("{}", report::table(&cells));
            report.add(workload.id, &cells);
        }
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.to_json())?;
    }
    Ok(())
}

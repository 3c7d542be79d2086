//! Closed-loop comparisons against raw Redis: the same work, the same server, the same run, in turn.
//!
//! Machines are noisy, so only ratios between contenders of one run count.
//! `lock-bench --help` lists the flags.
#![expect(clippy::print_stdout, reason = "a program that prints a report")]

mod arguments;
mod awake;
mod contenders;
mod contest;
mod dapr;
mod figures;
mod holder;
mod kept_alive;
mod measure;
mod process;
mod report;
mod rivals;
mod server;
mod spread;
mod stint;
mod workloads;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use workloads::Bench;

/// What stops a run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Parts of a measurement that need processes of their own; the program runs itself for them.
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [spread::CONTEND, party] => return ended(contest::run(party)),
        [kept_alive::KEEP_ALIVE, order] => return ended(kept_alive::run(order)),
        [holder::HOLD, url, name] => return ended(holder::run(url, name)),
        _ => {}
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
    let runtime = arguments.runtime()?;
    let bench = Bench::start(arguments)?;
    println!("{}, {}, {} rounds", bench.server(), arguments.runtime_text(), arguments.rounds());
    let mut report = report::Report::default();
    for workload in workloads::ALL {
        if !arguments.wants(workload.id) {
            continue;
        }
        println!("\n{}: {}", workload.id, workload.what);
        let cells = runtime.block_on((workload.run)(&bench, arguments))?;
        print!("{}", report::table(&cells));
        report.add(workload.id, &cells);
    }
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.to_json(about(&bench, arguments)))?;
    }
    Ok(())
}

/// What a reader has to know beside the figures.
fn about(bench: &Bench, arguments: &Arguments) -> serde_json::Value {
    serde_json::json!({
        "server": bench.server(),
        "runtime": arguments.runtime_text(),
        "quick": arguments.is_quick(),
        "workloads": workloads::ALL
            .iter()
            .map(|workload| (workload.id, workload.what))
            .collect::<std::collections::BTreeMap<_, _>>(),
    })
}

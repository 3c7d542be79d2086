//! `model`: explores every state of the protocol's state machines; also a step of `test`.

use std::process::Command;
use std::time::Duration;

use crate::exec;
use crate::project::Project;
use crate::report::Finding;
use crate::verb::{Failure, Outcome, no_more};

const PACKAGE: &str = "lock-model";
/// For the quick scenarios, which take a minute or two.
const LIMIT: Duration = Duration::from_secs(5 * 60);

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (scenarios, rest) = match arguments {
        [first, rest @ ..] if first == "--full" => ("--full", rest),
        rest => ("--ci", rest),
    };
    no_more(rest)?;
    let project = Project::load().map_err(Failure::Error)?;
    let mut program = build(&project).map_err(Failure::Error)?;
    let status = program.arg(scenarios).status();
    let status =
        status.map_err(|error| Failure::Error(format!("cannot run the model: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::Reported) }
}

/// The quick scenarios as one step of a run.
pub(crate) fn finding(project: &Project) -> Finding {
    let ran = build(project)
        .and_then(|mut program| exec::logged_within("model", program.arg("--ci"), LIMIT));
    match ran {
        Err(why) => Finding::failed("", why),
        Ok(finished) if finished.success => {
            Finding::passed(finished.text.lines().last().unwrap_or_default())
        }
        Ok(finished) => Finding::failed("", finished.excerpt()),
    }
}

/// The program itself and not `cargo run`, so that a kill hits the model.
fn build(project: &Project) -> Result<Command, String> {
    let build = ["build", "--release", "--package", PACKAGE];
    let built = exec::logged("model build", exec::cargo().args(build))?;
    if !built.success {
        return Err(built.excerpt());
    }
    Ok(Command::new(project.target_directory().join("release").join(PACKAGE)))
}

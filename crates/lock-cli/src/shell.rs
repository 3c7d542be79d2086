//! `distlock completions` and `distlock man`: what a package of the program installs beside it.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::exit::{self, Ending, Failure};
use crate::output;

pub(crate) fn completions(shell: Shell) -> Result<Ending, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "distlock", &mut script);
    print(&script)
}

/// One page for all verbs, each with its options.
pub(crate) fn man() -> Result<Ending, Failure> {
    print(&page().map_err(|error| not_written(&error))?)
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for verb in command.get_subcommands() {
        let man = clap_mangen::Man::new(verb.clone());
        let name = verb.get_name().to_uppercase();
        page.extend(format!(".SH \"DISTLOCK {name}\"\n").into_bytes());
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        if verb.get_arguments().next().is_some() {
            man.render_options_section(&mut page)?;
        }
        if verb.get_after_help().is_some() {
            man.render_extra_section(&mut page)?;
        }
    }
    Ok(page)
}

fn print(bytes: &[u8]) -> Result<Ending, Failure> {
    output::print(&String::from_utf8_lossy(bytes)).map_err(|error| not_written(&error))?;
    Ok(Ending::Code(exit::SUCCESS))
}

fn not_written(error: &io::Error) -> Failure {
    Failure::new(exit::USAGE, format!("the text cannot be written: {error}"))
}

//! What is said of a command line that is wrong.

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use distlock::nearest;

use crate::arguments::Arguments;

/// The error as a message of this program: what is wrong, what was perhaps meant, and the usage.
/// `line` is the whole command line.
pub(crate) fn text<S: AsRef<OsStr>>(mut error: clap::Error, line: &[S]) -> String {
    // It would be to write `--` before whatever is not known. Behind `--` stands the command of `run`.
    error.remove(ContextKind::Suggested);
    let all = Arguments::command();
    match error.kind() {
        ErrorKind::UnknownArgument => suggest_option(&mut error, verb_of(&all, line)),
        ErrorKind::InvalidSubcommand => suggest_verb(&mut error, &all),
        _ => {}
    }
    let text = error.render().to_string();
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}

fn verb_of<'a, S: AsRef<OsStr>>(all: &'a Command, line: &[S]) -> Option<&'a Command> {
    line.iter().skip(1).find_map(|word| all.find_subcommand(word))
}

fn suggest_option(error: &mut clap::Error, verb: Option<&Command>) {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return };
    let Some(name) = wrong.strip_prefix("--") else {
        if verb.is_some_and(|verb| verb.get_name() == "run") && !wrong.starts_with('-') {
            let tip = format!("if {wrong:?} belongs to the command, write `--` before the command");
            let tip = ContextValue::StyledStrs(vec![tip.into()]);
            error.insert(ContextKind::Suggested, tip);
        }
        return;
    };
    if error.get(ContextKind::SuggestedArg).is_some() {
        return;
    }
    let known = verb.into_iter().flat_map(Command::get_arguments).filter_map(clap::Arg::get_long);
    let near = nearest(name, known.chain(["help"])).map(|near| format!("--{near}"));
    if let Some(near) = near {
        error.insert(ContextKind::SuggestedArg, ContextValue::String(near));
    }
}

fn suggest_verb(error: &mut clap::Error, all: &Command) {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    if let Some(ContextValue::Strings(found)) = error.get(ContextKind::SuggestedSubcommand)
        && !found.is_empty()
    {
        return;
    }
    let near = nearest(wrong, all.get_subcommands().map(Command::get_name));
    if let Some(near) = near.map(str::to_owned) {
        let near = ContextValue::Strings(vec![near]);
        error.insert(ContextKind::SuggestedSubcommand, near);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn said(line: &str) -> String {
        let line: Vec<&str> = line.split_whitespace().collect();
        text(Arguments::try_parse_from(&line).unwrap_err(), &line)
    }

    #[test]
    fn a_misspelt_word_is_answered_with_the_one_that_was_meant() {
        for (line, wrong, meant) in [
            ("distlock run --ulr x", "'--ulr'", "'--url'"),
            ("distlock status --ulr=redis://h x", "'--ulr'", "'--url'"),
            ("distlock run --tll 1s x -- true", "'--tll'", "'--ttl'"),
            ("distlock run --no-wiat x -- true", "'--no-wiat'", "'--no-wait'"),
            ("distlock rnu x -- true", "'rnu'", "'run'"),
            ("distlock stauts x", "'stauts'", "'status'"),
            ("distlock lst", "'lst'", "'list'"),
        ] {
            let said = said(line);
            let tip = said.lines().find(|line| line.starts_with("  tip: ")).unwrap_or_default();
            assert!(said.lines().next().is_some_and(|first| first.contains(wrong)), "{said}");
            assert!(tip.ends_with(meant), "{line}: {said}");
            assert!(!said.starts_with("error") && !said.contains("as a value"), "{said}");
        }
    }

    #[test]
    fn what_resembles_nothing_is_answered_with_the_usage_alone() {
        for line in ["distlock run --xyzzy x -- true", "distlock frobnicate", "distlock -x"] {
            let said = said(line);
            assert!(!said.contains("tip: ") && said.contains("\nUsage: distlock "), "{said}");
        }
    }

    #[test]
    fn a_command_without_its_dashes_is_told_where_they_stand() {
        let said = said("distlock run x true");
        assert!(said.contains("if \"true\" belongs to the command, write `--` before"), "{said}");
        assert!(said.contains("Usage: distlock run [OPTIONS] NAME -- COMMAND"), "{said}");
    }
}

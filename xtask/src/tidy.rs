//! `tidy`: checks of the repository itself, of what no compiler looks at.

mod events;
mod evidence;
mod imports;
mod links;
mod manifests;
mod pages;
mod published;
mod source;
mod text;

use std::collections::BTreeSet;

use crate::report::Finding;
use crate::verb::{Failure, Outcome, no_more};
use source::{Problem, Source, files};

/// What the repository consists of at its top, besides licences and dotfiles.
const TOP_LEVEL: [&str; 7] =
    ["Cargo.toml", "Cargo.lock", "README.md", "crates", "deny.toml", "docs", "xtask"];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_more(arguments)?;
    let finding = finding();
    println!("{}{}", finding.details, finding.note);
    if finding.counts.failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}

/// All checks as one step of a run.
pub(crate) fn finding() -> Finding {
    match files() {
        Err(why) => Finding::failed(why, ""),
        Ok(files) => {
            let problems = problems(&files);
            let list: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            match problems.len() {
                0 => Finding::passed(format!("{} files", files.len())),
                1 => Finding::failed("1 problem", list),
                count => Finding::failed(format!("{count} problems"), list),
            }
        }
    }
}

fn problems(files: &[Source]) -> Vec<Problem> {
    let mut problems = top_level(files);
    for file in files {
        problems.extend(text::problems(file));
        if file.path.ends_with("Cargo.toml") && file.path != "Cargo.toml" {
            problems.extend(manifests::problems(file));
        }
    }
    problems.extend(evidence::problems(files));
    problems.extend(links::problems(files));
    problems.extend(imports::problems(files));
    problems.extend(events::problems(files));
    problems.extend(pages::problems(files));
    problems.extend(published::problems(files));
    problems
}

fn top_level(files: &[Source]) -> Vec<Problem> {
    let entries: BTreeSet<&str> =
        files.iter().filter_map(|file| file.path.split('/').next()).collect();
    let is_known =
        |entry: &str| TOP_LEVEL.contains(&entry) || entry.starts_with(['.']) || is_licence(entry);
    let unknown = entries.into_iter().filter(|entry| !is_known(entry));
    unknown
        .map(|entry| Problem::in_file(entry, "does not belong at the top of the repository"))
        .collect()
}

fn is_licence(entry: &str) -> bool {
    entry.starts_with("LICENSE-")
}

#[cfg(test)]
mod tests {
    use super::source::source;
    use super::*;

    #[test]
    fn strangers_at_the_top_level_are_found() {
        let paths =
            ["README.md", "LICENSE-MIT", ".gitignore", "crates/a/b.rs", "notes.md", "src/a"];
        let files: Vec<Source> = paths.iter().map(|path| source(path, "")).collect();
        let found: Vec<String> =
            top_level(&files).into_iter().map(|problem| problem.path).collect();
        assert_eq!(found, ["notes.md", "src"]);
    }

    #[test]
    fn this_repository_is_tidy() {
        let problems: Vec<String> =
            problems(&files().unwrap()).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }
}

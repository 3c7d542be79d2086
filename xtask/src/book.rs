//! `book`: builds the pages of `docs/` as a book, and checks its links.
//!
//! The book is built from a copy of the pages, so that nothing generated is ever in `docs/`. In the copy,
//! links to files outside of `docs/` lead to copies of these files: the book can be read without the
//! repository.

mod html;
mod pages;

use std::path::PathBuf;
use std::process::Command;

use crate::report::Finding;
use crate::verb::{Failure, Outcome, no_more};
use crate::{exec, paths};

/// Makes the book.
const MDBOOK: &str = "mdbook";
/// Draws the diagrams; without it, the book shows them as text.
const MERMAID: &str = "mdbook-mermaid";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    no_more(arguments)?;
    let finding = finding();
    println!("{}{}", finding.details, finding.note);
    if finding.counts.failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}

/// The book as one step of a run.
pub(crate) fn finding() -> Finding {
    if !exec::succeeds(MDBOOK, &["--version"]) {
        return Finding::skipped("mdbook is not installed (cargo install --locked mdbook)");
    }
    match build() {
        Ok((_, problems)) if !problems.is_empty() => {
            let list: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
            Finding::failed(format!("{} broken links", problems.len()), list)
        }
        Ok((note, _)) => Finding::passed(note),
        Err(why) => Finding::failed("", why),
    }
}

/// What to say of the book, and what is wrong with it.
fn build() -> Result<(String, Vec<String>), String> {
    let (copy, book) = (target().join("xtask/book"), target().join("book"));
    pages::copy(&paths::root().join("docs"), &copy)?;
    let has_pictures = exec::succeeds(MERMAID, &["--version"]);
    if has_pictures {
        exec::output(Command::new(MERMAID).arg("install").arg(&copy))?;
    }
    let mut command = Command::new(MDBOOK);
    let finished = exec::logged("book", command.arg("build").arg(&copy).arg("-d").arg(&book))?;
    if !finished.success {
        return Err(finished.excerpt());
    }
    let problems = html::broken_links(&book)?;
    let pictures = if has_pictures { "" } else { ", its diagrams as text: no mdbook-mermaid" };
    Ok((format!("{}{pictures}", book.join("index.html").display()), problems))
}

fn target() -> PathBuf {
    paths::root().join("target")
}

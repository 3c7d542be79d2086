//! The files of the repository, and what can be wrong with them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::process::Command;

use crate::{exec, paths};

/// A file of the repository; its path is relative to the root.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// Something to repair.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) path: String,
    line: Option<usize>,
    what: String,
}

impl Problem {
    pub(super) fn in_file(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, what: what.into() }
    }

    /// `index` counts lines from zero, as iterators do.
    pub(super) fn in_line(path: &str, index: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(index + 1), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what } = self;
        match line {
            Some(line) => write!(f, "{path}:{line}: {what}"),
            None => write!(f, "{path}: {what}"),
        }
    }
}

/// What git tracks, and what it would track.
pub(super) fn files() -> Result<Vec<Source>, String> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = exec::output(Command::new("git").args(arguments).current_dir(paths::root()))?;
    let paths: BTreeSet<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    let sources = paths.into_iter().filter_map(|path| {
        // Deleted ones are still listed until the next commit.
        let bytes = fs::read(paths::root().join(path)).ok()?;
        // Pictures have no text to check, and links lead to them.
        let text = String::from_utf8(bytes).unwrap_or_default();
        Some(Source { path: path.to_owned(), text })
    });
    Ok(sources.collect())
}

#[cfg(test)]
pub(super) fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

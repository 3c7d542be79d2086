//! What the documents promise, and the tests that show it.
//!
//! A table with a column "shown by", and a line that begins with "Shown by", name tests, or seeded
//! bugs of the model, between backticks. All of them must exist.
//! In a document of promises, whatever states a time must name what shows it.

use std::collections::BTreeSet;

use super::source::{Problem, Source};

/// The documents in which a stated time needs evidence.
const PROMISES: [&str; 1] = ["docs/semantics.md"];
/// In place of a name, where there is nothing to test.
const NOTHING: &str = "–";

pub(super) fn problems(files: &[Source]) -> Vec<Problem> {
    let known = known(files);
    let documents =
        files.iter().filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md"));
    documents.flat_map(|file| in_document(file, &known)).collect()
}

/// The functions of the sources, and what stands in quotes, as the model's scenarios do.
fn known(files: &[Source]) -> BTreeSet<&str> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    sources
        .flat_map(|file| {
            ["fn ", "\""].into_iter().flat_map(|mark| file.text.split(mark).skip(1).map(word))
        })
        .collect()
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    &text[..end.unwrap_or(text.len())]
}

/// Lines that belong together: a paragraph, an item of a list, or a row of a table.
struct Block<'a> {
    index: usize,
    text: String,
    /// The cell in the column "shown by", if there is such a column.
    evidence: Option<&'a str>,
    is_evidence: bool,
}

fn in_document(file: &Source, known: &BTreeSet<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let blocks = blocks(&file.text);
    for (place, block) in blocks.iter().enumerate() {
        let evidence = block.evidence.or_else(|| block.is_evidence.then_some(block.text.as_str()));
        if let Some(evidence) = evidence {
            // Between backticks.
            let names: Vec<&str> = evidence.split('`').skip(1).step_by(2).collect();
            if names.is_empty() && evidence != NOTHING {
                problems.push(Problem::in_line(&file.path, block.index, "nothing shows this"));
            }
            for name in names.into_iter().filter(|name| !known.contains(name)) {
                let what = format!("there is no test or seeded bug `{name}`");
                problems.push(Problem::in_line(&file.path, block.index, what));
            }
        } else if PROMISES.contains(&file.path.as_str())
            && states_a_time(&block.text)
            && !blocks[place..]
                .iter()
                .skip(1)
                .find(|next| !next.is_item())
                .is_some_and(|next| next.is_evidence)
        {
            let what = "states a time, and no \"Shown by\" follows";
            problems.push(Problem::in_line(&file.path, block.index, what));
        }
    }
    problems
}

impl Block<'_> {
    fn is_item(&self) -> bool {
        self.text.starts_with("- ")
    }
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut in_code = false;
    let mut column = None;
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        if in_code || is_fence || line.is_empty() || line.starts_with('#') {
            (column, goes_on) = (None, false);
            continue;
        }
        if line.starts_with('|') {
            let cells: Vec<&str> = cells(line);
            let is_header = !goes_on;
            goes_on = true;
            if is_header {
                column = cells.iter().position(|cell| *cell == "shown by");
            } else if !line.starts_with("|--") && !line.starts_with("|:-") {
                let evidence = column.and_then(|column| cells.get(column).copied());
                blocks.push(Block { index, text: line.to_owned(), evidence, is_evidence: false });
            }
            continue;
        }
        let is_evidence = line.starts_with("Shown by");
        let begins = !goes_on || is_evidence || line.starts_with("- ");
        match blocks.last_mut() {
            Some(last) if !begins => {
                last.text.push('\n');
                last.text.push_str(line);
            }
            _ => blocks.push(Block { index, text: line.to_owned(), evidence: None, is_evidence }),
        }
        goes_on = true;
    }
    blocks
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// Whether a number stands before a unit of time.
fn states_a_time(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let is_number = pair[0].trim_start_matches('(').parse::<f64>().is_ok();
        let unit = pair[1].trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        is_number && ["ms", "s", "min", "minute", "minutes", "h"].contains(&unit)
    })
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let files = [
            source("crates/a/tests/a.rs", "fn a_lock_is_had() {}\nbug(\"queue-no-hint\")\n"),
            source(path, text),
        ];
        problems(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_of_tests_and_seeded_bugs_are_fine() {
        let text = "A lock is had.\nShown by `a_lock_is_had`.\n\n| what | shown by |\n|---|---|\n\
                    | a hint | model: `queue-no-hint` |\n| nothing | – |\n";
        assert!(found("docs/a.md", text).is_empty(), "{:?}", found("docs/a.md", text));
    }

    #[test]
    fn names_that_nothing_has_are_found_with_their_lines() {
        let text = "Shown by `gone`.\n\n| shown by | what |\n|---|---|\n| `lost` | a |\n| | b |\n";
        assert_eq!(
            found("docs/a.md", text),
            [
                "docs/a.md:1: there is no test or seeded bug `gone`",
                "docs/a.md:5: there is no test or seeded bug `lost`",
                "docs/a.md:6: nothing shows this",
            ]
        );
    }

    #[test]
    fn a_time_without_evidence_is_found_where_promises_are_made() {
        let text = "It takes 2 s.\n\nSo:\n\n- At most 5 ms.\n- Then 1 s.\n\nShown by `a_lock_is_had`.\n\n\
                    | what | when |\n|---|---|\n| a | within 10 ms |\n";
        let what = "states a time, and no \"Shown by\" follows";
        assert_eq!(
            found(PROMISES[0], text),
            [format!("docs/semantics.md:1: {what}"), format!("docs/semantics.md:12: {what}")]
        );
        assert!(found("docs/a.md", text).is_empty());
    }
}

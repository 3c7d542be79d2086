//! The table of races in `docs/protocol.md` and the tests that it names cannot drift apart.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

#[test]
fn every_race_is_shown_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Ok(protocol) = std::fs::read_to_string(root.join("docs/protocol.md")) else {
        // A published crate has no documents beside it.
        return;
    };
    let known = names_in(&root.join("crates"));
    let rows: Vec<Vec<&str>> = protocol
        .lines()
        .filter(|line| line.starts_with("| R"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<String> = (1..=43).map(|number| format!("R{number}")).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), numbers);
    for row in rows {
        let shown_by = row.last().unwrap();
        // Between backticks.
        let names: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || *shown_by == "–", "{row:?}");
        for name in names {
            assert!(known.contains(name), "{}: there is no `{name}`", row[0]);
        }
    }
}

/// The functions of the sources in a folder, and what stands in quotes, as the model's rows do.
fn names_in(folder: &Path) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                for mark in ["fn ", "\""] {
                    names.extend(text.split(mark).skip(1).map(word).map(str::to_owned));
                }
            }
        }
    }
    names
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
    &text[..end.unwrap_or(text.len())]
}

//! Checks of single files: length, words, whitespace, the first comment.

use super::source::{Problem, Source};

/// A file has one subject and reads in one sitting.
const MAX_LINES: usize = 500;

// Each word is in two parts, so that neither this check nor a search of the sources finds it here.

/// Unfinished or forgotten code.
const FORBIDDEN_IN_RUST: [(&str, &str); 4] = [
    (concat!("tod", "o!("), "unfinished code"),
    (concat!("unimple", "mented!("), "unfinished code"),
    (concat!("db", "g!("), "forgotten debugging"),
    (concat!("#[ig", "nore"), "a test that does not run shows nothing"),
];

/// What holds on one machine only.
const FORBIDDEN_EVERYWHERE: [(&str, &str); 12] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/tm", "p/wt"), "a path of one machine"),
    (concat!("../s", "hared"), "a path outside the repository"),
    (concat!("py", "pi.org"), "a registry's host: its client knows it"),
    (concat!("pythonho", "sted.org"), "a registry's host: its client knows it"),
    (concat!("deb.deb", "ian.org"), "a registry's host: its client knows it"),
    (concat!("static.c", "rates.io"), "a registry's host: its client knows it"),
    (concat!("index.c", "rates.io"), "a registry's host: its client knows it"),
    (concat!("proxy.go", "lang.org"), "a registry's host: its client knows it"),
    (concat!("registry.", "npmjs.org"), "a registry's host: its client knows it"),
    (concat!("repo.maven", ".apache.org"), "a registry's host: its client knows it"),
];

pub(super) fn problems(file: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    if file.path.ends_with(".rs") {
        problems.extend(too_long(file));
        problems.extend(without_module_comment(file));
        problems.extend(words(file, &FORBIDDEN_IN_RUST));
    }
    problems.extend(words(file, &FORBIDDEN_EVERYWHERE));
    problems.extend(whitespace(file));
    problems
}

fn too_long(file: &Source) -> Option<Problem> {
    let lines = file.text.lines().count();
    (lines > MAX_LINES)
        .then(|| Problem::in_file(&file.path, format!("has {lines} lines, above {MAX_LINES}")))
}

fn without_module_comment(file: &Source) -> Option<Problem> {
    let must_have = file.path.contains("/src/") && !file.text.starts_with("//!");
    must_have.then(|| Problem::in_file(&file.path, "does not start with a `//!` comment"))
}

fn words(file: &Source, forbidden: &[(&str, &str)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for (word, why) in forbidden.iter().filter(|(word, _)| line.contains(word)) {
            problems.push(Problem::in_line(&file.path, index, format!("`{word}`: {why}")));
        }
    }
    problems
}

fn whitespace(file: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in file.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            problems.push(Problem::in_line(&file.path, index, "whitespace at the end of the line"));
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        problems.push(Problem::in_file(&file.path, "does not end with exactly one line end"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        problems(&source(path, text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_file_has_no_problems() {
        assert!(found("crates/a/src/lib.rs", "//! A crate.\n\nfn a() {}\n").is_empty());
        assert!(found("crates/a/src/empty.txt", "").is_empty());
    }

    #[test]
    fn long_file_is_found() {
        let text = "//! A.\n".to_owned() + &"\n".repeat(498) + "x\n";
        assert!(found("crates/a/src/a.rs", &text).is_empty());
        let text = "//! A.\n".to_owned() + &"\n".repeat(499) + "x\n";
        assert_eq!(
            found("crates/a/src/a.rs", &text),
            ["crates/a/src/a.rs: has 501 lines, above 500"]
        );
    }

    #[test]
    fn source_without_module_comment_is_found_but_a_test_may_lack_it() {
        assert_eq!(found("crates/a/src/a.rs", "fn a() {}\n").len(), 1);
        assert!(found("crates/a/tests/a.rs", "fn a() {}\n").is_empty());
    }

    #[test]
    fn every_forbidden_word_is_found_with_its_line() {
        for (word, _) in FORBIDDEN_IN_RUST.iter().chain(&FORBIDDEN_EVERYWHERE) {
            let problems = found("crates/a/tests/a.rs", &format!("fn a() {{}}\n{word}\n"));
            assert_eq!(problems.len(), 1, "{word}: {problems:?}");
            assert!(problems[0].starts_with("crates/a/tests/a.rs:2: "), "{problems:?}");
        }
    }

    #[test]
    fn untidy_whitespace_is_found() {
        assert_eq!(found("a.md", "a \nb\n"), ["a.md:1: whitespace at the end of the line"]);
        for text in ["a", "a\n\n"] {
            assert_eq!(found("a.md", text), ["a.md: does not end with exactly one line end"]);
        }
    }
}

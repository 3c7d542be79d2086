//! The pages: all of them are in the book, and their Rust code is compiled.

use super::source::{Problem, Source};

/// The book's table of contents.
const CONTENTS: &str = "docs/SUMMARY.md";
/// The crate that compiles the code of the pages.
const COMPILED: &str = "crates/pages/src/lib.rs";

pub(super) fn problems(files: &[Source]) -> Vec<Problem> {
    let text = |path: &str| {
        files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str())
    };
    let (contents, compiled) = (text(CONTENTS), text(COMPILED));
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| is_page(&file.path)) {
        let in_book = file.path.strip_prefix("docs/");
        if in_book.is_some_and(|page| !contents.contains(&format!("]({page})"))) {
            problems.push(Problem::in_file(&file.path, format!("is not in {CONTENTS}")));
        }
        if has_rust(&file.text) && !compiled.contains(&format!("\"../../../{}\"", file.path)) {
            let what = format!("has Rust code, and is not compiled in {COMPILED}");
            problems.push(Problem::in_file(&file.path, what));
        }
    }
    problems
}

fn is_page(path: &str) -> bool {
    let is_in_book = path.starts_with("docs/") && path.ends_with(".md") && path != CONTENTS;
    is_in_book || path == "README.md"
}

/// Whether rustdoc would compile a block of the page.
fn has_rust(page: &str) -> bool {
    let mut in_block = false;
    page.lines().any(|line| {
        let Some(language) = line.trim_start().strip_prefix("```") else { return false };
        in_block = !in_block;
        // Code without a language is Rust to rustdoc.
        in_block && (language.is_empty() || language.starts_with("rust"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let mut files = vec![
            source(CONTENTS, "# Contents\n\n- [A](a.md)\n  - [B](b/c.md)\n"),
            source(COMPILED, "#[doc = include_str!(\"../../../docs/a.md\")]\n"),
        ];
        files.extend(pages.iter().map(|(path, text)| source(path, text)));
        problems(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn pages_of_the_book_whose_code_is_compiled_are_fine() {
        let pages = [
            ("docs/a.md", "```rust\nfn a() {}\n```\n"),
            ("docs/b/c.md", "```text\na\n```\n"),
            ("README.md", "# It\n"),
            ("crates/a/README.md", "```rust\nfn a() {}\n```\n"),
        ];
        assert!(found(&pages).is_empty(), "{:?}", found(&pages));
    }

    #[test]
    fn a_page_that_is_not_in_the_book_is_found() {
        assert_eq!(found(&[("docs/c.md", "# C\n")]), ["docs/c.md: is not in docs/SUMMARY.md"]);
    }

    #[test]
    fn code_that_nobody_compiles_is_found() {
        let expected = "has Rust code, and is not compiled in crates/pages/src/lib.rs";
        for fence in ["```rust", "```rust,no_run", "```"] {
            let page = format!("{fence}\nfn a() {{}}\n```\n");
            assert_eq!(found(&[("README.md", &page)]), [format!("README.md: {expected}")]);
        }
    }
}

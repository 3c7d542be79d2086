//! Copies the pages, and the files outside of them that they link to.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::paths;

/// Where the book has its copies of files outside of `docs/`.
const SOURCES: &str = "sources";
/// The table of contents, which names files and not links.
const CONTENTS: &str = "SUMMARY.md";

/// Copies the tree of pages at `from` to `to`, which is emptied first.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot copy the pages: {error}");
    paths::remove_tree(to).map_err(failed)?;
    let mut outside = BTreeSet::new();
    copy_tree(from, Path::new(""), to, &mut outside).map_err(failed)?;
    let root = from.parent().unwrap_or(from);
    for path in outside {
        let copy = to.join(copied(&path));
        copy.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        fs::write(copy, contents(&root.join(&path)).map_err(failed)?).map_err(failed)?;
    }
    Ok(())
}

fn copy_tree(
    from: &Path,
    below: &Path,
    to: &Path,
    outside: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    fs::create_dir_all(to.join(below))?;
    for entry in fs::read_dir(from.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(from, &path, to, outside)?;
        } else if path.extension().is_some_and(|extension| extension == "md")
            && path != Path::new(CONTENTS)
        {
            let text = fs::read_to_string(entry.path())?;
            fs::write(to.join(&path), rewritten(&text, below, outside))?;
        } else {
            fs::copy(entry.path(), to.join(&path))?;
        }
    }
    Ok(())
}

/// A page of the directory `below`, in which links out of the pages lead to copies.
fn rewritten(page: &str, below: &Path, outside: &mut BTreeSet<PathBuf>) -> String {
    let mut in_block = false;
    let mut text = String::with_capacity(page.len());
    for line in page.lines() {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        if in_block || is_fence {
            text.push_str(line);
        } else {
            // What stands between backticks is code.
            let parts = line.split('`').enumerate().map(|(index, part)| match index % 2 {
                0 => with_links_to_copies(part, below, outside),
                _ => part.to_owned(),
            });
            text.push_str(&parts.collect::<Vec<_>>().join("`"));
        }
        text.push('\n');
    }
    text
}

fn with_links_to_copies(part: &str, below: &Path, outside: &mut BTreeSet<PathBuf>) -> String {
    let mut pieces = part.split("](");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str("](");
        let end = piece.find([')', '#', ' ']).unwrap_or(piece.len());
        match path_outside(&piece[..end], below) {
            None => text.push_str(&to_index(piece, end)),
            Some(path) => {
                text.push_str(&"../".repeat(below.components().count()));
                text.push_str(&copied(&path));
                // A copy is no page, so it has no headings.
                let rest = &piece[end..];
                let close = rest.find([')', ' ']).unwrap_or(rest.len());
                text.push_str(&rest[close..]);
                outside.insert(path);
            }
        }
    }
    text
}

/// The link at the beginning of `piece`, which ends at `end`: mdbook calls a `README.md` `index.md`, but not
/// in links.
fn to_index(piece: &str, end: usize) -> String {
    match piece[..end].strip_suffix("README.md") {
        Some(directory) if !directory.contains(':') => {
            format!("{directory}index.md{}", &piece[end..])
        }
        _ => piece.to_owned(),
    }
}

/// The file that a link means, relative to the root of the repository, if it is not in `docs/`.
fn path_outside(link: &str, below: &Path) -> Option<PathBuf> {
    if link.is_empty() || link.contains(':') {
        return None;
    }
    let mut path: Vec<Component<'_>> = Path::new("docs").components().collect();
    path.extend(below.components());
    for component in Path::new(link).components() {
        match component {
            Component::ParentDir => drop(path.pop()?),
            Component::CurDir => {}
            component => path.push(component),
        }
    }
    let path: PathBuf = path.iter().collect();
    (!path.starts_with("docs")).then_some(path)
}

/// Where the book has a copy of a file or directory, as text, which browsers show; mdbook would take a name
/// with `.md` in it for a page.
fn copied(path: &Path) -> String {
    format!("{SOURCES}/{}.txt", path.display().to_string().replace(".md", ""))
}

/// A file, or the names of what is in a directory.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    if !path.is_dir() {
        return fs::read(path);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(format!("{}\n", entry?.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names.concat().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(page: &str, below: &str) -> (String, Vec<PathBuf>) {
        let mut outside = BTreeSet::new();
        let text = rewritten(page, Path::new(below), &mut outside);
        (text, outside.into_iter().collect())
    }

    #[test]
    fn links_between_pages_and_to_hosts_stay() {
        let page = "[a](b.md#c), [d](../guide.md), [e](https://f/README.md), [h](#i)\n";
        assert_eq!(rewrite(page, "decisions"), (page.to_owned(), Vec::new()));
    }

    #[test]
    fn a_readme_is_an_index_in_the_book() {
        let (text, _) = rewrite("[a](decisions/README.md), [b](README.md#c) d\n", "");
        assert_eq!(text, "[a](decisions/index.md), [b](index.md#c) d\n");
    }

    #[test]
    fn links_out_of_the_pages_lead_to_copies() {
        let (text, outside) = rewrite("[`a`](../crates/a.rs), [b](../README.md#c) d\n", "");
        assert_eq!(text, "[`a`](sources/crates/a.rs.txt), [b](sources/README.txt) d\n");
        assert_eq!(outside, [Path::new("README.md"), Path::new("crates/a.rs")]);
        let (text, _) = rewrite("[a](../../crates/a/)\n", "decisions");
        assert_eq!(text, "[a](../sources/crates/a.txt)\n");
    }

    #[test]
    fn code_is_left_alone() {
        let page = "`a[0](../x)`\n```text\n[a](../x)\n```\n";
        assert_eq!(rewrite(page, ""), (page.to_owned(), Vec::new()));
    }
}

//! The links of the book as it was built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What mdbook adds: all pages in one, whose links are those of the pages, and what has no links of ours.
const NO_PAGES: [&str; 3] = ["print.html", "404.html", "toc.html"];

/// A line for each link that leads nowhere in the book at `book`.
pub(super) fn broken_links(book: &Path) -> Result<Vec<String>, String> {
    let mut files = BTreeMap::new();
    read(book, Path::new(""), &mut files).map_err(|error| format!("cannot read it: {error}"))?;
    let places: BTreeMap<&Path, BTreeSet<&str>> = files
        .iter()
        .map(|(path, text)| (path.as_path(), values(text, " id=\"").collect()))
        .collect();
    let pages = files.iter().filter(|(path, _)| {
        path.extension().is_some_and(|extension| extension == "html")
            && !NO_PAGES.iter().any(|name| path.ends_with(name))
    });
    Ok(pages.flat_map(|(path, text)| broken(path, text, &places)).collect())
}

/// The names of all files, with the text of the pages.
fn read(book: &Path, below: &Path, files: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
    for entry in fs::read_dir(book.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read(book, &path, files)?;
        } else {
            let is_page = path.extension().is_some_and(|extension| extension == "html");
            let text = if is_page { fs::read_to_string(entry.path())? } else { String::new() };
            files.insert(path, text);
        }
    }
    Ok(())
}

fn broken(page: &Path, text: &str, places: &BTreeMap<&Path, BTreeSet<&str>>) -> Vec<String> {
    let links = values(text, " href=\"").chain(values(text, " src=\""));
    let ours = links.filter(|link| !link.contains(':') && !link.is_empty());
    let broken = ours.filter(|link| {
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let path = if path.is_empty() { Some(page.to_owned()) } else { resolve(page, path) };
        let ids = path.as_deref().and_then(|path| places.get(path));
        ids.is_none_or(|ids| !heading.is_empty() && !ids.contains(heading))
    });
    broken.map(|link| format!("{}: `{link}` leads nowhere", page.display())).collect()
}

/// What stands behind each `mark`, up to the closing quote.
fn values<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).filter_map(|rest| rest.split('"').next())
}

fn resolve(page: &Path, link: &str) -> Option<PathBuf> {
    let mut path: Vec<Component<'_>> = page.components().collect();
    path.pop();
    for component in Path::new(link).components() {
        match component {
            Component::ParentDir => drop(path.pop()?),
            Component::CurDir => {}
            component => path.push(component),
        }
    }
    Some(path.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let guide = "<h2 id=\"times\">Times</h2>";
        let page = "<a href=\"../guide.html#times\">a</a> <a href=\"#b\">b</a> <i id=\"b\"></i> \
                    <a href=\"https://c/d\">c</a> <a href=\"../guide.html#gone\">d</a> \
                    <img src=\"e.svg\"> <a href=\"../../f.html\">f</a>";
        let places: BTreeMap<&Path, BTreeSet<&str>> = [
            (Path::new("guide.html"), values(guide, " id=\"").collect()),
            (Path::new("decisions/a.html"), values(page, " id=\"").collect()),
        ]
        .into();
        let expected = ["../guide.html#gone", "../../f.html", "e.svg"]
            .map(|link| format!("decisions/a.html: `{link}` leads nowhere"));
        assert_eq!(broken(Path::new("decisions/a.html"), page, &places), expected);
    }
}

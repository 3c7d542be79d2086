//! Links from Markdown to files of the repository, and to headings in them.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Problem, Source};

pub(super) fn problems(files: &[Source]) -> Vec<Problem> {
    let places = places(files);
    let markdown = files.iter().filter(|file| file.path.ends_with(".md"));
    markdown.flat_map(|file| broken_links(file, &places)).collect()
}

/// All paths that a link may lead to, directories included, with the headings of Markdown files.
type Places<'a> = BTreeMap<&'a str, BTreeSet<String>>;

fn places(files: &[Source]) -> Places<'_> {
    let mut places = Places::new();
    for file in files {
        let ends = file.path.match_indices('/').map(|(end, _)| end);
        places.extend(ends.map(|end| (&file.path[..end], BTreeSet::new())));
        places.insert(&file.path, headings(&file.text));
    }
    places
}

fn broken_links(file: &Source, places: &Places<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in prose(&file.text) {
        for target in targets(&line) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) };
            let what = match path.and_then(|path| places.get(path.as_str())) {
                None => format!("link to `{target}`: there is no such file"),
                Some(headings) if !heading.is_empty() && !headings.contains(heading) => {
                    format!("link to `{target}`: there is no such heading")
                }
                Some(_) => continue,
            };
            problems.push(Problem::in_line(&file.path, index, what));
        }
    }
    problems
}

/// The lines outside code blocks, with inline code blanked out.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut in_block = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        (!in_block && !is_fence).then(|| {
            let outside_code = line.split('`').step_by(2).collect::<Vec<_>>();
            (index, outside_code.join("``"))
        })
    })
}

/// The targets of `[text](target)` and `[label]: target`, without those on other hosts.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.match_indices("](").filter_map(|(start, mark)| {
        let rest = &line[start + mark.len()..];
        rest.split([')', ' ']).next()
    });
    let definition = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .and_then(|(_, target)| target.split(' ').next());
    inline.chain(definition).filter(|target| !target.contains(':') && !target.is_empty()).collect()
}

/// The path that `link` in the file `from` means; `None` if it leads out of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that renderers give to headings: lower case, spaces to hyphens, no punctuation.
fn headings(text: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let mut headings = BTreeSet::new();
    for line in text.lines() {
        in_block ^= line.trim_start().starts_with("```");
        if !in_block && line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            headings.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    headings
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let files = [
            source("docs/guide.md", text),
            source("docs/testing.md", "# Testing it: `xtask`\n"),
            source("README.md", "# It\n"),
        ];
        problems(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let text = "# Top\n[a](testing.md), [b](../README.md#it), [c](#top), [d](../docs/)\n\
                    [e](testing.md#testing-it-xtask \"title\") <https://host/x> [f](https://host/y)\n\
                    [g]: ./testing.md\n";
        assert!(found(text).is_empty(), "{:?}", found(text));
    }

    #[test]
    fn broken_links_are_found_with_their_lines() {
        let text =
            "# Top\n[a](missing.md)\n[b](testing.md#nothing)\n[c](../../outside.md)\n[d]: gone\n";
        assert_eq!(
            found(text),
            [
                "docs/guide.md:2: link to `missing.md`: there is no such file",
                "docs/guide.md:3: link to `testing.md#nothing`: there is no such heading",
                "docs/guide.md:4: link to `../../outside.md`: there is no such file",
                "docs/guide.md:5: link to `gone`: there is no such file",
            ]
        );
    }

    #[test]
    fn code_contains_no_links() {
        assert!(found("`a[0](x)`\n```\n[a](missing.md)\n```\n").is_empty());
    }
}

//! Checks the manifests against the table of crates.

use super::tables::{PAGE, PackageRow};
use crate::tidy::source::{Problem, Source};

/// A crate of ours.
#[derive(Debug)]
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    /// The manifest's, without a slash at its end.
    pub(super) directory: &'a str,
    manifest: &'a Source,
}

/// The members of the workspace.
pub(super) fn packages(files: &[Source]) -> Vec<Package<'_>> {
    let packages = files.iter().filter_map(|manifest| {
        let directory = manifest.path.strip_suffix("/Cargo.toml")?;
        Some(Package { name: name(&manifest.text)?, directory, manifest })
    });
    packages.collect()
}

pub(super) fn problems(packages: &[Package<'_>], rows: &[PackageRow]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for row in rows {
        for name in [&row.package].into_iter().chain(&row.dependencies).chain(&row.in_tests) {
            if !packages.iter().any(|package| package.name == name) {
                problems.push(row.row.problem(format!("there is no crate `{name}`")));
            }
        }
    }
    for package in packages {
        match rows.iter().find(|row| row.package == package.name) {
            Some(row) => problems.extend(refused(package, row, packages)),
            None => {
                let what = format!("no row of the table of crates in {PAGE} is about it");
                problems.push(Problem::in_file(&package.manifest.path, what));
            }
        }
    }
    problems
}

fn refused(package: &Package<'_>, row: &PackageRow, all: &[Package<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for dependency in dependencies(&package.manifest.text) {
        let name = dependency.name;
        let is_ours = all.iter().any(|other| other.name == name);
        let is_allowed = row.dependencies.iter().any(|allowed| allowed == name)
            || (dependency.is_for_tests && row.in_tests.iter().any(|allowed| allowed == name));
        if is_ours && !is_allowed {
            let (kind, rule) =
                (if dependency.is_for_tests { " in tests" } else { "" }, row.row.line + 1);
            let what = format!("{} may not depend on {name}{kind} ({PAGE}:{rule})", package.name);
            problems.push(Problem::in_line(&package.manifest.path, dependency.line, what));
        }
    }
    problems
}

fn name(manifest: &str) -> Option<&str> {
    let package = manifest.lines().skip_while(|line| *line != "[package]").skip(1);
    let mut keys = package.take_while(|line| !line.starts_with('['));
    keys.find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

struct Dependency<'a> {
    name: &'a str,
    is_for_tests: bool,
    /// Counted from zero.
    line: usize,
}

/// Another check sees to it that no dependency is renamed: all come from the workspace's manifest.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut dependencies = Vec::new();
    let mut section = "";
    for (line, text) in manifest.lines().enumerate() {
        let text = text.trim();
        let name = match text.strip_prefix('[') {
            Some(header) => {
                section = header.trim_end_matches(']');
                // `[dependencies.a]`
                section.split_once("dependencies.").map(|(_, name)| name)
            }
            None if section.ends_with("dependencies") && !text.starts_with('#') => {
                text.split(['=', '.', ' ']).next().filter(|name| !name.is_empty())
            }
            None => None,
        };
        let is_for_tests = section.contains("dev-dependencies");
        dependencies.extend(name.map(|name| Dependency { name, is_for_tests, line }));
    }
    dependencies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::imports::tables::Tables;
    use crate::tidy::source::source;

    fn found(a: &str, rows: &str) -> Vec<String> {
        let head = "## Who may import whom\n| crate | is | may depend on | in tests also on |\n";
        let files = [
            source("Cargo.toml", "[workspace]\n"),
            source("crates/a/Cargo.toml", &format!("[package]\nname = \"a\"\n{a}")),
            source("crates/b/Cargo.toml", "[package]\nname = \"b\"\n"),
            source("c/Cargo.toml", "[package]\nversion = \"1\"\nname = \"c\"\n"),
            source(PAGE, &(head.to_owned() + rows)),
        ];
        let (tables, problems) = Tables::read(&files);
        assert!(problems.is_empty(), "{problems:?}");
        let found = super::problems(&packages(&files), &tables.packages);
        found.iter().map(ToString::to_string).collect()
    }

    const ROWS: &str = "| `a` | | `b` | `c` |\n| `b` | | nothing | nothing |\n\
                        | `c` | | nothing | nothing |\n";

    #[test]
    fn dependencies_that_the_table_allows_are_fine() {
        let manifest = "[dependencies]\nb.workspace = true\ntokio.workspace = true\n\
                        [dev-dependencies]\nc = { workspace = true }\n[features]\nc = []\n";
        assert!(found(manifest, ROWS).is_empty(), "{:?}", found(manifest, ROWS));
    }

    #[test]
    fn dependency_that_the_table_does_not_allow_is_found_in_every_form() {
        for dependency in [
            "[dependencies]\nc.workspace = true",
            "[dependencies]\nc = { workspace = true, optional = true }",
            "[target.'cfg(unix)'.dependencies]\nc = \"1\"",
            "\n[dependencies.c]\nworkspace = true",
            "[build-dependencies]\nc.workspace = true",
        ] {
            let expected = "crates/a/Cargo.toml:4: a may not depend on c (docs/architecture.md:3)";
            assert_eq!(found(dependency, ROWS), [expected], "{dependency}");
        }
        let rows = ROWS.replace("`c` |\n| `b`", "nothing |\n| `b`");
        let expected =
            "crates/a/Cargo.toml:4: a may not depend on c in tests (docs/architecture.md:3)";
        assert_eq!(found("[dev-dependencies]\nc.workspace = true", &rows), [expected]);
    }

    #[test]
    fn crate_without_a_row_and_row_without_a_crate_are_found() {
        let rows = ROWS.replace("`c`", "`d`").replacen("`d`", "`b`", 1);
        let expected = [
            "docs/architecture.md:5: there is no crate `d`",
            "c/Cargo.toml: no row of the table of crates in docs/architecture.md is about it",
        ];
        assert_eq!(found("", &rows), expected);
    }
}

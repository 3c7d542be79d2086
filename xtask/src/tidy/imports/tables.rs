//! The tables of `docs/architecture.md` that say who may import whom, as a person reads them.

use crate::tidy::source::{Problem, Source};

/// The page, and the heading of the part with the tables.
pub(super) const PAGE: &str = "docs/architecture.md";
const HEADING: &str = "## Who may import whom";

/// The tables of the page.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Crates, and which others they may depend on.
    pub(super) packages: Vec<PackageRow>,
    /// Inside a crate: folders and files, those that import the fewest first.
    pub(super) places: Vec<PlaceTable>,
    /// Files that may import each other.
    pub(super) pairs: Vec<Pair>,
}

/// A place of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) path: String,
    /// Counted from zero.
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) struct PackageRow {
    pub(super) row: Row,
    pub(super) package: String,
    pub(super) dependencies: Vec<String>,
    /// Beside those.
    pub(super) in_tests: Vec<String>,
}

#[derive(Debug)]
pub(super) struct PlaceTable {
    pub(super) row: Row,
    pub(super) package: String,
    pub(super) rows: Vec<PlaceRow>,
}

/// Folders and files that belong together.
#[derive(Debug)]
pub(super) struct PlaceRow {
    pub(super) row: Row,
    pub(super) places: Vec<Place>,
    pub(super) may_import: Vec<Permission>,
    /// As the page says it.
    pub(super) may_import_text: String,
    /// What no permission includes: places of the crate, or other crates.
    pub(super) never: Vec<Place>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Permission {
    EverythingAbove,
    Place(Place),
}

/// `engine/` is a folder with the file of its module; `queue.rs` is a file with its folder, if it
/// has one. Any other name is a crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) String);

#[derive(Debug)]
pub(super) struct Pair {
    pub(super) row: Row,
    pub(super) package: String,
    pub(super) places: [String; 2],
}

impl Row {
    pub(super) fn problem(&self, what: impl Into<String>) -> Problem {
        Problem::in_line(&self.path, self.line, what)
    }
}

impl Place {
    fn module(&self) -> &str {
        self.0.strip_suffix('/').or_else(|| self.0.strip_suffix(".rs")).unwrap_or(&self.0)
    }

    pub(super) fn is_crate(&self) -> bool {
        !self.0.ends_with(".rs") && !self.0.ends_with('/')
    }

    pub(super) fn covers(&self, file: &str) -> bool {
        let below = file.strip_prefix(self.module());
        !self.is_crate() && below.is_some_and(|below| below == ".rs" || below.starts_with('/'))
    }

    /// Whether a file shows that it exists: a folder by what is in it.
    pub(super) fn is_shown_by(&self, file: &str) -> bool {
        if self.0.ends_with('/') { file.starts_with(&self.0) } else { file == self.0 }
    }

    /// The narrower of two places that cover a file has more names.
    pub(super) fn depth(&self) -> usize {
        self.module().matches('/').count()
    }
}

impl Pair {
    pub(super) fn is(&self, one: &str, other: &str) -> bool {
        let [a, b] = &self.places;
        (a == one && b == other) || (a == other && b == one)
    }
}

impl Tables {
    /// Reads the part of the page; what cannot be read is a problem of its line.
    pub(super) fn read(files: &[Source]) -> (Self, Vec<Problem>) {
        let mut reader = Reader::default();
        let page = files.iter().find(|file| file.path == PAGE);
        let lines = page.into_iter().flat_map(|page| page.text.lines().enumerate());
        let part = lines
            .skip_while(|(_, line)| *line != HEADING)
            .enumerate()
            .take_while(|(index, (_, line))| *index == 0 || !line.starts_with("## "));
        for (_, (line, text)) in part {
            reader.line(&Row { path: PAGE.to_owned(), line }, text);
        }
        if reader.is_empty() {
            let what = format!("has no tables below `{HEADING}`");
            reader.problems.push(Problem::in_file(PAGE, what));
        }
        (reader.tables, reader.problems)
    }
}

#[derive(Default)]
struct Reader {
    tables: Tables,
    problems: Vec<Problem>,
    /// The crate that the heading names.
    package: Option<String>,
    table: Option<Kind>,
}

#[derive(Clone, Copy)]
enum Kind {
    Packages,
    Places,
    Pairs,
    Unknown,
}

impl Reader {
    fn is_empty(&self) -> bool {
        self.tables.packages.is_empty() && self.problems.is_empty()
    }

    fn line(&mut self, row: &Row, text: &str) {
        if let Some(title) = text.strip_prefix("### ") {
            self.package = title.split('`').nth(1).map(str::to_owned);
        }
        let Some(cells) = text.strip_prefix('|') else {
            self.table = None;
            return;
        };
        let cells: Vec<&str> = cells.trim_end_matches('|').split('|').map(str::trim).collect();
        match self.table {
            _ if cells.iter().all(|cell| cell.trim_matches(['-', ':']).is_empty()) => {}
            None => self.table = Some(self.begin(row, &cells)),
            Some(kind) => {
                if let Err(why) = self.row(row, kind, &cells) {
                    self.problems.push(row.problem(why));
                }
            }
        }
    }

    fn begin(&mut self, row: &Row, cells: &[&str]) -> Kind {
        match (cells, &self.package) {
            (["crate", _, "may depend on", "in tests also on"], _) => Kind::Packages,
            (["files", "of", "why"], _) => Kind::Pairs,
            (["folder", _, "may import"], Some(package)) => {
                let table = PlaceTable { row: row.clone(), package: package.clone(), rows: vec![] };
                self.tables.places.push(table);
                Kind::Places
            }
            _ => {
                let what = "the head of a table that nobody reads: `crate | … | may depend on | in \
                            tests also on`, `files | of | why`, or, below a heading with the name \
                            of a crate, `folder | … | may import`";
                self.problems.push(row.problem(what));
                Kind::Unknown
            }
        }
    }

    fn row(&mut self, row: &Row, kind: Kind, cells: &[&str]) -> Result<(), String> {
        let row = row.clone();
        match (kind, cells) {
            (Kind::Packages, [package, _, dependencies, in_tests]) => {
                self.tables.packages.push(PackageRow {
                    row,
                    package: name(package)?,
                    dependencies: names(dependencies)?,
                    in_tests: names(in_tests)?,
                });
            }
            (Kind::Pairs, [files, package, _]) => {
                let places = names(files)?;
                let places = places.try_into().map_err(|_| "two files, with a comma".to_owned())?;
                self.tables.pairs.push(Pair { row, package: name(package)?, places });
            }
            (Kind::Places, [places, _, may_import]) => {
                let (allowed, never) = match may_import.split_once(';') {
                    None => (*may_import, Vec::new()),
                    Some((allowed, never)) => {
                        let never = never.trim().strip_prefix("never ").ok_or("`; never …`")?;
                        (allowed, names(never)?)
                    }
                };
                let new = PlaceRow {
                    row,
                    places: names(places)?.into_iter().map(Place).collect(),
                    may_import: permissions(allowed)?,
                    may_import_text: (*may_import).to_owned(),
                    never: never.into_iter().map(Place).collect(),
                };
                if let Some(table) = self.tables.places.last_mut() {
                    table.rows.push(new);
                }
            }
            (Kind::Unknown, _) => {}
            _ => return Err(format!("{} cells, unlike the head of the table", cells.len())),
        }
        Ok(())
    }
}

fn permissions(cell: &str) -> Result<Vec<Permission>, String> {
    let mut permissions = Vec::new();
    for part in parts(cell) {
        permissions.push(match part {
            "everything above" => Permission::EverythingAbove,
            part => Permission::Place(Place(name(part)?)),
        });
    }
    Ok(permissions)
}

/// Names in backticks between commas, or `nothing`.
fn names(cell: &str) -> Result<Vec<String>, String> {
    parts(cell).map(name).collect()
}

fn parts(cell: &str) -> impl Iterator<Item = &str> {
    let cell = if cell == "nothing" { "" } else { cell };
    cell.split(',').map(str::trim).filter(move |_| !cell.is_empty())
}

fn name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    let name = name.filter(|name| !name.is_empty() && !name.contains('`'));
    name.map(str::to_owned).ok_or_else(|| format!("`{text}` is not a name in backticks"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::source;

    fn read(text: &str) -> (Tables, Vec<String>) {
        let (tables, problems) = Tables::read(&[source(PAGE, text)]);
        (tables, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn tables_are_read_to_the_end_of_their_part() {
        let (tables, problems) = read(
            "# Page\n\n| folder | x |\n|---|---|\n\n## Who may import whom\n\n\
             | crate | is | may depend on | in tests also on |\n|---|---|---|---|\n\
             | `a` | it | nothing | `b`, `c` |\n\n\
             ### Inside `a`\n\n| folder | what lives there | may import |\n|---|---|---|\n\
             | `x/` | X | nothing |\n\
             | `y.rs`, `lib.rs` | Y | everything above, `x/z.rs`; never `tokio` |\n\n\
             ### Pairs\n\n| files | of | why |\n|---|---|---|\n| `a.rs`, `b.rs` | `a` | so |\n\n\
             ## Next\n\n| other | table |\n|---|---|\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let package = &tables.packages[0];
        assert_eq!((package.package.as_str(), package.row.line), ("a", 9));
        assert!(package.dependencies.is_empty());
        assert_eq!(package.in_tests, ["b", "c"]);
        let [first, second] = &tables.places[0].rows[..] else { panic!("{tables:?}") };
        assert!(first.may_import.is_empty() && first.never.is_empty());
        assert_eq!(second.places, [Place("y.rs".into()), Place("lib.rs".into())]);
        let expected = [Permission::EverythingAbove, Permission::Place(Place("x/z.rs".into()))];
        assert_eq!(second.may_import, expected);
        assert_eq!(second.never, [Place("tokio".into())]);
        assert!(tables.pairs[0].is("b.rs", "a.rs") && !tables.pairs[0].is("b.rs", "b.rs"));
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_of_its_line() {
        let (_, problems) = read(
            "## Who may import whom\n\
             | crate | is | may depend on |\n\n\
             ### Inside `a`\n| folder | is | may import |\n|---|---|---|\n\
             | x | X | nothing |\n| `x/` | X | the rest |\n| `x/` | X | nothing; no clock |\n\
             | `x/` | nothing |\n",
        );
        let lines: Vec<&str> = problems.iter().map(|p| p.split(": ").next().unwrap()).collect();
        let expected = [2, 7, 8, 9, 10].map(|line| format!("docs/architecture.md:{line}"));
        assert_eq!(lines, expected, "{problems:#?}");
    }

    #[test]
    fn page_without_the_tables_is_a_problem() {
        let expected =
            "docs/architecture.md: has no tables below `## Who may import whom`".to_owned();
        assert_eq!(read("# Page\n").1, [expected]);
    }

    #[test]
    fn place_is_a_module_with_all_that_is_in_it() {
        let place = |name: &str| Place(name.into());
        for (name, file) in [
            ("a/", "a/b.rs"),
            ("a/", "a.rs"),
            ("a/", "a/mod.rs"),
            ("a.rs", "a.rs"),
            ("a.rs", "a/tests.rs"),
            ("a/b.rs", "a/b.rs"),
        ] {
            assert!(place(name).covers(file), "{name} {file}");
        }
        for (name, file) in [("a/", "ab.rs"), ("a.rs", "b/a.rs"), ("a", "a.rs"), ("a/b.rs", "a.rs")]
        {
            assert!(!place(name).covers(file), "{name} {file}");
        }
        assert!(place("a/").is_shown_by("a/b.rs") && !place("a/").is_shown_by("a.rs"));
        assert!(place("a.rs").is_shown_by("a.rs") && !place("a.rs").is_shown_by("a/b.rs"));
    }
}

//! Checks a crate's imports against its table of folders.

use super::resolve::Crate;
use super::tables::{PAGE, Permission, Place, PlaceRow, PlaceTable};
use crate::tidy::source::Problem;

pub(super) fn problems(krate: &Crate, table: &PlaceTable) -> Vec<Problem> {
    let mut problems = broken_rows(krate, table);
    let rows: Vec<Option<usize>> =
        krate.files.iter().map(|file| row_of(table, &file.place)).collect();
    for (file, _) in krate.files.iter().zip(&rows).filter(|(_, row)| row.is_none()) {
        let what = format!("no row of the table of {} in {PAGE} covers it", krate.name);
        problems.push(Problem::in_file(&file.path, what));
    }
    for import in &krate.imports {
        let (Some(from), Some(to)) = (rows[import.from], rows[import.to]) else { continue };
        let target = &krate.files[import.to].place;
        let row = &table.rows[from];
        let is_allowed = row.may_import.iter().any(|permission| match permission {
            Permission::EverythingAbove => to < from,
            Permission::Place(place) => place.covers(target),
        });
        if from != to && (!is_allowed || row.never.iter().any(|never| never.covers(target))) {
            problems.push(refused(krate, row, import.from, import.line, target));
        }
    }
    for used in &krate.from_outside {
        let Some(row) = rows[used.from].map(|row| &table.rows[row]) else { continue };
        if row.never.iter().any(|never| never.is_crate() && never.0 == used.name) {
            problems.push(refused(krate, row, used.from, used.line, &used.name));
        }
    }
    problems
}

/// The row of the narrowest place that covers the file.
fn row_of(table: &PlaceTable, file: &str) -> Option<usize> {
    let covering = table.rows.iter().enumerate().flat_map(|(index, row)| {
        let covers = row.places.iter().filter(|place| place.covers(file));
        covers.map(move |place| (place.depth(), place.is_shown_by(file), index))
    });
    covering.max().map(|(_, _, index)| index)
}

fn broken_rows(krate: &Crate, table: &PlaceTable) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, row) in table.rows.iter().enumerate() {
        let places = row.may_import.iter().filter_map(|permission| match permission {
            Permission::EverythingAbove => None,
            Permission::Place(place) => Some(place),
        });
        let allowed: Vec<&Place> = places.collect();
        let never = row.never.iter().filter(|never| !never.is_crate());
        for place in row.places.iter().chain(allowed.iter().copied()).chain(never) {
            if !krate.files.iter().any(|file| place.is_shown_by(&file.place)) {
                let what = format!("{} has no `{}`", krate.name, place.0);
                problems.push(row.row.problem(what));
            }
        }
        // So the order of the rows is an order of the crate: no circle of folders passes it.
        for place in allowed {
            let covered = krate.files.iter().filter(|file| place.covers(&file.place));
            let mut rows = covered.filter_map(|file| row_of(table, &file.place));
            if rows.any(|row| row >= index) {
                let what = format!("`{}` does not stand above this row", place.0);
                problems.push(row.row.problem(what));
            }
        }
    }
    problems
}

fn refused(krate: &Crate, row: &PlaceRow, from: usize, line: usize, what: &str) -> Problem {
    let places: Vec<&str> = row.places.iter().map(|place| place.0.as_str()).collect();
    let (places, allowed, rule) = (places.join(", "), &row.may_import_text, row.row.line + 1);
    let what = format!("imports {what}, but {places} may import: {allowed} ({PAGE}:{rule})");
    Problem::in_line(&krate.files[from].path, line, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::imports::tables::Tables;
    use crate::tidy::source::{Source, source};

    const FILES: [(&str, &str); 7] = [
        ("lib.rs", "mod types; mod time; mod machine; mod api; pub use api::Api;"),
        ("types.rs", "pub struct Name;"),
        ("time/mod.rs", "pub mod instant; pub struct Clock;"),
        ("time/instant.rs", "pub struct Instant;"),
        ("machine/mod.rs", "pub mod lease;"),
        ("machine/lease.rs", "use crate::time::instant::Instant;\nuse crate::types::Name;"),
        ("api.rs", "use crate::machine::lease;\npub struct Api;"),
    ];

    fn found(rows: &[&str], more: &[(&str, &str)]) -> Vec<String> {
        let head =
            "## Who may import whom\n### Inside `x`\n| folder | is | may import |\n|-|-|-|\n";
        let page = source(PAGE, &(head.to_owned() + &rows.join("\n")));
        let files = FILES.iter().filter(|(old, _)| !more.iter().any(|(new, _)| old == new));
        let files: Vec<Source> = files
            .chain(more)
            .map(|(place, text)| source(&format!("crates/x/src/{place}"), text))
            .collect();
        let krate = Crate::read("x", "crates/x", &files).unwrap();
        let (tables, _) = Tables::read(&[page]);
        problems(&krate, &tables.places[0]).iter().map(ToString::to_string).collect()
    }

    const ROWS: [&str; 5] = [
        "| `types.rs` | | nothing |",
        "| `time/` | | `types.rs` |",
        "| `machine/` | | `types.rs`, `time/instant.rs`; never `tokio` |",
        "| `api.rs` | | everything above |",
        "| `lib.rs` | | everything above |",
    ];

    #[test]
    fn imports_that_the_table_allows_are_fine() {
        assert!(found(&ROWS, &[]).is_empty(), "{:#?}", found(&ROWS, &[]));
    }

    #[test]
    fn import_that_no_row_allows_is_found_with_its_line_and_its_rule() {
        let text = "mod api;\nfn f() { crate::api::Api; }\nuse crate::time::{\n    Clock,\n};";
        let expected = [
            "crates/x/src/machine/lease.rs:2: imports api.rs, but machine/ may import: \
             `types.rs`, `time/instant.rs`; never `tokio` (docs/architecture.md:7)",
            "crates/x/src/machine/lease.rs:4: imports time/mod.rs, but machine/ may import: \
             `types.rs`, `time/instant.rs`; never `tokio` (docs/architecture.md:7)",
        ];
        assert_eq!(found(&ROWS, &[("machine/lease.rs", text)]), expected);
    }

    #[test]
    fn crate_that_a_row_never_imports_is_found() {
        let found = found(&ROWS, &[("machine/lease.rs", "fn f() { tokio::spawn(g()); }")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/x/src/machine/lease.rs:1: imports tokio,"));
    }

    #[test]
    fn place_that_a_row_never_imports_is_left_out_of_everything_above() {
        let mut rows = ROWS;
        rows[4] = "| `lib.rs` | | everything above; never `api.rs` |";
        let found = found(&rows, &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/x/src/lib.rs:1: imports api.rs,"), "{found:?}");
    }

    #[test]
    fn row_of_the_narrowest_place_counts() {
        let mut rows = ROWS.to_vec();
        rows.insert(1, "| `time/instant.rs` | | nothing |");
        let text = "use crate::types::Name; pub struct Instant;";
        let found = found(&rows, &[("time/instant.rs", text)]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("time/instant.rs may import: nothing"), "{found:?}");
    }

    #[test]
    fn row_without_its_folder_and_file_without_a_row_are_found() {
        let expected = [
            "docs/architecture.md:9: x has no `lib/`",
            "crates/x/src/lib.rs: no row of the table of x in docs/architecture.md covers it",
        ];
        let mut rows = ROWS;
        rows[4] = "| `lib/` | | everything above |";
        // `lib/` covers `lib.rs` as the file of its module, if there is such a folder.
        assert_eq!(found(&rows, &[])[..1], expected[..1]);
        assert_eq!(found(&ROWS[..4], &[]), expected[1..]);
    }

    #[test]
    fn row_that_allows_what_stands_below_it_is_found() {
        let mut rows = ROWS;
        rows[1] = "| `time/` | | `machine/` |";
        assert_eq!(
            found(&rows, &[]),
            ["docs/architecture.md:6: `machine/` does not stand above this row"]
        );
    }
}

//! Checks of what is logged: all of it through `event!`, and all of it in the guide's table.

use std::collections::BTreeMap;

use super::source::{Problem, Source};

/// How the table of events begins, on one of the pages.
const TABLE: &str = "| event | level |";
/// The macro itself.
const MACRO: &str = "crates/lock-core/src/backend/event.rs";
/// The crates that log.
const CRATES: [&str; 5] = ["lock-core", "lock-redis", "lock-dapr", "lock-quorum", "distlock"];
const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
/// Macros of `tracing` that log without a target, an event or a backend.
const BARE: [&str; 6] = ["error!(", "warn!(", "info!(", "debug!(", "trace!(", "tracing::event!("];

/// An event that is logged somewhere.
#[derive(Debug, PartialEq, Eq)]
struct Logged<'a> {
    name: &'a str,
    /// None where a macro logs it at one of several levels.
    level: Option<&'a str>,
    line: usize,
}

pub(super) fn problems(files: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut events: BTreeMap<&str, Vec<(&str, Logged<'_>)>> = BTreeMap::new();
    for file in files.iter().filter(|file| logs(&file.path)) {
        problems.extend(bare(file));
        for logged in logged(&file.text) {
            events.entry(logged.name).or_default().push((&file.path, logged));
        }
    }
    let has_table = |file: &&Source| {
        file.path.starts_with("docs/") && file.text.lines().any(|line| line.starts_with(TABLE))
    };
    let Some(page) = files.iter().find(has_table) else {
        problems.push(Problem::in_file("docs", "no page has the table of events"));
        return problems;
    };
    let rows = rows(&page.text);
    for (name, places) in &events {
        let row = rows.iter().find(|row| row.name == *name);
        for (path, logged) in places {
            let what = match (row, logged.level) {
                (None, _) => format!("the event `{name}` is not in the table of {}", page.path),
                (Some(row), Some(level)) if !row.levels.contains(level) => {
                    let (levels, page) = (row.levels, &page.path);
                    format!("the event `{name}` is {level} here, and {levels} in {page}")
                }
                _ => continue,
            };
            problems.push(Problem::in_line(path, logged.line, what));
        }
    }
    for row in rows.iter().filter(|row| !events.contains_key(row.name)) {
        let what = format!("the event `{}` is logged nowhere", row.name);
        problems.push(Problem::in_line(&page.path, row.line, what));
    }
    problems
}

fn logs(path: &str) -> bool {
    path.ends_with(".rs")
        && path != MACRO
        && CRATES.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")))
}

fn bare(file: &Source) -> impl Iterator<Item = Problem> {
    let code = |line: &str| !line.trim_start().starts_with("//");
    let lines = file.text.lines().enumerate().filter(move |(_, line)| code(line));
    let bare = lines.filter(|(_, line)| {
        BARE.iter().any(|bare| {
            // `debug!(` is not `my_debug!(`.
            let is_word =
                |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            line.match_indices(bare).any(|(at, _)| is_word(at))
        })
    });
    bare.map(|(line, _)| {
        let what =
            "logs by itself: use `event!` of lock-core, which sets target, event and backend";
        Problem::in_line(&file.path, line, what)
    })
}

/// The events that a file logs.
fn logged(text: &str) -> Vec<Logged<'_>> {
    let mut found = Vec::new();
    for (at, begin) in text.match_indices("event!(") {
        let arguments = text[at + begin.len()..].trim_start();
        let Some((level, rest)) = arguments.split_once(',') else { continue };
        let level = level.trim();
        let is_level = LEVELS.contains(&level) || level == "$level";
        let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
        if let (true, Some(name)) = (is_level, name) {
            let line = text[..at].matches('\n').count();
            found.push(Logged { name, level: LEVELS.contains(&level).then_some(level), line });
        }
    }
    found
}

struct Row<'a> {
    name: &'a str,
    levels: &'a str,
    line: usize,
}

/// The rows of the table of events.
fn rows(page: &str) -> Vec<Row<'_>> {
    let lines = page.lines().enumerate();
    let table = lines.skip_while(|(_, line)| !line.starts_with(TABLE)).skip(2);
    let table = table.take_while(|(_, line)| line.starts_with('|'));
    table
        .filter_map(|(line, row)| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let (name, levels) = (cells.next()?.trim_matches('`'), cells.next()?);
            Some(Row { name, levels, line })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    const CODE: &str = "crates/lock-redis/src/wire/link.rs";
    const GUIDE: &str = "docs/guide.md";
    const EVENTS: &str = "| event | level | what |\n|---|---|---|\n| `lost` | WARN, DEBUG | it |\n";

    fn found(code: &str) -> Vec<String> {
        let files = [source(CODE, code), source(GUIDE, EVENTS)];
        problems(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_event_of_the_table_is_fine_at_its_levels() {
        let code = "event!(WARN, \"lost\", \"redis\");\nevent!(\n    $level,\n    \"lost\",\n);\n\
                    // Never info!(…).\nmy_debug!(1);\n";
        assert!(found(code).is_empty(), "{:?}", found(code));
        let code = "\nevent!(INFO, \"lost\", \"redis\");";
        let problem =
            format!("{CODE}:2: the event `lost` is INFO here, and WARN, DEBUG in {GUIDE}");
        assert_eq!(found(code), [problem]);
    }

    #[test]
    fn code_and_table_name_the_same_events() {
        assert_eq!(
            found("event!(DEBUG, \"found\", \"redis\");"),
            [
                format!("{CODE}:1: the event `found` is not in the table of {GUIDE}"),
                format!("{GUIDE}:3: the event `lost` is logged nowhere"),
            ]
        );
    }

    #[test]
    fn whoever_logs_without_target_and_event_is_found() {
        for bare in ["tracing::warn!(\"x\");", "debug!(\"x\");", "    tracing::event!(x);"] {
            let code = format!("event!(WARN, \"lost\", \"redis\");\n{bare}");
            let problems = found(&code);
            assert!(
                problems.len() == 1 && problems[0].contains(":2: logs by itself"),
                "{problems:?}"
            );
        }
    }
}

//! Checks of the manifests of the workspace's members.

use super::source::{Problem, Source};

/// Lints and versions are said once, in the workspace's manifest.
pub(super) fn problems(file: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut section = String::new();
    let mut inherits_lints = false;
    for (index, line) in file.text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            continue;
        }
        let inherits = line.replace(' ', "").contains("workspace=true");
        inherits_lints |= section == "lints" && inherits;
        if names_version(&section, line) {
            let what =
                "a version: say it in `[workspace.dependencies]`, and `workspace = true` here";
            problems.push(Problem::in_line(&file.path, index, what));
        }
    }
    if !inherits_lints {
        problems.push(Problem::in_file(&file.path, "has no `[lints] workspace = true`"));
    }
    problems
}

/// Whether the line gives a dependency something else than what the workspace says.
fn names_version(section: &str, line: &str) -> bool {
    let Some((key, value)) = line.split_once('=') else { return false };
    let (key, value) = (key.trim(), value.trim());
    if section.ends_with("dependencies") {
        // `a = "1"`, `a = { version = "1" }`, `a = { path = ".." }`; `a.workspace = true` is fine.
        let inherits = value.replace(' ', "").contains("workspace=true");
        !inherits && !key.contains('.')
    } else {
        // `[dependencies.a]` and then `version = "1"`.
        section.contains("dependencies.") && matches!(key, "version" | "path" | "git")
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        problems(&source("crates/a/Cargo.toml", text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn inherited_lints_and_versions_are_fine() {
        let text = "[package]\nversion = \"1\"\n\n[lints]\nworkspace = true\n\n[dependencies]\n\
                    a.workspace = true\nb = { workspace = true, optional = true }  # Why.\n\n\
                    [features]\nc = [\"dep:b\"]\n";
        assert!(found(text).is_empty(), "{:?}", found(text));
    }

    #[test]
    fn missing_lints_are_found() {
        assert_eq!(
            found("[package]\n"),
            ["crates/a/Cargo.toml: has no `[lints] workspace = true`"]
        );
    }

    #[test]
    fn own_versions_are_found_in_every_form() {
        for text in [
            "[dependencies]\na = \"1\"",
            "[dev-dependencies]\na = { version = \"1\" }",
            "[build-dependencies]\na = { path = \"../a\" }",
            "[target.'cfg(unix)'.dependencies]\na = \"1\"",
            "[dependencies.a]\nversion = \"1\"",
        ] {
            let text = format!("[lints]\nworkspace = true\n{text}\n");
            assert_eq!(found(&text).len(), 1, "{text}");
        }
    }
}

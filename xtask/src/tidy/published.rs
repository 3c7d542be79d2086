//! The packages that are published have what a registry and its readers expect.

use super::source::{Problem, Source};

/// What each package has beside its manifest; a link to the file at the top of the repository will do.
const FILES: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// What each manifest says.
const KEYS: [&str; 7] = [
    "description",
    "license",
    "documentation",
    "keywords",
    "categories",
    "rust-version",
    "edition",
];
/// What tells docs.rs to build the pages with all features, and to mark what needs one.
const DOCS_RS: &str = "[package.metadata.docs.rs]\nall-features = true\n";
const FEATURE_BADGES: &str = "#![cfg_attr(docsrs, feature(doc_cfg))]";

pub(super) fn problems(files: &[Source]) -> Vec<Problem> {
    let manifests = files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    let published = manifests.filter(|file| {
        file.text.contains("[package]\n") && !file.text.contains("\npublish = false\n")
    });
    published.flat_map(|manifest| missing(manifest, files)).collect()
}

fn missing(manifest: &Source, files: &[Source]) -> Vec<Problem> {
    let directory = manifest.path.trim_end_matches("Cargo.toml");
    let file =
        |name: &str| files.iter().find(|file| file.path.strip_prefix(directory) == Some(name));
    let mut missing: Vec<String> = Vec::new();
    for name in FILES.iter().filter(|name| file(name).is_none()) {
        missing.push(format!("`{name}` beside it"));
    }
    let says = |key: &str| {
        manifest
            .text
            .lines()
            .any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '.'])))
    };
    for key in KEYS.iter().filter(|key| !says(key)) {
        missing.push(format!("`{key}`"));
    }
    if let Some(library) = file("src/lib.rs") {
        if !manifest.text.contains(DOCS_RS) {
            missing.push("`[package.metadata.docs.rs]` with all features".to_owned());
        }
        if !library.text.contains(FEATURE_BADGES) {
            missing.push(format!("`{FEATURE_BADGES}` in its `lib.rs`"));
        }
    }
    let problem = |what| Problem::in_file(&manifest.path, format!("is published without {what}"));
    missing.into_iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::source;
    use super::*;

    const MANIFEST: &str = "[package]\ndescription = \"a\"\nlicense.workspace = true\n\
                            documentation = \"a\"\nkeywords.workspace = true\n\
                            categories.workspace = true\nrust-version.workspace = true\n\
                            edition.workspace = true\n\n[package.metadata.docs.rs]\nall-features = true\n";

    fn found(manifest: &str, library: &str, names: &[&str]) -> Vec<String> {
        let mut files =
            vec![source("crates/a/Cargo.toml", manifest), source("crates/a/src/lib.rs", library)];
        files.extend(names.iter().map(|name| source(&format!("crates/a/{name}"), "")));
        problems(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_package_with_all_of_it_is_fine() {
        assert_eq!(found(MANIFEST, FEATURE_BADGES, &FILES), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_published_needs_nothing() {
        assert!(found("[package]\nname = \"a\"\npublish = false\n", "", &[]).is_empty());
    }

    #[test]
    fn whatever_is_missing_is_found() {
        let problem = |what: &str| format!("crates/a/Cargo.toml: is published without {what}");
        assert_eq!(
            found(MANIFEST, FEATURE_BADGES, &FILES[1..]),
            [problem("`README.md` beside it")]
        );
        for key in KEYS {
            let manifest: String = MANIFEST
                .lines()
                .filter(|line| !line.starts_with(key))
                .map(|line| format!("{line}\n"))
                .collect();
            let expected = [problem(&format!("`{key}`"))];
            assert_eq!(found(&manifest, FEATURE_BADGES, &FILES), expected);
        }
        let manifest = MANIFEST.replace("all-features = true\n", "");
        let expected = [problem("`[package.metadata.docs.rs]` with all features")];
        assert_eq!(found(&manifest, FEATURE_BADGES, &FILES), expected);
        let expected = [problem(&format!("`{FEATURE_BADGES}` in its `lib.rs`"))];
        assert_eq!(found(MANIFEST, "//! A.\n", &FILES), expected);
    }
}

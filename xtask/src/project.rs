//! The workspace: where it is and what is in it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::exec;

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// What `cargo metadata` says about the workspace.
pub(crate) struct Project(Value);

impl Project {
    pub(crate) fn load() -> Result<Self, String> {
        let arguments = ["metadata", "--no-deps", "--format-version", "1"];
        let json = exec::output(exec::cargo().args(arguments))?;
        let value = serde_json::from_str(&json);
        value.map(Self).map_err(|error| format!("cargo metadata: {error}"))
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target_directory(&self) -> PathBuf {
        self.0["target_directory"].as_str().unwrap_or("target").into()
    }

    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.package(name).is_some()
    }

    /// The minimum supported Rust version that the package declares.
    pub(crate) fn rust_version(&self, package: &str) -> Option<&str> {
        self.package(package)?["rust_version"].as_str()
    }

    /// The package's features, `default` left out.
    pub(crate) fn features(&self, package: &str) -> Vec<&str> {
        let features = self.package(package).and_then(|package| package["features"].as_object());
        let names = features.into_iter().flat_map(|features| features.keys());
        names.map(String::as_str).filter(|name| *name != "default").collect()
    }

    /// The names of the package's programs.
    pub(crate) fn binaries(&self, package: &str) -> Vec<&str> {
        let targets = self.package(package).and_then(|package| package["targets"].as_array());
        let is_binary = |target: &&Value| {
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
        };
        let targets = targets.into_iter().flatten().filter(is_binary);
        targets.filter_map(|target| target["name"].as_str()).collect()
    }

    fn package(&self, name: &str) -> Option<&Value> {
        self.0["packages"].as_array()?.iter().find(|package| package["name"] == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project(serde_json::json!({ "packages": [{
            "name": "a",
            "rust_version": "1.88",
            "features": { "default": [], "redis": ["dep:redis"], "tls": [] },
            "targets": [{ "name": "a", "kind": ["lib"] }, { "name": "tool", "kind": ["bin"] }],
        }]}))
    }

    #[test]
    fn packages_are_found_by_name() {
        assert!(project().has_package("a") && !project().has_package("b"));
        assert_eq!(project().rust_version("a"), Some("1.88"));
        assert_eq!(project().rust_version("b"), None);
    }

    #[test]
    fn features_leave_out_the_default() {
        assert_eq!(project().features("a"), ["redis", "tls"]);
        assert!(project().features("b").is_empty());
    }

    #[test]
    fn binaries_leave_out_libraries() {
        assert_eq!(project().binaries("a"), ["tool"]);
    }
}

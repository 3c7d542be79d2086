//! What is in the workspace.

use std::path::PathBuf;

use serde_json::Value;

use crate::exec;

/// What users depend on.
pub(crate) const FACADE: &str = "distlock";
/// What every feature is turned on for. Not this program: its one feature brings a client of container engines, which
/// `cargo xtask integration` alone needs. Not the benches, and not the programs beside other libraries: the features
/// that those need would leak into all else.
pub(crate) const PRODUCT: [&str; 8] = [
    "--workspace",
    "--exclude",
    "xtask",
    "--exclude",
    "lock-bench",
    "--exclude",
    "lock-examples",
    "--all-features",
];

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

    /// The manifests of all members.
    pub(crate) fn manifests(&self) -> Vec<PathBuf> {
        let packages = self.0["packages"].as_array().into_iter().flatten();
        packages
            .filter_map(|package| package["manifest_path"].as_str())
            .map(PathBuf::from)
            .collect()
    }

    /// The names of the members that are published.
    pub(crate) fn published(&self) -> Vec<&str> {
        let packages = self.0["packages"].as_array().into_iter().flatten();
        // An empty list of registries is `publish = false`; null is any registry.
        let published = packages.filter(|package| package["publish"].is_null());
        published.filter_map(|package| package["name"].as_str()).collect()
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
            "manifest_path": "/here/a/Cargo.toml",
            "features": { "default": [], "redis": ["dep:redis"], "tls": [] },
        }, {
            "name": "tests",
            "publish": [],
        }]}))
    }

    #[test]
    fn what_is_not_published_says_so() {
        assert_eq!(project().published(), ["a"]);
    }

    #[test]
    fn packages_are_found_by_name() {
        assert_eq!(project().rust_version("a"), Some("1.88"));
        assert_eq!(project().rust_version("b"), None);
    }

    #[test]
    fn manifests_are_those_of_all_members() {
        assert_eq!(project().manifests(), [PathBuf::from("/here/a/Cargo.toml")]);
    }

    #[test]
    fn features_leave_out_the_default() {
        assert_eq!(project().features("a"), ["redis", "tls"]);
        assert!(project().features("b").is_empty());
    }
}

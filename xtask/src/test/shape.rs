//! What may not be in the dependency trees.

use std::collections::BTreeSet;
use std::fs;

use crate::report::Finding;
use crate::{exec, paths};

/// A package, the features to look at it with, and what its tree must not contain.
struct Rule {
    package: &'static str,
    features: &'static str,
    absent: &'static [&'static str],
    why: &'static str,
}

const NETWORK: [&str; 9] =
    ["redis", "tonic", "hyper", "h2", "reqwest", "rustls", "native-tls", "openssl", "quinn"];

const RULES: [Rule; 9] = [
    Rule {
        package: "distlock",
        features: "--no-default-features",
        absent: &["redis", "tonic", "lock-redis", "lock-dapr", "lock-quorum"],
        why: "without features the facade brings the memory backend only",
    },
    Rule {
        package: "distlock",
        features: "--features=redis",
        absent: &["tonic", "dapr", "lock-dapr", "lock-quorum"],
        why: "only the feature `dapr` brings gRPC",
    },
    Rule {
        package: "distlock",
        features: "--features=dapr",
        absent: &["redis", "lock-redis"],
        why: "only the feature `redis` brings Redis",
    },
    Rule {
        package: "distlock",
        features: "--features=quorum",
        absent: &["redis", "tonic", "lock-redis", "lock-dapr"],
        why: "a quorum is of the stores that other features bring",
    },
    Rule {
        package: "distlock",
        features: "--features=tls",
        absent: &["redis", "tonic", "lock-redis", "lock-dapr", "rustls"],
        why: "`tls` only adds to the stores that other features bring",
    },
    Rule {
        package: "distlock",
        features: "--features=dapr,tls",
        absent: &["redis", "lock-redis"],
        why: "only the feature `redis` brings Redis",
    },
    Rule {
        package: "distlock",
        features: "--features=redis,dapr,quorum,tls,serde,testing",
        absent: &["metrics"],
        why: "only the feature `metrics` brings the facade of that name",
    },
    Rule {
        package: "distlock",
        features: "--all-features",
        absent: &["clap", "nix", "lock-cli"],
        why: "the command line's crates are for the command line",
    },
    Rule {
        package: "lock-core",
        features: "--all-features",
        absent: &NETWORK,
        why: "the core knows no network",
    },
];

/// Checks every rule, and what the README says of the trees' sizes.
pub(super) fn finding() -> Finding {
    RULES.iter().map(check).fold(figures(), Finding::and)
}

/// The README says how many crates of others there are without features, with `redis`, and with `dapr`.
fn figures() -> Finding {
    let count = |features| tree("distlock", features).map(|tree| foreign(&tree));
    let (none, redis, dapr) =
        match (count("--no-default-features"), count("--features=redis"), count("--features=dapr"))
        {
            (Ok(none), Ok(redis), Ok(dapr)) => (none, redis, dapr),
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
                return Finding::failed("README", why);
            }
        };
    let expected = format!("it has {none} crates, {redis} with `redis` and {dapr} with `dapr`.");
    match fs::read_to_string(paths::root().join("README.md")) {
        Ok(readme) if readme.contains(&expected) => Finding::passed("README"),
        Ok(_) => Finding::failed("README", format!("README.md does not say: {expected}")),
        Err(error) => Finding::failed("README", format!("cannot read README.md: {error}")),
    }
}

fn check(rule: &Rule) -> Finding {
    let Rule { package, features, absent, why } = rule;
    match tree(package, features) {
        Err(error) => Finding::failed(*package, error),
        Ok(tree) => match present(&tree, absent).as_slice() {
            [] => Finding::passed(*package),
            found => {
                let found = found.join(", ");
                Finding::failed(*package, format!("{package} ({features}) has {found}, but {why}"))
            }
        },
    }
}

fn tree(package: &str, features: &str) -> Result<String, String> {
    let arguments = ["tree", "--package", package, features, "--edges", "normal"];
    let format = ["--prefix", "none", "--format", "{p}"];
    exec::output(exec::cargo().args(arguments).args(format))
}

/// How many packages of the tree are not ours; those that are ours have a path.
fn foreign(tree: &str) -> usize {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.filter(|line| !line.contains(" (/")).collect::<BTreeSet<_>>().len()
}

/// Which of the packages are in the tree; a line of it is `NAME vVERSION …`.
fn present<'a>(tree: &str, names: &[&'a str]) -> Vec<&'a str> {
    let in_tree = |name: &&str| tree.lines().any(|line| line.split(' ').next() == Some(*name));
    names.iter().copied().filter(in_tree).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_others_are_counted_once() {
        let tree = "distlock v0.1.0 (/here)\nh2 v0.4.0\ntokio v1.54.0\nh2 v0.4.0 (*)\nh2 v0.3.0\n";
        assert_eq!(foreign(tree), 3);
    }

    #[test]
    fn whole_package_names_are_compared() {
        let tree = "distlock v0.1.0 (/here)\nredis-protocol v1.0.0\ntokio v1.54.0\nh2 v0.4.0 (*)\n";
        assert_eq!(present(tree, &["redis", "h2", "tonic"]), ["h2"]);
    }
}

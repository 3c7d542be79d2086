//! Environment variables that begin like ours and belong to others.

use std::ffi::OsStr;

/// What the variables of this library's own tests begin with.
const OF_TESTS: &str = "DISTLOCK_TEST_";

/// What the command line tells the command that it runs, which may use locks, too.
const TOLD_TO_COMMANDS: [&str; 2] = ["DISTLOCK_NAME", "DISTLOCK_FENCING_TOKEN"];

/// Whether somebody else sets this variable, which begins with `DISTLOCK_` and is none of ours.
pub(super) fn belongs_to_others(name: &str, value: &OsStr) -> bool {
    name.starts_with(OF_TESTS) || TOLD_TO_COMMANDS.contains(&name) || is_of_kubernetes(name, value)
}

/// Whether Kubernetes sets it, or Docker for a link, for a service whose name begins with
/// `distlock`: `DISTLOCK_SERVICE_HOST`, `DISTLOCK_REDIS_PORT_6379_TCP_ADDR`.
fn is_of_kubernetes(name: &str, value: &OsStr) -> bool {
    let is_address = |name: &str| {
        let Some((_, port)) = name.rsplit_once("_PORT_") else { return false };
        let mut parts = port.split('_');
        let is_port = parts.next().is_some_and(|port| port.parse::<u16>().is_ok());
        is_port && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    let is_url = || value.to_str().is_some_and(|value| value.contains("://"));
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || is_address(name)
        || (name.ends_with("_PORT") && is_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_others_are_recognised() {
        for (name, value) in [
            ("DISTLOCK_TEST_SERVERS", "x"),
            ("DISTLOCK_NAME", "report"),
            ("DISTLOCK_FENCING_TOKEN", "7"),
            ("DISTLOCK_SERVICE_HOST", "10.0.0.1"),
            ("DISTLOCK_SERVICE_PORT", "6379"),
            ("DISTLOCK_SERVICE_PORT_REDIS", "6379"),
            ("DISTLOCK_PORT", "tcp://10.0.0.1:6379"),
            ("DISTLOCK_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
            ("DISTLOCK_PORT_6379_TCP_ADDR", "10.0.0.1"),
            ("DISTLOCK_REDIS_SERVICE_HOST", "10.0.0.1"),
            ("DISTLOCK_REDIS_PORT", "tcp://10.0.0.1:6379"),
            ("DISTLOCK_REDIS_PORT_6379_TCP_PROTO", "tcp"),
        ] {
            assert!(belongs_to_others(name, value.as_ref()), "{name}");
        }
        for (name, value) in [
            ("DISTLOCK_FOO", "x"),
            ("DISTLOCK_TEST", "x"),
            ("DISTLOCK_PORT", "6379"),
            ("DISTLOCK_PORT_REDIS_TCP", "6379"),
            ("DISTLOCK_SERVICE", "x"),
            ("DISTLOCK_NAMESPCE", "tcp://x"),
        ] {
            assert!(!belongs_to_others(name, value.as_ref()), "{name}");
        }
    }
}

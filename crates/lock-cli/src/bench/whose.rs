//! Whether a store is on this machine, so that a load harms nobody who has not asked for it.

use std::net::IpAddr;

/// Whether the address of a store names this machine and nothing else.
pub(super) fn is_own(address: &str) -> bool {
    !address.is_empty() && address.split_whitespace().all(is_own_one)
}

fn is_own_one(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.starts_with("memory:") || address.starts_with("unix:");
    };
    if scheme == "memory" || scheme == "unix" || scheme.ends_with("+unix") {
        return true;
    }
    // Sentinels, the nodes of a cluster, and a sidecar may lead anywhere.
    if scheme.contains("sentinel") || scheme.contains("cluster") || scheme == "dapr" {
        return false;
    }
    let hosts = rest.split(['/', '?']).next().unwrap_or_default();
    !hosts.is_empty() && hosts.split(',').all(|host| is_loopback(host_of(host)))
}

/// The host without user, password and port.
fn host_of(text: &str) -> &str {
    let text = text.rsplit('@').next().unwrap_or(text);
    if let Some(inside) = text.strip_prefix('[') {
        return inside.split(']').next().unwrap_or(inside);
    }
    text.split(':').next().unwrap_or(text)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_of_this_machine_is_its_own() {
        for own in [
            "memory:",
            "memory://",
            "redis://127.0.0.1:6379",
            "rediss://localhost/1",
            "redis://[::1]:6379/0?ttl=5s",
            "redis+unix:///run/redis.sock",
            "unix:///run/redis.sock",
            "redis+quorum://127.0.0.1:1,127.0.0.1:2,localhost:3",
            "redis://127.0.0.1:1 redis://127.0.0.1:2",
        ] {
            assert!(is_own(own), "{own}");
        }
        for shared in [
            "",
            "redis://",
            "redis://redis.internal:6379",
            "redis://10.0.0.1",
            "redis://localhost.example.com",
            "redis+quorum://127.0.0.1:1,redis-b:2",
            "redis+sentinel://127.0.0.1:26379/mymaster",
            "redis+cluster://127.0.0.1:7000",
            "redis://127.0.0.1:1 redis://b",
            "dapr://lockstore",
            "redis://127.0.0.1@evil",
        ] {
            assert!(!is_own(shared), "{shared}");
        }
    }
}

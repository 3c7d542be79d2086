//! Keeping idle connections alive.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;

/// An idle connection says so often that it lives, and this often if nothing comes back: before a
/// NAT or a balancer forgets it, which some do after 30 s.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));

/// Keeps idle connections known to whatever stands on the way and forgets those that say nothing.
pub(crate) fn kept_alive(settings: TcpSettings) -> TcpSettings {
    if settings.keepalive().is_some() {
        return settings;
    }
    let (idle, interval) = KEEPALIVE;
    settings.set_keepalive(TcpKeepalive::new().with_time(idle).with_interval(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_kept_alive_every_15_seconds_unless_its_client_says_otherwise() {
        let shown = |settings: TcpSettings| format!("{:?}", settings.keepalive());
        let ours = TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5));
        assert_eq!(shown(kept_alive(TcpSettings::default())), format!("{:?}", Some(&ours)));
        let theirs = TcpSettings::default().set_keepalive(ours.with_time(Duration::from_secs(300)));
        assert_eq!(shown(kept_alive(theirs.clone())), shown(theirs));
    }
}

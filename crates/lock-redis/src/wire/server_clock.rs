//! What time it is on the server, as far as one connection can tell: a pair of instants.

use lock_core::Instant;

/// A reply's arrival by our clock, and the server's time that the reply carried.
///
/// The server read its clock before we read ours, so at `received` the server's clock showed
/// `server_micros` or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerClock {
    received: Instant,
    server_micros: u64,
}

impl ServerClock {
    pub(crate) const fn new(received: Instant, server_micros: u64) -> Self {
        Self { received, server_micros }
    }

    /// The server's time, in µs, at `deadline` or a little before: never after, or a request
    /// could still run when its sender no longer expects it to.
    ///
    /// Clocks that differ in speed by up to 0.1 % are allowed for, ten times what machines do.
    pub(crate) fn not_after(self, deadline: Instant) -> u64 {
        let micros = |nanos: u64| nanos / 1_000;
        let (deadline, received) = (deadline.as_nanos(), self.received.as_nanos());
        if deadline < received {
            // Rounded up, so that the result is rounded down.
            let before = (received - deadline).div_ceil(1_000);
            return self.server_micros.saturating_sub(before);
        }
        let after = micros(deadline - received);
        self.server_micros.saturating_add(after - after.div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: u64 = 1_790_000_000_000_000;

    #[test]
    fn the_image_of_a_deadline_is_what_the_server_shows_less_a_thousandth() {
        let clock = ServerClock::new(Instant::from_nanos(5_000_000_000), SERVER);
        assert_eq!(clock.not_after(Instant::from_nanos(5_000_000_000)), SERVER);
        assert_eq!(clock.not_after(Instant::from_nanos(7_000_000_000)), SERVER + 1_998_000);
        assert_eq!(clock.not_after(Instant::from_nanos(4_000_000_500)), SERVER - 1_000_000);
    }

    proptest! {
        #[test]
        fn the_image_is_never_late_while_the_clocks_differ_by_less_than_a_thousandth(
            received in 0..1_u64 << 60,
            ahead in 0..1_u64 << 50,
            // How the server's clock runs, in parts per million of ours.
            rate in 999_000..=1_001_000_u64,
        ) {
            let clock = ServerClock::new(Instant::from_nanos(received), SERVER);
            let image = clock.not_after(Instant::from_nanos(received + ahead));
            let shown = u128::from(SERVER)
                + u128::from(ahead) * u128::from(rate) / 1_000_000_000;
            prop_assert!(u128::from(image) <= shown, "{image} > {shown}");
        }

        #[test]
        fn nothing_overflows(received: u64, server: u64, deadline: u64) {
            ServerClock::new(Instant::from_nanos(received), server)
                .not_after(Instant::from_nanos(deadline));
        }
    }
}

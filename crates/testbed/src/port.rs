//! Ports that no other test takes.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the range from which kernels take the ports of outgoing connections (32768 and up on
/// Linux). So a client that reconnects to a killed server can neither take its port nor connect to
/// itself, which the kernel allows within that range.
const FIRST: u16 = 12_000;
const COUNT: u16 = 10_000;

/// A free loopback port, reserved among all users of this type on this machine.
///
/// The reservation is a UDP socket on the port: a lock server uses TCP only, so the server can bind
/// the port while the reservation stands, and the kernel ends it with the process, however that
/// ends.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _reservation: UdpSocket,
}

impl ReservedPort {
    /// Finds and reserves a port that nobody listens on.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if all ports of the range are taken.
    pub fn reserve() -> io::Result<Self> {
        // `RandomState` is seeded anew for each use, which is all the randomness that is needed.
        let random = RandomState::new().hash_one(());
        let start = u16::try_from(random % u64::from(COUNT)).unwrap_or(0);
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            if let Some(port) = Self::try_number(number) {
                return Ok(port);
            }
        }
        let last = FIRST + COUNT - 1;
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("no free port on loopback between {FIRST} and {last}"),
        ))
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    fn try_number(number: u16) -> Option<Self> {
        let address = (Ipv4Addr::LOCALHOST, number);
        let reservation = UdpSocket::bind(address).ok()?;
        // Whoever does not know of reservations is seen here. The listener is closed at once.
        TcpListener::bind(address).ok()?;
        Some(Self { number, _reservation: reservation })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn reserved_port_is_not_given_twice() {
        let first = ReservedPort::reserve().unwrap();
        assert!(ReservedPort::try_number(first.number()).is_none());
    }

    #[test]
    fn port_in_use_is_not_given() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = listener.local_addr().unwrap().port();
        assert!(ReservedPort::try_number(number).is_none());
    }

    #[test]
    fn dropped_port_is_free_again() {
        let port = ReservedPort::reserve().unwrap();
        let number = port.number();
        drop(port);
        // A program that another test is just starting has a copy of the socket until it runs.
        let bound = Instant::now() + Duration::from_secs(20);
        while ReservedPort::try_number(number).is_none() {
            assert!(Instant::now() < bound, "port {number} stays taken");
            std::thread::yield_now();
        }
    }
}

//! How all keys are gone through: the pattern that they must match, and the place that was reached.

use std::fmt;

/// What matches the Redis keys of the locks whose keys begin with `prefix`, and nothing else.
pub(crate) fn pattern(key_prefix: &str, prefix: &str) -> String {
    let mut pattern = String::with_capacity(key_prefix.len() + prefix.len() + 1);
    for character in key_prefix.chars().chain(prefix.chars()) {
        if matches!(character, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

/// A place on the way through the keys of all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the servers, in their order.
    pub(crate) server: usize,
    /// What the server has given as the place among its keys.
    pub(crate) cursor: u64,
}

impl Place {
    pub(crate) const BEGIN: Self = Self { server: 0, cursor: 0 };

    /// Reads what its `Display` has written.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (server, cursor) = text.split_once(' ')?;
        Some(Self { server: server.parse().ok()?, cursor: cursor.parse().ok()? })
    }

    /// The place behind an answer with this cursor, if there are more keys at one of so many servers.
    pub(crate) fn next(self, cursor: u64, servers: usize) -> Option<Self> {
        if cursor != 0 {
            return Some(Self { cursor, ..self });
        }
        let server = self.server + 1;
        (server < servers).then_some(Self { server, cursor: 0 })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.server, self.cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_what_is_special_in_patterns_literally() {
        assert_eq!(pattern("lock:", ""), "lock:*");
        assert_eq!(pattern("", "a*b?[c]\\d"), "a\\*b\\?\\[c]\\\\d*");
    }

    #[test]
    fn the_servers_are_gone_through_one_after_the_other() {
        let place = Place::BEGIN.next(17, 2).unwrap();
        assert_eq!(place, Place { server: 0, cursor: 17 });
        assert_eq!(Place::read(&place.to_string()), Some(place));
        let second = place.next(0, 2).unwrap();
        assert_eq!(second, Place { server: 1, cursor: 0 });
        assert_eq!(second.next(0, 2), None);
        assert_eq!(Place::read("x 1").or(Place::read("1")), None);
    }
}

//! How all keys are gone through: the pattern that they must match, and how far that has come.
//!
//! What was gone through is written down by slots and servers: a slot that went to another server
//! meanwhile is gone through there again.

use std::fmt;
use std::ops::RangeInclusive;

use crate::wire::slot_set::push;

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

/// Some of the slots of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    server: Box<str>,
    /// In their order.
    slots: Vec<RangeInclusive<u16>>,
}

impl Part {
    fn new(server: &str, all: impl Iterator<Item = u16>) -> Self {
        let mut slots = Vec::new();
        all.for_each(|slot| push(&mut slots, slot));
        Self { server: server.into(), slots }
    }

    fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }

    /// Reads what its `Display` has written.
    fn read(text: &str) -> Option<Self> {
        let (server, slots) = text.rsplit_once('=')?;
        let range = |text: &str| {
            let (first, last) = text.split_once('-')?;
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        let slots = slots.split(',').map(range).collect::<Option<_>>()?;
        Some(Self { server: server.into(), slots })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.server)?;
        for (place, range) in self.slots.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{}-{}", range.start(), range.end())?;
        }
        Ok(())
    }
}

/// How far the way through the keys of all servers has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// What is gone through now.
    current: Option<Part>,
    /// What its server has given as the place among its keys, and what that server called itself
    /// then: another one, or one that was started again, has its keys in another order.
    cursor: u64,
    run: Box<str>,
    /// What was gone through.
    done: Vec<Part>,
}

impl Walk {
    /// Reads what its `Display` has written.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (cursor, run) = (words.next()?.parse().ok()?, words.next()?.into());
        let current = Some(Part::read(words.next()?)?);
        let done = words.map(Part::read).collect::<Option<_>>()?;
        Some(Self { current, cursor, run, done })
    }

    /// Which of these servers to go on at, given with their slots in order: where it was, if that one
    /// still has slots. None if all of them were gone through.
    pub(crate) fn turn<'a>(
        &mut self,
        servers: impl Iterator<Item = (&'a str, &'a [RangeInclusive<u16>])> + Clone,
    ) -> Option<usize> {
        if let Some(current) = &self.current {
            let mut all = servers.clone();
            if let Some(place) = all.position(|(server, _)| server == &*current.server) {
                return Some(place);
            }
        }
        self.current = None;
        for (place, (server, slots)) in servers.enumerate() {
            let here: Vec<&Part> = self.done.iter().filter(|it| &*it.server == server).collect();
            let all = slots.iter().cloned().flatten();
            let left = all.filter(|slot| !here.iter().any(|it| it.has(*slot)));
            let part = Part::new(server, left);
            if !part.slots.is_empty() {
                (self.current, self.cursor) = (Some(part), 0);
                return Some(place);
            }
        }
        None
    }

    /// The place among the keys of the server, which calls itself so now.
    pub(crate) fn cursor(&mut self, run: &str) -> u64 {
        if *self.run != *run {
            (self.cursor, self.run) = (0, run.into());
        }
        self.cursor
    }

    /// Whether a key of this slot is to be looked at where the walk is.
    pub(crate) fn has(&self, slot: u16) -> bool {
        self.current.as_ref().is_some_and(|part| part.has(slot))
    }

    /// The server has given this as the next place.
    pub(crate) fn went_to(&mut self, cursor: u64) {
        self.cursor = cursor;
        if cursor == 0 {
            self.done.extend(self.current.take());
        }
    }
}

/// One that has begun, and has not ended.
impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cursor, self.run)?;
        self.current.iter().chain(&self.done).try_for_each(|part| write!(f, " {part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Servers<'a> = &'a [(&'a str, &'a [u16])];

    fn turn(walk: &mut Walk, servers: Servers<'_>) -> Option<usize> {
        let ranges = |(server, slots): &(_, &[u16])| {
            let mut ranges = Vec::new();
            slots.iter().for_each(|slot| push(&mut ranges, *slot));
            (*server, ranges)
        };
        let servers: Vec<(&str, _)> = servers.iter().map(ranges).collect();
        walk.turn(servers.iter().map(|(server, slots)| (*server, &**slots)))
    }

    fn written(walk: &Walk) -> Walk {
        Walk::read(&walk.to_string()).unwrap()
    }

    #[test]
    fn a_pattern_takes_what_is_special_in_patterns_literally() {
        assert_eq!(pattern("lock:", ""), "lock:*");
        assert_eq!(pattern("", "a*b?[c]\\d"), "a\\*b\\?\\[c]\\\\d*");
    }

    #[test]
    fn the_servers_are_gone_through_one_after_the_other() {
        let servers: Servers<'_> = &[("h:1", &[0, 1, 2, 7]), ("[::1]:2", &[3, 4])];
        let mut walk = Walk::default();
        assert_eq!(turn(&mut walk, servers), Some(0));
        assert_eq!(walk.cursor("run"), 0);
        assert!(walk.has(1) && walk.has(7) && !walk.has(3));
        walk.went_to(17);
        assert_eq!(walk.to_string(), "17 run h:1=0-2,7-7");
        let mut walk = written(&walk);
        assert_eq!((turn(&mut walk, servers), walk.cursor("run")), (Some(0), 17));
        walk.went_to(0);
        assert_eq!((turn(&mut walk, servers), walk.cursor("other")), (Some(1), 0));
        let mut walk = written(&walk);
        assert!(walk.has(3) && !walk.has(1));
        assert_eq!(turn(&mut walk, servers), Some(1));
        walk.went_to(0);
        assert_eq!(turn(&mut walk, servers), None);
        assert!(
            ["x", "1", "1 r", "1 r h:1", "1 r h:1=", "1 r h=x-1"]
                .map(Walk::read)
                .iter()
                .all(Option::is_none)
        );
    }

    #[test]
    fn a_single_server_needs_no_name() {
        let all: Vec<u16> = (0..16_384).collect();
        let servers: Servers<'_> = &[("", &all)];
        let mut walk = Walk::default();
        assert_eq!((turn(&mut walk, servers), walk.cursor("")), (Some(0), 0));
        walk.went_to(5);
        assert_eq!(walk.to_string(), "5  =0-16383");
        assert_eq!(written(&walk), walk);
    }

    #[test]
    fn a_slot_that_went_to_another_server_is_gone_through_there() {
        let mut walk = Walk::default();
        turn(&mut walk, &[("a", &[1, 2]), ("b", &[3, 4])]);
        walk.went_to(0);
        // To one that was gone through, and away from there.
        let servers: Servers<'_> = &[("a", &[1, 3]), ("b", &[2, 4])];
        assert_eq!(turn(&mut walk, servers), Some(0));
        assert!(walk.has(3) && !walk.has(1));
        walk.went_to(0);
        assert_eq!(turn(&mut walk, servers), Some(1));
        assert!(walk.has(2) && walk.has(4));
        walk.went_to(0);
        assert_eq!(turn(&mut walk, servers), None);
    }

    #[test]
    fn a_server_that_was_replaced_or_started_again_is_gone_through_anew() {
        let mut walk = Walk::default();
        turn(&mut walk, &[("a", &[1, 2]), ("b", &[3])]);
        walk.cursor("run");
        walk.went_to(9);
        let mut restarted = written(&walk);
        assert_eq!(turn(&mut restarted, &[("a", &[1, 2]), ("b", &[3])]), Some(0));
        assert_eq!(restarted.cursor("another run"), 0);
        // Its replacement is in another place.
        let servers: Servers<'_> = &[("b", &[3]), ("c", &[1, 2])];
        assert_eq!((turn(&mut walk, servers), walk.cursor("of b")), (Some(0), 0));
        walk.went_to(0);
        assert_eq!(turn(&mut walk, servers), Some(1));
        assert!(walk.has(1));
    }
}

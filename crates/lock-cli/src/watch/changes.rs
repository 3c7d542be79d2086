//! A line for each change, where there is no terminal.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use distlock::time_text::utc;
use distlock::{HolderId, LockStatus};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::picture::Locks;
use crate::output::Span;

/// What was told so far.
#[derive(Default)]
pub(super) struct Lines {
    /// What is known of each lock that is held.
    known: BTreeMap<String, Known>,
    has_begun: bool,
    is_failing: bool,
    is_unread: bool,
}

/// What makes a line if it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    holder: Option<HolderId>,
    has_released: bool,
    waiters: Option<u64>,
}

impl Known {
    fn of(status: &LockStatus) -> Self {
        let holder = status.holder.as_ref();
        Self {
            holder: holder.and_then(|holder| holder.id.clone()),
            has_released: holder.is_some_and(|holder| holder.has_released),
            waiters: status.waiters,
        }
    }
}

impl Lines {
    /// Prints what has changed.
    pub(super) fn show(&mut self, locks: &Locks) -> io::Result<()> {
        self.is_failing = false;
        let now = utc(SystemTime::now());
        let text: String =
            self.changes(locks).into_iter().map(|change| format!("{now} {change}\n")).collect();
        let mut output = io::stdout().lock();
        // Where nothing changes nothing is written, and nobody would be missed.
        self.is_unread = is_unread(&output);
        match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_unread = true;
                Ok(())
            }
            written => written,
        }
    }

    /// The store does not answer, which is told once.
    pub(super) fn fail(&mut self, tell: impl FnOnce()) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tell();
        }
    }

    /// Whether whoever read the lines has gone.
    pub(super) fn are_unread(&self) -> bool {
        self.is_unread
    }

    fn changes(&mut self, locks: &Locks) -> Vec<String> {
        let mut changes = Vec::new();
        let mut known = BTreeMap::new();
        for (name, status) in locks {
            let before = self.known.remove(name);
            let shown = name.escape_debug();
            let Some(status) = status else {
                if before.is_some() || !self.has_begun {
                    changes.push(format!("{shown} is free"));
                }
                continue;
            };
            let now = Known::of(status);
            let is_same_holder = before.as_ref().is_some_and(|before| {
                before.holder == now.holder && before.has_released == now.has_released
            });
            if !is_same_holder {
                changes.push(format!("{shown} {}", what(status)));
            } else if before.as_ref() != Some(&now) {
                changes.push(format!("{shown} has {}", waiting(status)));
            }
            known.insert(name.clone(), now);
        }
        // What a list does not name any more.
        let gone = std::mem::replace(&mut self.known, known);
        changes.extend(gone.keys().map(|name| format!("{} is free", name.escape_debug())));
        self.has_begun = true;
        changes
    }
}

/// Whether this is a pipe whose reader has gone.
fn is_unread(output: &io::StdoutLock<'_>) -> bool {
    let mut asked = [PollFd::new(output, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().contains(PollFlags::ERR)
}

fn what(status: &LockStatus) -> String {
    let waiting = waiting(status);
    match &status.holder {
        Some(holder) if holder.has_released => {
            let rest = status.remaining.map(|left| format!(" for {}", Span(left)));
            format!("is released and stays taken{}, {waiting}", rest.unwrap_or_default())
        }
        Some(holder) => format!("is held by {}, {waiting}", holder.who),
        None => format!("is held, {waiting}"),
    }
}

fn waiting(status: &LockStatus) -> String {
    match status.waiters {
        Some(waiters) => format!("{waiters} waiting"),
        None => "an unknown number waiting".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use distlock::{Holder, Who};

    use super::*;

    fn held(value: &str, waiters: u64) -> LockStatus {
        let holder = Holder::new(Who::Other(value.to_owned()));
        let holder = holder.with_id(HolderId::of_value(value.as_bytes()));
        LockStatus::new(Some(Duration::from_secs(9))).with_holder(holder).with_waiters(waiters)
    }

    #[test]
    fn what_has_changed_makes_a_line_and_nothing_else_does() {
        let mut lines = Lines::default();
        let mut of = |locks: &[(&str, Option<LockStatus>)]| {
            let locks: Locks = locks.iter().map(|(n, s)| ((*n).to_owned(), s.clone())).collect();
            lines.changes(&locks)
        };
        let by = |value| format!("is held by another program, which stored \"{value}\"");
        assert_eq!(
            of(&[("a", Some(held("1", 0))), ("b\n", None)]),
            [format!("a {}, 0 waiting", by("1")), "b\\n is free".to_owned()]
        );
        let mut renewed = held("1", 0);
        renewed.remaining = None;
        assert!(of(&[("a", Some(renewed)), ("b\n", None)]).is_empty());
        assert_eq!(of(&[("a", Some(held("1", 2))), ("b\n", None)]), ["a has 2 waiting"]);
        assert_eq!(of(&[("a", Some(held("2", 1)))]), [format!("a {}, 1 waiting", by("2"))]);
        let mut rests = held("2", 1);
        rests.holder = rests.holder.map(|holder| holder.with_released(true));
        assert_eq!(
            of(&[("a", Some(rests))]),
            ["a is released and stays taken for 9.0s, 1 waiting"]
        );
        assert_eq!(of(&[]), ["a is free"]);
        assert!(of(&[]).is_empty());
    }
}

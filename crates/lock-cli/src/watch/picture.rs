//! What a picture of the locks says, in so many lines and columns.

use std::time::{Duration, SystemTime};

use distlock::time_text::utc;
use distlock::{Holder, LockStatus, Waiter};

use crate::output::{self, Span};

/// A name of this length is shown in full, however small the terminal is.
const MIN_NAME: usize = 10;

/// What the locks are at a time; `None` for one that is free.
pub(super) type Locks = Vec<(String, Option<LockStatus>)>;

/// How much there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) lines: usize,
    pub(super) columns: usize,
}

/// The lines of the picture: which store it is and how many are held, a remark, and the locks.
pub(super) fn lines(
    heading: &str,
    remark: &str,
    locks: &Locks,
    now: SystemTime,
    size: Size,
) -> Vec<String> {
    let held = locks.iter().filter_map(|(_, status)| status.as_ref());
    let waiting: u64 = held.clone().filter_map(|status| status.waiters).sum();
    let count = held.count();
    let first = format!("{} held, {waiting} waiting, {}  {heading}  q ends", count, utc(now));
    let mut lines = vec![first, remark.to_owned()];
    // A long name leaves room for the rest of its row, and of all others.
    let longest = (size.columns / 3).max(MIN_NAME);
    let table = output::table(&rows(locks, now, longest));
    let mut rest = table.lines();
    let room = size.lines.saturating_sub(lines.len()).max(1);
    let all = table.lines().count();
    if all > room {
        lines.extend(rest.by_ref().take(room - 1).map(str::to_owned));
        lines.push(format!("... and {} lines more", all - (room - 1)));
    } else {
        lines.extend(rest.map(str::to_owned));
    }
    lines.truncate(size.lines);
    lines.iter().map(|line| cut(line, size.columns)).collect()
}

fn rows(locks: &Locks, now: SystemTime, longest: usize) -> Vec<Vec<String>> {
    let head = ["NAME", "STATE", "FOR", "ENDS IN", "WAITING", "WHO"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, status) in locks {
        let name = cut(&name.escape_debug().to_string(), longest);
        let Some(status) = status else {
            rows.push(vec![name, "free".to_owned()]);
            continue;
        };
        let holder = status.holder.as_ref();
        let is_released = holder.is_some_and(|holder| holder.has_released);
        let state = if is_released { "released" } else { "held" };
        let ends = status.remaining.map_or("never".to_owned(), |left| Span(left).to_string());
        let waiting = status.waiters.map_or("?".to_owned(), |waiters| waiters.to_string());
        let who = holder.map_or("?".to_owned(), |holder| holder.who.to_string());
        let age = age(holder.and_then(|Holder { since, .. }| *since), now);
        rows.push(vec![name, state.to_owned(), age, ends, waiting, who]);
        rows.extend(status.queue.iter().map(|Waiter { who, since, .. }| {
            let nothing = String::new;
            vec![
                nothing(),
                "waits".to_owned(),
                self::age(*since, now),
                nothing(),
                nothing(),
                who.to_string(),
            ]
        }));
    }
    rows
}

/// How long ago it was; another machine's clock may be before ours.
fn age(since: Option<SystemTime>, now: SystemTime) -> String {
    let age = since.map(|since| now.duration_since(since).unwrap_or(Duration::ZERO));
    age.map_or("?".to_owned(), |age| Span(age).to_string())
}

fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(columns.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use distlock::{ProcessInfo, Who};

    use super::*;

    fn somebody(since: u64) -> Holder {
        let mut holder = Holder::new(Who::Process(ProcessInfo::new("worker", "a", 7)));
        holder.since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(since));
        holder
    }

    fn picture(columns: usize, lines: usize) -> Vec<String> {
        let status = LockStatus::new(Some(Duration::from_secs(9))).with_holder(somebody(40));
        let status = status.with_waiters(2).with_queue([somebody(55).into(), somebody(70).into()]);
        let locks = vec![("a\u{1b}".to_owned(), Some(status)), ("b".to_owned(), None)];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        super::lines("redis://a", "", &locks, now, Size { lines, columns })
    }

    #[test]
    fn a_picture_shows_who_holds_and_who_waits_and_since_when() {
        let lines = [
            "1 held, 2 waiting, 1970-01-01T00:01:00Z  redis://a  q ends",
            "",
            "NAME     STATE  FOR    ENDS IN  WAITING  WHO",
            "a\\u{1b}  held   20.0s  9.0s     2        worker (pid 7 on host a)",
            "         waits  5.0s                     worker (pid 7 on host a)",
            "         waits  0ms                      worker (pid 7 on host a)",
            "b        free",
        ];
        assert_eq!(picture(100, 24), lines);
        assert_eq!(picture(100, 7), lines);
    }

    #[test]
    fn a_long_name_leaves_room_for_the_other_columns() {
        let status = LockStatus::new(Some(Duration::from_secs(9))).with_holder(somebody(40));
        let locks = vec![("x".repeat(1_000), Some(status.clone())), ("b".to_owned(), Some(status))];
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let size = Size { lines: 24, columns: 90 };
        let lines = lines("redis://a", "", &locks, now, size);
        let name = format!("{}…", "x".repeat(29));
        assert_eq!(
            lines[3],
            format!("{name}  held   20.0s  9.0s     ?        worker (pid 7 on host a)")
        );
        assert_eq!(
            lines[4],
            format!("{:30}  held   20.0s  9.0s     ?        worker (pid 7 on host a)", "b")
        );
    }

    #[test]
    fn a_picture_is_never_larger_than_its_terminal() {
        for (columns, lines) in [(80, 6), (20, 5), (1, 1), (0, 0), (30, 3)] {
            let picture = picture(columns, lines);
            assert!(picture.len() <= lines, "{picture:?}");
            // One column less than one is no terminal.
            assert!(picture.iter().all(|line| line.chars().count() <= columns.max(1)));
        }
        assert_eq!(picture(80, 6).last().unwrap(), "... and 2 lines more");
        assert!(picture(20, 9)[3].ends_with('…'));
    }
}

//! A machine that was booted a moment ago: the same machine, with its clocks set back.
//!
//! Time since boot is small there, and much that is true for large times is not. Linux keeps such
//! clocks for each *time namespace*; `unshare` of util-linux makes one.

use std::fs;
use std::process::Command;

use crate::exec;

/// How long ago the machine seems to have been booted.
const SECONDS_AGO: f64 = 20.0;
/// A clock that shows more was not set back.
const LIMIT: f64 = 10.0 * SECONDS_AGO;
/// Root makes a time namespace; everybody else needs a user namespace first, if the system lets them.
const WAYS: [&[&str]; 2] = [&[], &["--user", "--map-current-user"]];

/// What runs a program below it where the clocks are set back; nothing, if there is no need to set
/// them. An error says why the system does not allow it.
pub(super) fn wrapper() -> Result<Vec<String>, String> {
    let text = fs::read_to_string("/proc/uptime").map_err(|_| "only Linux has time namespaces")?;
    let uptime = seconds(&text).ok_or("/proc/uptime cannot be read")?;
    let Some(offset) = offset(uptime, own_offset()) else { return Ok(Vec::new()) };
    let mut why = String::new();
    for way in WAYS {
        let wrapper = unshare(way, offset);
        match probe(&wrapper) {
            Ok(()) => return Ok(wrapper),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn unshare(way: &[&str], offset: i64) -> Vec<String> {
    let offset = offset.to_string();
    // The namespace is for the children of `unshare`; none of them outlives it.
    let time = ["--fork", "--kill-child", "--time", "--boottime", &offset, "--monotonic", &offset];
    [&["unshare"], way, &time, &["--"]].concat().into_iter().map(str::to_owned).collect()
}

/// Whether the clock shows there what it should.
fn probe(wrapper: &[String]) -> Result<(), String> {
    let mut command = Command::new(&wrapper[0]);
    let text = exec::output(command.args(&wrapper[1..]).args(["cat", "/proc/uptime"]))?;
    match seconds(&text) {
        Some(uptime) if uptime < LIMIT => Ok(()),
        _ => Err(format!("the clock was not set back: it shows {}", text.trim())),
    }
}

/// What to add to the kernel's own clock; `None` if it shows little enough. `own` is what this
/// process sees added already.
fn offset(uptime: f64, own: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds are meant, and few enough")]
    (uptime > SECONDS_AGO).then(|| (own - (uptime - SECONDS_AGO)).ceil() as i64)
}

/// What is added to the clock already, in a time namespace of somebody else's.
fn own_offset() -> f64 {
    let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let boottime = offsets.lines().find_map(|line| line.strip_prefix("boottime"));
    boottime.and_then(seconds).unwrap_or(0.0)
}

/// The first number of a line.
fn seconds(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_is_set_to_twenty_seconds_after_boot() {
        assert_eq!(offset(1000.4, 0.0), Some(-980));
        // Somebody set it back by 5000 s before.
        assert_eq!(offset(1000.4, -5000.0), Some(-5980));
        assert_eq!(offset(19.0, 0.0), None);
    }

    #[test]
    fn clock_that_was_not_set_back_is_noticed() {
        let shown = |text: &str| probe(&["sh", "-c", &format!("echo {text}")].map(str::to_owned));
        assert!(shown("20.01 3.00").is_ok());
        assert!(shown("80000.01 3.00").is_err_and(|why| why.contains("80000.01")));
        assert!(shown("").is_err());
    }
}

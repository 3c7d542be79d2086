//! What a process says of itself on a server, so that others can name who holds a lock.
//!
//! The key `dl:p:<instance>`, where the instance is the first half of the process's owner tokens in
//! 16 hexadecimal digits, holds a line such as
//!
//! ```text
//! 1 program=report-worker host=node-7 pid=4711 started=2026-11-26T12:03:04Z version=1.4.2
//! ```
//!
//! `1` is the version of the format; in others, nothing is read. The order of the fields does not
//! matter, and those that are not known are left out. Whatever is no letter, digit or ASCII mark, and
//! `%`, is written as `%` and two hexadecimal digits for each byte.

use std::fmt::Write as _;

use lock_core::ProcessInfo;
use lock_core::backend::InstanceId;
use lock_core::time_text::{parse_utc, utc};

use crate::protocol::keys::RESERVED_PREFIX;

const FORMAT: &str = "1";
/// What is longer was not written by this library.
const MAX_BYTES: usize = 4_096;

/// The key under which a process is registered.
pub(crate) fn key(instance: InstanceId) -> String {
    format!("{RESERVED_PREFIX}p:{instance}")
}

/// What a process says of itself, as one line.
pub(crate) fn write(process: &ProcessInfo) -> String {
    let (program, host) = (escaped(&process.program), escaped(&process.host));
    let mut line = format!("{FORMAT} program={program} host={host} pid={}", process.pid);
    // Writing to a string cannot fail.
    if let Some(started) = process.started {
        write!(line, " started={}", utc(started)).ok();
    }
    if let Some(version) = &process.version {
        write!(line, " version={}", escaped(version)).ok();
    }
    line
}

/// Reads what [`write`] has written; `None` if it is something else.
pub(crate) fn read(line: &[u8]) -> Option<ProcessInfo> {
    if line.len() > MAX_BYTES {
        return None;
    }
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    if words.next() != Some(FORMAT) {
        return None;
    }
    let (mut program, mut host, mut pid, mut started, mut version) = (None, None, None, None, None);
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        match name {
            "program" => program = unescaped(value),
            "host" => host = unescaped(value),
            "pid" => pid = value.parse::<u32>().ok(),
            "started" => started = parse_utc(value),
            "version" => version = unescaped(value),
            _ => {}
        }
    }
    let mut process = ProcessInfo::new(&program?, &host?, pid?);
    if let Some(started) = started {
        process = process.with_started(started);
    }
    Some(match version {
        Some(version) => process.with_version(&version),
        None => process,
    })
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let is_plain = character.is_alphanumeric() || character.is_ascii_graphic();
        if is_plain && character != '%' {
            escaped.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            write!(escaped, "%{byte:02x}").ok();
        }
    }
    escaped
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_process_is_one_line_that_people_can_read() {
        let started = UNIX_EPOCH + Duration::from_secs(1_795_694_584);
        let process = ProcessInfo::new("report-worker", "node-7", 4_711).with_started(started);
        let process = process.with_version("1.4.2");
        let line = "1 program=report-worker host=node-7 pid=4711 started=2026-11-26T12:03:04Z \
                    version=1.4.2";
        assert_eq!(write(&process), line);
        assert_eq!(read(line.as_bytes()), Some(process));
        let odd = ProcessInfo::new("50% größer = a b\n", "x", 1);
        assert_eq!(write(&odd), "1 program=50%25%20größer%20=%20a%20b%0a host=x pid=1");
        assert_eq!(read(write(&odd).as_bytes()), Some(odd));
    }

    #[test]
    fn what_is_no_such_line_is_nobody() {
        let known = Some(ProcessInfo::new("a", "b", 1));
        assert_eq!(read(b"1 program=a more=x host=b nothing pid=1 started=then"), known);
        for line in [
            "",
            "1",
            "2 program=a host=b pid=1",
            "1 program=a host=b",
            "1 program=a host=b pid=-1",
            "1 program=%zz host=b pid=1",
            "1 program=%ff host=b pid=1",
            "1 program=%2 host=b pid=1",
        ] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
        let long = format!("1 program=a host=b pid=1 more={}", "x".repeat(9_999));
        assert_eq!(read(long.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn whatever_a_process_is_called_is_read_as_it_was_written(
            program in any::<String>(), host in any::<String>(), version in any::<String>(), pid: u32,
        ) {
            let process = ProcessInfo::new(&program, &host, pid).with_version(&version);
            let line = write(&process);
            prop_assert!(line.len() < MAX_BYTES);
            prop_assert!(line.split(' ').count() <= 5, "{}", line);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(read(line.as_bytes()), Some(process));
        }

        #[test]
        fn no_bytes_make_reading_panic(line in any::<Vec<u8>>()) {
            drop(read(&line));
        }
    }
}

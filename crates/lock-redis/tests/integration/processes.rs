//! Two processes fight for one name, and the history checker looks at what both of them saw.

use std::fs::File;
use std::io::BufReader;
use std::process::{Command, Stdio};
use std::time::Duration;

use lock_testkit::history::{Claims, History, Report, Violation};
use lock_testkit::server::{RedisServer, ServerKind};

use crate::common::example;

/// Of both processes together.
const ROUNDS: usize = 10_000;

crate::on_every_server! {
    two_processes_never_hold_at_once,
    a_missing_owner_check_is_found,
}

async fn two_processes_never_hold_at_once(kind: &ServerKind) {
    let (leases, report) = contend(kind, ROUNDS, None);
    assert!(report.is_clean(), "{report}");
    assert_eq!(leases, ROUNDS);
}

async fn a_missing_owner_check_is_found(kind: &ServerKind) {
    let (_, report) = contend(kind, ROUNDS / 5, Some("--no-owner-check"));
    let overlaps = |violation: &Violation| matches!(violation, Violation::Overlap { .. });
    assert!(report.violations.iter().any(overlaps), "{report}");
}

/// Runs two contenders; returns how many leases they had, and what the checker says.
fn contend(kind: &ServerKind, rounds: usize, defect: Option<&str>) -> (usize, Report) {
    let server = RedisServer::start(kind).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = ["first", "second"].map(|name| folder.path().join(name));
    let contenders = files.each_ref().map(|file| {
        let mut command = Command::new(example("contender"));
        command.args([&server.url(), "contended", &(rounds / 2).to_string()]);
        command.arg(file).args(defect).stdout(Stdio::null()).spawn().unwrap()
    });
    for mut contender in contenders {
        assert!(contender.wait().unwrap().success());
    }
    let mut history = History::default();
    for file in files {
        let lines = BufReader::new(File::open(file).unwrap());
        history.merge(History::read_lines(lines).unwrap());
    }
    // A worker can stall between its last look at the deadline and its record.
    let claims = Claims::new().require_tokens().tolerate_late_use(Duration::from_secs(10));
    (history.leases.len(), history.check(&claims))
}

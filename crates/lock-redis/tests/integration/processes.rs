//! Processes fight for one name, and the history checker looks at what all of them saw.

use std::fs::File;
use std::io::BufReader;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lock_testkit::history::{Claims, Ended, History, Recorder, Report, Told, Violation};
use testbed::{RedisServer, ServerKind};

use crate::common::{admin_of, example};

/// Of both processes together.
const ROUNDS: usize = 10_000;
/// A worker can stall between its last look at the deadline and its record.
const STALL: Duration = Duration::from_secs(10);
/// The longest time until somebody in line asks again, whatever was pushed.
const FALLBACK: Duration = Duration::from_secs(10);

crate::on_every_server! {
    two_processes_never_hold_at_once,
    two_processes_and_a_poller_exclude_each_other_and_nobody_in_line_starves,
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

/// A poller knows of no line: it takes the lock whenever the key is absent, which is so after an
/// expiry, and tells nobody when it is done.
async fn two_processes_and_a_poller_exclude_each_other_and_nobody_in_line_starves(
    kind: &ServerKind,
) {
    let server = RedisServer::start(kind).unwrap();
    let poller = Poller::start(&server);
    let mut history = run_contenders(&server, ROUNDS / 2, None);
    assert_eq!(history.leases.len(), ROUNDS / 2);
    let theirs = poller.stop();
    println!("the poller had {} sections", theirs.leases.len());
    // The first of them may have been before anybody stood in line.
    assert!(theirs.leases.len() > 1);
    history.merge(theirs);
    let report = history.check(&Claims::new().longest_wait(FALLBACK).tolerate_late_use(STALL));
    println!("the longest wait was {:?}", report.fairness.longest_wait);
    assert!(report.is_clean(), "{report}");
}

/// Takes the lock with a plain `SET NX`, again and again.
struct Poller {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<History>,
}

impl Poller {
    /// Far longer than a section takes on a busy machine.
    const LEASE: Duration = Duration::from_secs(2);

    fn start(server: &RedisServer) -> Self {
        let (mut connection, is_over) = (admin_of(server), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let recorder = Recorder::new("poller");
            while !flag.load(Ordering::Relaxed) {
                if !Self::section(&mut connection, &recorder) {
                    std::thread::sleep(Duration::from_micros(200));
                    continue;
                }
                // It has something else to do before it wants the lock again.
                std::thread::sleep(Duration::from_millis(300));
            }
            recorder.history()
        });
        Self { is_over, thread }
    }

    /// Whether it got the lock.
    fn section(connection: &mut redis::Connection, recorder: &Recorder) -> bool {
        let (asked, sent) = (recorder.ask(0, "contended"), Instant::now());
        let mut set = redis::cmd("SET");
        set.arg("lock:contended").arg("theirs").arg("NX").arg("PX").arg(Self::LEASE.as_millis());
        if set.query::<Option<String>>(connection).unwrap().is_none() {
            asked.told(Told::Refused);
            return false;
        }
        let held = asked.granted(None, || Self::LEASE.saturating_sub(sent.elapsed()));
        std::thread::sleep(Duration::from_millis(10));
        // As such programs do; here only while it is surely its own.
        if sent.elapsed() < Self::LEASE / 2 {
            held.ended(Ended::Released);
            redis::cmd("DEL").arg("lock:contended").exec(connection).unwrap();
        } else {
            held.ended(Ended::Lost);
        }
        true
    }

    fn stop(self) -> History {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Runs two contenders; returns how many leases they had, and what the checker says.
fn contend(kind: &ServerKind, rounds: usize, defect: Option<&str>) -> (usize, Report) {
    let server = RedisServer::start(kind).unwrap();
    let history = run_contenders(&server, rounds, defect);
    let claims = Claims::new().require_tokens().tolerate_late_use(STALL);
    (history.leases.len(), history.check(&claims))
}

/// What two contenders saw.
fn run_contenders(server: &RedisServer, rounds: usize, defect: Option<&str>) -> History {
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
    history
}

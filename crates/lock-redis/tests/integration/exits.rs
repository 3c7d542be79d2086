//! Programs that end without a release or a shutdown: what they leave in the store, and how long that
//! takes them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testbed::{RedisServer, ServerKind};

use crate::common::{Store, example};

const RUNTIMES: [&str; 2] = ["current", "multi"];
const PLACES: [&str; 5] = ["inside", "outside", "after", "task", "panic"];
/// How long the end of a program waits for a release: longer means that it was given up.
const MOMENT: Duration = Duration::from_millis(500);
/// What an end takes at most where the store does not answer: the half second that is documented, and
/// what a machine that is busy adds. Without that limit, it would be a minute and more.
const LONGEST: Duration = Duration::from_secs(5);

crate::on_every_server! {
    a_guard_that_is_dropped_at_the_end_of_a_program_leaves_no_lock_behind,
    a_wait_that_is_given_up_at_the_end_of_a_program_leaves_no_place_in_the_queue,
}

mod heavy {
    use super::{
        a_program_ends_within_a_moment_when_its_store_is_dead_or_frozen,
        sixty_programs_leave_no_lock_behind,
    };

    crate::on_one_server! {
        sixty_programs_leave_no_lock_behind,
        a_program_ends_within_a_moment_when_its_store_is_dead_or_frozen,
    }
}

async fn a_guard_that_is_dropped_at_the_end_of_a_program_leaves_no_lock_behind(kind: &ServerKind) {
    let mut store = Store::start(kind);
    leave_everywhere(&mut store);
}

async fn sixty_programs_leave_no_lock_behind(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let rounds = 60 / (RUNTIMES.len() * PLACES.len());
    let longest = (0..rounds).map(|_| leave_everywhere(&mut store)).max();
    println!("the longest of 60 programs took {longest:?}, its start included");
}

async fn a_wait_that_is_given_up_at_the_end_of_a_program_leaves_no_place_in_the_queue(
    kind: &ServerKind,
) {
    let mut store = Store::start(kind);
    store.run::<()>(&["SET", "lock:x", "somebody else's", "PX", "600000"]);
    for runtime in RUNTIMES {
        leaves(&mut store, runtime, "waiting", &["lock:x"]);
    }
}

async fn a_program_ends_within_a_moment_when_its_store_is_dead_or_frozen(kind: &ServerKind) {
    for runtime in RUNTIMES {
        for place in PLACES {
            for fault in ["a healthy", "a dead", "a frozen"] {
                let mut server = RedisServer::start(kind).unwrap();
                let mut program = leaver(&server, runtime, place, true);
                let mut said = BufReader::new(program.stdout.take().unwrap());
                let mut line = String::new();
                said.read_line(&mut line).unwrap();
                assert_eq!(line, "held\n");
                match fault {
                    "a dead" => server.kill(),
                    "a frozen" => server.freeze().unwrap(),
                    _ => {}
                }
                let began = Instant::now();
                drop(program.stdin.take());
                ends_well(program, place);
                let took = began.elapsed();
                println!("{runtime}, {place}, {fault} server: {took:?}");
                assert!(took < LONGEST, "{runtime}, {place}, {fault}: {took:?}");
            }
        }
    }
}

/// Lets a program end in each way, and returns how long the longest took.
fn leave_everywhere(store: &mut Store) -> Duration {
    let mut longest = Duration::ZERO;
    for runtime in RUNTIMES {
        for place in PLACES {
            longest = longest.max(leaves(store, runtime, place, &[]));
        }
    }
    longest
}

/// Lets a program end, which leaves just these keys, and returns how long it took.
fn leaves(store: &mut Store, runtime: &str, place: &str, keys: &[&str]) -> Duration {
    let mut took = Duration::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        ends_well(leaver(&store.server, runtime, place, false), place);
        took = began.elapsed();
        let left = store.keys();
        if left == keys {
            return took;
        }
        // A machine that stands still may make it give up, and nothing follows from that.
        assert!(took >= MOMENT, "{runtime}, {place}: {left:?}");
        for key in left.iter().filter(|key| !keys.contains(&key.as_str())) {
            store.run::<()>(&["DEL", key]);
        }
    }
    panic!(
        "{runtime}, {place}: the last of many programs took {took:?}, and left something behind"
    );
}

fn leaver(server: &RedisServer, runtime: &str, place: &str, pauses: bool) -> Child {
    let mut command = Command::new(example("leaver"));
    command.args([&server.url(), "x", runtime, place]).args(pauses.then_some("--pause"));
    // What a panic says is not for the log of the tests.
    command
        .env("RUST_BACKTRACE", "0")
        .stderr(Stdio::null())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

fn ends_well(mut program: Child, place: &str) {
    assert!(program.wait().unwrap().success(), "{place}");
}

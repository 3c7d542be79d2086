//! The examples tell the story that they promise, on memory and on every server.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::path::PathBuf;
use std::process::Command;

mod memory {
    use super::*;

    const STORE: Store = Store { url: None, shown: "memory:" };

    #[test]
    fn quickstart_lets_one_run_and_serves_all_who_wait() {
        quickstart(&STORE);
    }

    #[test]
    fn prevent_duplicates_charges_once() {
        prevent_duplicates(&STORE);
    }

    #[test]
    fn cache_stampede_loads_once() {
        cache_stampede(&STORE);
    }

    #[test]
    fn daily_report_is_written_once() {
        daily_report(&STORE);
    }

    #[test]
    fn manual_pair_belongs_to_its_service() {
        manual(&STORE);
    }

    #[test]
    fn blocking_needs_no_runtime() {
        blocking(&STORE);
    }
}

/// On the store that `DISTLOCK_TEST_URL` names: `cargo xtask integration` sets it. Elsewhere memory.
mod named_store {
    use super::*;

    fn on_the_named_store(tells: impl Fn(&Store)) {
        // By name, because some examples connect more than once.
        let memory = || "memory:examples".to_owned();
        let url = std::env::var("DISTLOCK_TEST_URL").unwrap_or_else(|_| memory());
        // The examples show an address without its settings.
        let shown = url.split('?').next().unwrap_or_default();
        tells(&Store { url: Some(&url), shown });
    }

    #[test]
    fn quickstart_lets_one_run_and_serves_all_who_wait() {
        on_the_named_store(quickstart);
    }

    #[test]
    fn prevent_duplicates_charges_once() {
        on_the_named_store(prevent_duplicates);
    }

    #[test]
    fn cache_stampede_loads_once() {
        on_the_named_store(cache_stampede);
    }

    #[test]
    fn daily_report_is_written_once() {
        on_the_named_store(daily_report);
    }

    #[test]
    fn manual_pair_belongs_to_its_service() {
        on_the_named_store(manual);
    }

    #[test]
    fn blocking_needs_no_runtime() {
        on_the_named_store(blocking);
    }
}

#[cfg(feature = "redis")]
macro_rules! on_servers {
    ($($module:ident = $kind:ident),+ $(,)?) => {$(
        mod $module {
            use testbed::{RedisServer, ServerKind};

            use super::*;

            fn on_a_server(tells: impl Fn(&Store)) {
                let server = RedisServer::start(&ServerKind::$kind).unwrap();
                tells(&Store { url: Some(&server.url()), shown: &server.url() });
            }

            #[test]
            fn quickstart_lets_one_run_and_serves_all_who_wait() {
                on_a_server(quickstart);
            }

            #[test]
            fn prevent_duplicates_charges_once() {
                on_a_server(prevent_duplicates);
            }

            #[test]
            fn cache_stampede_loads_once() {
                on_a_server(cache_stampede);
            }

            #[test]
            fn daily_report_is_written_once() {
                on_a_server(daily_report);
            }

            #[test]
            fn manual_pair_belongs_to_its_service() {
                on_a_server(manual);
            }

            #[test]
            fn blocking_needs_no_runtime() {
                on_a_server(blocking);
            }

            #[test]
            fn hand_to_worker_passes_a_lock_to_another_process() {
                on_a_server(hand_to_worker);
            }
        }
    )+};
}

#[cfg(feature = "redis")]
on_servers! {
    redis_6_2 = REDIS_6_2,
    redis_7_0 = REDIS_7_0,
    redis_8_2 = REDIS_8_2,
    valkey_9_1 = VALKEY_9_1,
}

#[cfg(feature = "dapr")]
mod daprd {
    use testbed::{DaprSidecar, RedisServer, ServerKind};

    use super::*;

    fn on_a_sidecar(tells: impl Fn(&Store)) {
        let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
        let sidecar = DaprSidecar::start(&redis).unwrap();
        tells(&Store { url: Some(&sidecar.url()), shown: "dapr://lockstore" });
    }

    #[test]
    fn quickstart_lets_one_run_and_serves_all_who_wait() {
        on_a_sidecar(quickstart);
    }

    #[test]
    fn prevent_duplicates_charges_once() {
        on_a_sidecar(prevent_duplicates);
    }

    #[test]
    fn cache_stampede_loads_once() {
        on_a_sidecar(cache_stampede);
    }

    #[test]
    fn daily_report_is_written_once() {
        on_a_sidecar(daily_report);
    }

    #[test]
    fn manual_pair_belongs_to_its_service() {
        on_a_sidecar(manual);
    }

    #[test]
    fn blocking_needs_no_runtime() {
        on_a_sidecar(blocking);
    }
}

struct Store<'a> {
    /// What `DISTLOCK_URL` says; nothing: memory.
    url: Option<&'a str>,
    shown: &'a str,
}

fn quickstart(store: &Store<'_>) {
    let story = tell("quickstart", store);
    assert_eq!(story[0], format!("store: {}", store.shown));
    let (refused, in_line) = story.split_at(story.len() - 7);
    assert!(refused.contains(&"  4 workers were refused".to_owned()), "{story:?}");
    assert_eq!(in_line[6], "  5 releases were confirmed");

    let tokens: Vec<u64> = story.iter().filter_map(|line| token(line)).collect();
    let granted = if gives_tokens(store) { 1 + 5 } else { 0 };
    assert_eq!(tokens.len(), granted, "{story:?}");
    assert!(tokens.is_sorted_by(|earlier, later| earlier < later), "{story:?}");
    let mut served: Vec<&str> = in_line[1..6].iter().map(|line| worker(line)).collect();
    served.sort_unstable();
    assert_eq!(served, ["1", "2", "3", "4", "5"]);
}

/// A Dapr sidecar and a quorum have no fencing tokens to give.
fn gives_tokens(store: &Store<'_>) -> bool {
    !store.shown.starts_with("dapr:") && !store.shown.contains("+quorum:")
}

fn prevent_duplicates(store: &Store<'_>) {
    let expected = [
        "two deliveries at once: one was charged, one was turned away",
        "a delivery afterwards: turned away",
        "charges: 1",
    ];
    assert_eq!(tell("prevent_duplicates", store), expected);
}

fn cache_stampede(store: &Store<'_>) {
    let expected = ["requests answered: 50", "loads from the database: 1"];
    assert_eq!(tell("cache_stampede", store), expected);
}

fn daily_report(store: &Store<'_>) {
    let expected = [
        "instance 1: wrote \"report of instance 1\"",
        "instance 2: left it to another instance",
        "instance 3: left it to another instance",
    ];
    assert_eq!(tell("daily_report", store), expected);
}

fn manual(store: &Store<'_>) {
    let expected = [
        "we acquire: true",
        "they acquire: false",
        "they release: false",
        "we release: true",
        "we release again: false",
        "with the pair: Some(42)",
        "with execute: Some(42)",
    ];
    assert_eq!(tell("manual", store), expected);
}

fn blocking(store: &Store<'_>) {
    let expected = [
        "threads that were inside at once: 1",
        "the job under its lock: Some(55)",
        "while it is held: None",
        "the release: released",
        "afterwards: Some(\"run\")",
        "locks that were left behind: 0",
    ];
    assert_eq!(tell("blocking", store), expected);
}

/// Needs a store that two processes share.
#[cfg(feature = "redis")]
fn hand_to_worker(store: &Store<'_>) {
    let expected = [
        "web: the order is mine",
        "web: do I still hold it? no, its guard was turned into a token for another process to adopt",
        "web: does the next request get it? false",
        "worker: the order is mine",
        "worker: done, and released",
        "web: is the worker's fencing token larger? true",
        "web: do I hold it again? no, its guard was turned into a token for another process to adopt",
        "web: does the next request get it? true",
    ];
    assert_eq!(tell("hand_to_worker", store), expected);
}

/// `  worker 3 ran, fencing token 1024`
fn token(line: &str) -> Option<u64> {
    line.split_once(", fencing token ").map(|(_, token)| token.parse().unwrap())
}

fn worker(line: &str) -> &str {
    line.trim().split(' ').nth(1).unwrap()
}

/// Runs an example, which must succeed, and returns the lines that it prints.
fn tell(example: &str, store: &Store<'_>) -> Vec<String> {
    let mut command = Command::new(binary(example));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("DISTLOCK_") || text.starts_with("DAPR_") {
            command.env_remove(name);
        }
    }
    command.envs(store.url.map(|url| ("DISTLOCK_URL", url)));
    // Many programs and servers start at once here, so an answer can take longer than the 2 s that
    // are the default.
    command.env("DISTLOCK_RESPONSE_TIMEOUT", "20s");
    let output = command.output().unwrap();
    let (told, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{example} failed:\n{told}\n{complaints}");
    told.lines().map(str::to_owned).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Cargo builds the examples into a directory beside the tests', but only before it runs them all.
fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|directory| directory.parent()).unwrap();
    let path = profile.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "the example `{example}` is not built: a plain `cargo test` does so, one with a filter or \
         `--test` does not; run `cargo build -p distlock --examples` with the same features before"
    );
    path
}

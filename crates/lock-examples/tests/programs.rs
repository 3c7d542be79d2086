//! The programs tell the story that they promise, in memory and on Redis.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::process::Command;

use testbed::{RedisServer, ServerKind};

#[test]
fn an_order_is_charged_once_by_an_http_service_that_leaves_no_lock_behind() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_axum_service"), url);
        let expected = [
            "two requests at once: 200 receipt 1, charged before and 201 receipt 1",
            "a request afterwards: 200 receipt 1, charged before",
            "locks left behind: 0",
        ];
        assert_eq!(story, expected);
    });
}

#[test]
fn a_job_in_three_schedulers_is_done_once_a_turn() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_scheduler"), url);
        assert_eq!(story, ["turns that were done: at least 2", "turns that were done twice: 0"]);
    });
}

#[test]
fn three_instances_with_caches_of_their_own_load_an_entry_once() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_cache"), url);
        assert_eq!(story, ["requests answered: 60", "loads from the database: 1"]);
    });
}

#[test]
fn each_instance_leads_when_the_leader_before_has_ended() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_leader_election"), url);
        let expected = [
            "leader number 1",
            "leader number 2",
            "leader number 3",
            "each instance has led: true",
        ];
        assert_eq!(story, expected);
    });
}

#[test]
fn a_program_that_ends_finishes_its_jobs_and_leaves_no_lock_behind() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_graceful_shutdown"), url);
        let expected = [
            "all workers have ended: true",
            "jobs that were begun and not finished: 0",
            "locks lost or left behind: 0",
        ];
        assert_eq!(story, expected);
    });
}

#[test]
fn a_database_refuses_a_writer_that_has_lost_its_lock() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_fencing_sql"), url);
        let expected = [
            "the second writer writes: true",
            "the first writer writes: false",
            "what stands there: by the second",
        ];
        assert_eq!(story, expected);
    });
}

#[test]
fn opentelemetry_shows_the_body_inside_its_lock() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_opentelemetry"), url);
        let expected = [
            "receipt: Some(\"charged\")",
            "POST /orders/42/payment",
            "  distlock.acquire lock=order:42 outcome=acquired fencing_token=…",
            "  distlock.hold lock=order:42 fencing_token=…",
            "    charge",
        ];
        assert_eq!(story, expected);
    });
}

#[test]
fn prometheus_scrapes_what_was_done() {
    everywhere(|url| {
        let story = tell(env!("CARGO_BIN_EXE_prometheus"), url);
        let value = |of: &[&str]| {
            let line = story.iter().find(|line| of.iter().all(|part| line.contains(part)));
            line.and_then(|line| line.rsplit(' ').next()).unwrap_or("missing")
        };
        assert_eq!(value(&["acquisitions_total{", "lock=\"order\"", "\"acquired\""]), "4");
        assert_eq!(value(&["acquisitions_total{", "lock=\"report\"", "\"refused\""]), "1");
        assert_eq!(value(&["hold_seconds_count{", "lock=\"order\""]), "4");
        assert_eq!(value(&["hold_seconds_bucket{", "lock=\"report\"", "le=\"0.1\""]), "0");
        assert_eq!(value(&["leases_held{", "lock=\"report\""]), "0");
        assert_eq!(value(&["store_up{"]), "1");
    });
}

/// In memory, and on the newest Redis.
fn everywhere(tells: impl Fn(Option<&str>)) {
    tells(None);
    let server = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    tells(Some(&server.url()));
}

/// Runs a program, which must succeed, and returns the lines that it prints.
fn tell(program: &str, url: Option<&str>) -> Vec<String> {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DISTLOCK_") {
            command.env_remove(name);
        }
    }
    command.envs(url.map(|url| ("DISTLOCK_URL", url)));
    // Many programs and servers start at once, so an answer can take longer than the 2 s that are
    // the default.
    command.env("DISTLOCK_RESPONSE_TIMEOUT", "20s");
    let output = command.output().unwrap();
    let (told, complaints) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{program} failed:\n{told}\n{complaints}");
    told.lines().map(str::to_owned).collect()
}

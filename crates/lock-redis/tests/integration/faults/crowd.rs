//! Many waiters and many locks in one process.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use testbed::ServerKind;

use crate::common::{Store, example};
use crate::on_one_server;

on_one_server!(
    ten_thousand_who_wait_are_served_or_give_up_in_bounded_memory,
    a_hundred_thousand_kept_locks_are_renewed_in_time_in_bounded_memory,
);

/// Runs the example and reads what it says.
async fn crowd(store: &Store, what: &str, count: u64) -> HashMap<String, u64> {
    let mut command = Command::new(example("crowd"));
    command.args([&store.server.url(), what, &count.to_string()]).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    println!("{what} {count}:\n{said}");
    let pairs = said.lines().map(|line| line.split_once(' ').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// F32.
async fn ten_thousand_who_wait_are_served_or_give_up_in_bounded_memory(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let said = crowd(&store, "wait", 10_000).await;
    assert_eq!((said["served"], said["gave_up"]), (5_000, 5_000));
    assert!(said["bytes_each"] < 64 * 1_024);
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// F32.
async fn a_hundred_thousand_kept_locks_are_renewed_in_time_in_bounded_memory(kind: &ServerKind) {
    let store = Store::start(kind);
    let said = crowd(&store, "keep", 100_000).await;
    assert_eq!(said["lost"], 0);
    // Two thirds are left when a renewal is due; nobody was late by as much as it takes for the
    // next to be due.
    assert!(said["least_remaining_thousandths"] > 333);
    assert!(said["bytes_each"] < 64 * 1_024);
}

//! What a section costs the server: commands while it runs, and keys when it is over.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use lock_core::backend::ReleaseReply;
use testbed::ServerKind;

use super::*;
use crate::common::*;
use crate::{on_every_server, on_one_server};

on_every_server!(a_section_costs_two_commands_however_many_wait);

/// Commands that no script runs: so it was a client that sent them.
const SENT: [&str; 6] = ["evalsha", "eval", "subscribe", "ssubscribe", "ping", "hello"];

/// At most 2.02 commands a section; and whoever has waited for a second asks again, but not more
/// than once a second.
async fn a_section_costs_two_commands_however_many_wait(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let services = [(); 2].map(|()| strict(store.backend()));
    let sections = async |waiters: usize, rounds: usize| {
        let tasks = (0..waiters).map(|task| {
            let locks = services[task % 2].clone();
            tokio::spawn(async move {
                for _ in 0..rounds {
                    let guard = locks.lock("x").ttl(HOUR).wait(HOUR).acquire().await.unwrap();
                    assert!(guard.release().await.is_released());
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    };
    // Connects, and lets both subscribe.
    sections(2, 1).await;
    for (waiters, rounds) in [(2, 500), (16, 100), (256, 20)] {
        let before = SENT.map(|command| store.calls_of(command));
        let begin = Instant::now();
        sections(waiters, rounds).await;
        let seconds = begin.elapsed().as_secs();
        let sent: u64 =
            SENT.iter().zip(before).map(|(command, n)| store.calls_of(command) - n).sum();
        let ran = (waiters * rounds) as u64;
        println!("{waiters} waiters: {sent} commands for {ran} sections");
        // Two miss each other now and then, more often on a busy machine. Then one takes the lock by
        // plain commands, or finds when it gives it back that the other one has come meanwhile.
        let (least, most) = if waiters == 2 { (190, 220) } else { (200, 202) };
        let least = ran * least / 100;
        let most = ran * most / 100 + seconds * waiters as u64;
        assert!((least..=most).contains(&sent), "{sent} for {ran} by {waiters} in {seconds} s");
    }
    for locks in services {
        locks.shutdown(Duration::ZERO).await;
    }
    assert_eq!(store.keys(), Vec::<String>::new());
}

mod once {
    use super::*;

    on_one_server!(names_used_once_leave_nothing_but_a_counter_a_slot);

    const NAMES: u64 = 100_000;
    /// The slots of a cluster, by which the counters are named on a single server as well.
    const SLOTS: u64 = 16_384;

    /// R14.
    async fn names_used_once_leave_nothing_but_a_counter_a_slot(kind: &ServerKind) {
        let mut store = Store::start(kind);
        let backend = store.backend();
        let sections = stream::iter(0..NAMES).for_each_concurrent(256, |number| {
            let backend = &backend;
            async move {
                let name = format!("order:{number}");
                let (owner, _) = take(backend, &name, HOUR).await;
                let released = release(backend, &name, owner).await.unwrap();
                assert_eq!(released, ReleaseReply::Released);
            }
        });
        sections.await;
        // What this process says of itself ends by itself.
        let processes = store.run::<Vec<String>>(&["KEYS", "dl:p:*"]).len() as u64;
        let left = store.run::<u64>(&["DBSIZE"]) - processes;
        let counters = store.run::<Vec<String>>(&["KEYS", "dl:f:*"]).len() as u64;
        let bytes: u64 = store.run(&["MEMORY", "USAGE", "dl:f:{0}"]);
        println!("{left} keys, {counters} of them counters, one of {bytes} bytes");
        assert_eq!(left, counters);
        // So many names hit nearly every slot.
        assert!((SLOTS * 9 / 10..=SLOTS).contains(&counters), "{counters}");
    }
}

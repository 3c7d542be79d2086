//! What it costs the nodes that slots move.

use std::time::Instant;

use tokio::task::JoinSet;

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(while_slots_move_the_nodes_are_asked_about_once_a_second,);

/// How long slots move.
const MOVING: Duration = Duration::from_secs(4);
const TASKS: usize = 4;

async fn while_slots_move_the_nodes_are_asked_about_once_a_second(kind: &ServerKind) {
    let set = masters(kind, 3);
    let backend = backend_with(&set, LIMIT);
    let names: Vec<String> = (0..60).map(|number| format!("n{number}")).collect();
    for name in &names {
        number_of(&backend, name).await;
    }
    for server in 0..3 {
        set.run(server, &["CONFIG", "SET", "slowlog-log-slower-than", "0"]).unwrap();
        set.run(server, &["CONFIG", "SET", "slowlog-max-len", "1000000"]).unwrap();
    }
    let slots = names.iter().map(|name| slot_of(&set, name));
    let slots: Vec<u16> = slots.filter(|&slot| set.owner(slot).unwrap() == 0).collect();
    let begin = Instant::now();
    let mut load = JoinSet::new();
    for part in names.chunks(names.len() / TASKS) {
        let (backend, names) = (Arc::clone(&backend), part.to_vec());
        load.spawn(async move {
            while begin.elapsed() < MOVING {
                for name in &names {
                    number_of(&backend, name).await;
                }
            }
        });
    }
    let mut moves = 0;
    // To and fro between the two, all to one of them before any is moved back.
    for step in 0.. {
        let (slot, to) = (slots[step % slots.len()], 1 - (step / slots.len()) % 2);
        if begin.elapsed() >= MOVING {
            break;
        }
        tokio::task::block_in_place(|| move_until_there(&set, slot, to));
        moves += 1;
    }
    load.join_all().await;
    let took = begin.elapsed();
    let rounds = set.servers.iter().map(asked_for_slots).max().unwrap();
    println!("{kind}: {moves} moves in {took:.1?}: {rounds} questions a node");
    assert!(moves >= 10, "{moves}");
    assert!(rounds <= 2 + usize::try_from(took.as_secs() + 1).unwrap(), "{rounds} in {took:?}");
}

/// A node that hears of a move late may take the slot back.
fn move_until_there(set: &ClusterSet, slot: u16, to: usize) {
    set.move_slot(slot, 1 - to, to).unwrap();
    while set.owner(slot).ok() != Some(to) {
        if set.move_slot(slot, 1 - to, to).is_err() {
            set.give_slot(slot, to).ok();
        }
    }
}

/// How often the server was asked who has which slots.
fn asked_for_slots(server: &RedisServer) -> usize {
    let is_question = |words: &&Vec<String>| {
        words.iter().map(|word| word.to_uppercase()).eq(["CLUSTER", "SLOTS"])
    };
    slow_commands_of(server).iter().filter(is_question).count()
}

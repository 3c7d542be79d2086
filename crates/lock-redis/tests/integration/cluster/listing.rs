//! The list of what is held, while slots go from one node to another.

use std::collections::BTreeSet;

use lock_core::backend::{ListRequest, LockBackend};

use super::failover::await_replica;
use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    a_lock_whose_slot_is_moved_while_a_list_runs_is_in_it,
    a_list_during_which_a_node_is_replaced_names_all_locks,
    a_list_goes_on_while_a_slot_is_on_its_way,
);

async fn a_lock_whose_slot_is_moved_while_a_list_runs_is_in_it(kind: &ServerKind) {
    let set = masters(kind, 2);
    let backend = backend_of(&set);
    // Nodes are gone through in the order of their addresses.
    let first = usize::from(set.servers[1].port() < set.servers[0].port());
    let names = [0, 1].map(|server| name_at(&set, "n", server));
    take_all(&backend, &names).await;
    for is_forward in [false, true] {
        let from = if is_forward { first } else { 1 - first };
        let slot = slot_of(&set, &names[from]);
        let mut listing = Listing::default();
        assert!(listing.step(&backend).await);
        set.move_slot(slot, from, 1 - from).unwrap();
        while listing.step(&backend).await {}
        assert!(listing.names.iter().eq(&BTreeSet::from(names.clone())), "{:?}", listing.names);
        set.move_slot(slot, 1 - from, from).unwrap();
        // The next list begins with what the nodes say by then.
        until(|| set.owner(slot).is_ok_and(|owner| owner == from)).await;
    }
}

async fn a_list_during_which_a_node_is_replaced_names_all_locks(kind: &ServerKind) {
    let settings = ClusterSettings::default().masters(2).node_timeout(MINUTE);
    let set = ClusterSet::start_with(kind, &settings).unwrap();
    let backend = backend_with(&set, LIMIT);
    let mut names = BTreeSet::new();
    for server in 0..2 {
        // All of them are in one slot.
        let mut tags = (0..).map(|number| format!("{{t{number}}}"));
        let tag = tags.find(|tag| set.owner(slot_of(&set, tag)).unwrap() == server).unwrap();
        let mut keys = redis::Pipeline::new();
        for number in 0..MANY {
            let name = format!("{tag}{number}");
            keys.cmd("SET").arg(format!("lock:{name}")).arg("theirs").ignore();
            names.insert(name);
        }
        keys.query::<()>(&mut admin_of(&set.servers[server])).unwrap();
        await_replica(&set, server);
    }
    let mut listing = Listing::default();
    assert!(listing.step(&backend).await);
    assert!(listing.names.len() < MANY, "{}", listing.names.len());
    for master in 0..2 {
        let replica = set.partner(master);
        let slot = if master == 0 { 0 } else { 16_383 };
        set.run(replica, &["CLUSTER", "FAILOVER"]).unwrap();
        until(|| set.owner(slot).is_ok_and(|owner| owner == replica)).await;
        assert!(listing.step(&backend).await);
    }
    while listing.step(&backend).await {}
    assert_eq!(listing.names.len(), names.len());
    assert!(listing.names == names);
}

/// So many that one step does not name them all.
const MANY: usize = 2_000;

async fn a_list_goes_on_while_a_slot_is_on_its_way(kind: &ServerKind) {
    let set = masters(kind, 2);
    let backend = backend_of(&set);
    let names: Vec<String> = (0..3).map(|number| format!("{{x}}{number}")).collect();
    take_all(&backend, &names).await;
    let slot = slot_of(&set, &names[0]);
    let from = set.owner(slot).unwrap();
    let to = 1 - from;
    set.begin_to_move(slot, from, to).unwrap();
    let (port, key) = (set.servers[to].port().to_string(), format!("lock:{}", names[1]));
    run::<()>(&set.servers[from], &["MIGRATE", "127.0.0.1", &port, &key, "0", "10000"]);
    let mut listing = Listing::default();
    while listing.step(&backend).await {}
    assert!(listing.names.contains(&names[0]) && listing.names.contains(&names[2]));
    // The move ends while another list runs.
    let mut listing = Listing::default();
    assert!(listing.step(&backend).await);
    while set.move_keys(slot, from, to).unwrap() > 0 {}
    set.give_slot(slot, to).unwrap();
    while listing.step(&backend).await {}
    assert_eq!(Vec::from_iter(listing.names), names);
}

/// A list that is got step by step.
#[derive(Default)]
struct Listing {
    request: Option<ListRequest>,
    names: BTreeSet<String>,
}

impl Listing {
    /// Whether it goes on.
    async fn step(&mut self, backend: &Arc<RedisBackend>) -> bool {
        let request = self.request.take().unwrap_or_else(|| ListRequest::new(String::new()));
        let part = backend.list(request.clone()).await.unwrap();
        self.names.extend(part.locks.iter().map(|(key, _)| key.as_str().to_owned()));
        let goes_on = part.next.is_some();
        self.request = part.next.map(|next| request.after(next));
        goes_on
    }
}

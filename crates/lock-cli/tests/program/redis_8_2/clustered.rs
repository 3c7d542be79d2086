//! The same verbs on a cluster.

use std::process::Stdio;

use testbed::{ClusterSet, ClusterSettings, ServerKind};

use super::redis;
use crate::harness::{Running, distlock, end_of, run};

/// Masters without replicas, which do not take each other to be down.
fn masters(count: usize) -> ClusterSet {
    let settings = ClusterSettings::default().masters(count).without_replicas();
    let settings = settings.node_timeout(std::time::Duration::from_secs(60));
    ClusterSet::start_with(&ServerKind::REDIS_8_2, &settings).unwrap()
}

#[test]
fn check_finds_a_cluster_well_and_names_what_is_missing_at_it() {
    let set = masters(3);
    let all = "renewal,fencing,queue,status";
    let check = |url: &str| end_of(&mut distlock(["check", "--require", all, "--url", url]));
    let well = check(&set.url());
    assert_eq!((well.code, &*well.errors), (0, ""), "{well:?}");
    assert!(well.output.contains("round trip") && !well.output.contains("to be changed"));
    assert_eq!(well.output.matches("master without replicas, in a cluster").count(), 3, "{well:?}");
    for server in &set.servers {
        assert_eq!(redis(server, "ACL SETUSER u on >p ~* &* +@all -cluster|slots"), "+OK");
        assert_eq!(redis(server, "KEYS lock:*"), "*0");
    }
    check(&set.url().replace("://", "://u:p@")).says(122, &["+cluster|slots"]);
    // A node by itself is no single server.
    check(&set.servers[0].url()).says(125, &["redis+cluster://HOST:PORT"]);
}

#[test]
fn list_and_status_find_locks_at_all_nodes_also_after_a_slot_moved() {
    let set = masters(2);
    let url = set.url();
    let names: Vec<String> = (0..6).map(|number| format!("n{number}")).collect();
    let held: Vec<Running> = names
        .iter()
        .map(|name| {
            let mut command = run(&url, "--ttl 60s", name, "echo ready; read line");
            Running::until_ready(command.stdin(Stdio::piped()))
        })
        .collect();
    let listed = || {
        let ended = end_of(&mut distlock(["list", "--url", &url]));
        assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
        let lines = ended.output.lines().skip(1);
        lines.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(), names);
    let slot = redis(&set.servers[0], "CLUSTER KEYSLOT lock:n0");
    let slot = slot.trim_start_matches(':').parse().unwrap();
    let from = set.owner(slot).unwrap();
    set.move_slot(slot, from, 1 - from).unwrap();
    assert_eq!(listed(), names);
    let status = end_of(&mut distlock(["status", "n0", "--url", &url]));
    assert!(status.output.lines().nth(1).unwrap().contains("held"), "{status:?}");
    for mut running in held {
        running.write(b"\n");
        assert_eq!(running.end().silent(), 0);
    }
    assert!(listed().is_empty());
}

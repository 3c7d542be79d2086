//! Who holds a lock of a cluster: the name of its process may be at another node, or on its way.

use lock_core::Who;
use lock_core::backend::LockBackend;

use super::*;
use crate::on_oldest_and_newest;
use crate::registry::Other;

on_oldest_and_newest!(
    a_process_is_registered_at_the_node_of_its_key_and_named_from_there,
    a_process_whose_key_was_moved_is_named,
    a_process_whose_key_is_on_its_way_is_named,
);

async fn a_process_is_registered_at_the_node_of_its_key_and_named_from_there(kind: &ServerKind) {
    let set = masters(kind, 3);
    let holder = Other::holds(&set.url(), "x");
    let registered = Registered::find(&set).await;
    assert_eq!(set.owner(registered.slot).unwrap(), registered.server);
    // Wherever the locks are.
    let reader = backend_of(&set);
    assert!(holder.is(&named(&reader, "x").await));
    for server in 0..3 {
        let name = name_at(&set, "n", server);
        let holder = Other::holds(&set.url(), &name);
        soon(LIMIT, async { while !holder.is(&named(&reader, &name).await) {} }).await;
    }
}

async fn a_process_whose_key_was_moved_is_named(kind: &ServerKind) {
    let set = masters(kind, 2);
    let holder = Other::holds(&set.url(), "x");
    let registered = Registered::find(&set).await;
    let reader = backend_of(&set);
    assert!(holder.is(&named(&reader, "x").await));
    // The reader has not heard of it.
    set.move_slot(registered.slot, registered.server, 1 - registered.server).unwrap();
    assert!(holder.is(&named(&reader, "x").await));
}

async fn a_process_whose_key_is_on_its_way_is_named(kind: &ServerKind) {
    let set = masters(kind, 2);
    let holder = Other::holds(&set.url(), "x");
    let Registered { server, slot } = Registered::find(&set).await;
    let reader = backend_of(&set);
    set.begin_to_move(slot, server, 1 - server).unwrap();
    assert!(holder.is(&named(&reader, "x").await));
    while set.move_keys(slot, server, 1 - server).unwrap() > 0 {}
    assert!(holder.is(&named(&reader, "x").await));
}

/// Where the only process is registered.
struct Registered {
    server: usize,
    slot: u16,
}

impl Registered {
    async fn find(set: &ClusterSet) -> Self {
        let find = || {
            let mut all = set.servers.iter().enumerate().flat_map(|(server, it)| {
                run::<Vec<String>>(it, &["KEYS", "dl:p:*"])
                    .into_iter()
                    .map(move |key| (server, key))
            });
            let found = all.next();
            assert!(all.next().is_none());
            found
        };
        until(|| find().is_some()).await;
        let (server, key) = find().unwrap();
        let slot = run(&set.servers[server], &["CLUSTER", "KEYSLOT", &key]);
        Self { server, slot }
    }
}

async fn named(reader: &Arc<RedisBackend>, name: &str) -> Who {
    reader.status(key(name)).await.unwrap().unwrap().holder.unwrap().who
}

//! Claims about the clusters that other tests run against, shown on the oldest and newest version.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::time::{Duration, Instant};

use testbed::{ClusterSet, ClusterSettings, ServerKind};

const LIMIT: Duration = Duration::from_secs(40);

macro_rules! for_each_server {
    ($($module:ident = $kind:ident),+ $(,)?) => {$(
        mod $module {
            use super::*;

            #[test]
            fn a_killed_master_is_replaced_by_its_replica() {
                killed_master_is_replaced(&ServerKind::$kind);
            }
            #[test]
            fn a_slot_moves_and_nodes_can_have_a_password() {
                slot_moves(&ServerKind::$kind);
            }
        }
    )+};
}

for_each_server! {
    redis_6_2 = REDIS_6_2,
    redis_8_2 = REDIS_8_2,
    valkey_9_1 = VALKEY_9_1,
}

fn killed_master_is_replaced(kind: &ServerKind) {
    let mut set = ClusterSet::start(kind).unwrap();
    assert_eq!((set.owner(0).unwrap(), set.owner(16_383).unwrap()), (0, 2));
    set.servers[0].kill();
    let begin = Instant::now();
    while set.owner(0).ok() != Some(set.partner(0)) {
        assert!(begin.elapsed() < LIMIT, "{}", set.servers[1].log());
        std::thread::yield_now();
    }
}

fn slot_moves(kind: &ServerKind) {
    let settings = ClusterSettings::default().password("s3cret").masters(2).without_replicas();
    let set = ClusterSet::start_with(kind, &settings).unwrap();
    assert!(set.url().starts_with("redis+cluster://:s3cret@127.0.0.1:"));
    // The slot of `foo`.
    const SLOT: u16 = 12_182;
    assert_eq!(set.owner(SLOT).unwrap(), 1);
    set.run(1, &["SET", "foo", "1"]).unwrap();
    set.move_slot(SLOT, 1, 0).unwrap();
    assert_eq!(set.owner(SLOT).unwrap(), 0);
    set.run(0, &["GET", "foo"]).unwrap();
    let error = set.run(1, &["GET", "foo"]).unwrap_err();
    assert!(error.to_string().starts_with("MOVED"), "{error}");
}

//! Claims about the Sentinels that other tests run against, shown on the oldest and newest version.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::time::{Duration, Instant};

use testbed::{SentinelSet, SentinelSettings, ServerKind};

const LIMIT: Duration = Duration::from_secs(40);

macro_rules! for_each_server {
    ($($module:ident = $kind:ident),+ $(,)?) => {$(
        mod $module {
            use super::*;

            #[test]
            fn a_killed_master_is_replaced() { killed_master_is_replaced(&ServerKind::$kind) }
            #[test]
            fn sentinels_can_have_a_password_and_go_by_host_names() {
                have_password_and_host_names(&ServerKind::$kind);
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
    let mut set = SentinelSet::start(kind).unwrap();
    assert_eq!(set.master().unwrap(), 0);
    set.servers[0].kill();
    let begin = Instant::now();
    while set.master().unwrap() == 0 {
        assert!(begin.elapsed() < LIMIT, "{}", set.sentinels[0].log());
    }
}

fn have_password_and_host_names(kind: &ServerKind) {
    let settings = SentinelSettings::default().password("s3cret").host("localhost");
    let set = SentinelSet::start_with(kind, &settings).unwrap();
    assert_eq!(set.master().unwrap(), 0);
    assert!(set.url().ends_with("/main"));
}

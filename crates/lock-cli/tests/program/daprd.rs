//! A store that can neither renew leases nor show locks.

use testbed::{DaprSidecar, RedisServer, ServerKind};

use crate::harness::{distlock, end_of, run};

#[test]
fn the_ttl_limits_the_command_which_is_said_before() {
    let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let sidecar = DaprSidecar::start(&redis).unwrap();
    let url = sidecar.url();
    let script = "sh -c 'sleep 600' & wait";
    let ended = end_of(&mut run(&url, "--ttl 1s", "x", script));
    ended.says(123, &["warning: this store cannot renew leases", "--ttl", "its ttl ran out"]);
    // In the time of its lease, a command is not disturbed.
    assert_eq!(end_of(&mut run(&url, "-q --ttl 60s", "x", "exit 3")).silent(), 3);
}

#[test]
fn what_the_store_cannot_do_is_said() {
    let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let sidecar = DaprSidecar::start(&redis).unwrap();
    let url = sidecar.url();
    // A token of another lock would be wrong, so there is none.
    let script = "echo \"${DISTLOCK_FENCING_TOKEN-none}\"";
    let mut command = run(&url, "-q", "x", script);
    let ended = end_of(command.env("DISTLOCK_FENCING_TOKEN", "1024"));
    assert_eq!((&*ended.output, ended.code), ("none\n", 0), "{ended:?}");
    for verb in ["status", "wait"] {
        end_of(&mut distlock([verb, "--url", &url, "x"]))
            .says(125, &["distlock: lock \"x\": ", "dapr"]);
    }
    end_of(&mut distlock(["list", "--url", &url])).says(125, &["distlock: ", "dapr", "list"]);
    end_of(&mut distlock(["release", "--force", "--yes", "--url", &url, "x"]))
        .says(125, &["this store cannot show who holds a lock"]);
    // What is behind a sidecar is not known.
    end_of(&mut distlock(["bench", "--url", &url])).says(125, &["others may use that store"]);
    let ended = end_of(&mut distlock(["bench", "--url", &url, "--seconds=1", "--yes"]));
    assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
    assert!(ended.output.contains("held twice: 0 times"), "{ended:?}");
    end_of(&mut distlock(["watch", "--url", &url])).says(125, &["distlock: ", "dapr"]);
    end_of(&mut distlock(["watch", "--url", &url, "x"]))
        .says(125, &["distlock: lock \"x\": ", "dapr"]);
    let ended = end_of(&mut distlock(["check", "--url", &url]));
    assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
    assert!(ended.output.contains("renewal     no: `distlock run` ends a command"), "{ended:?}");
    let ended = end_of(&mut distlock(["check", "--url", &url, "--require=renewal"]));
    assert_eq!(ended.code, 1, "{ended:?}");
}

//! F30: the clock of the server is set.

use std::time::Duration;

use lock_core::backend::{ReleaseReply, RenewReply};
use testbed::{RedisServer, ServerKind, WallClock};
use tokio::sync::mpsc;

use crate::common::*;
use crate::on_every_server;
use crate::queue::HOUR;

on_every_server!(
    a_clock_that_jumps_forwards_ends_leases_and_no_number_falls,
    a_clock_that_jumps_backwards_makes_leases_longer_and_no_number_falls,
    those_in_line_are_served_over_a_jump_of_the_clock,
);

const AN_HOUR: i64 = 3_600;

fn start(kind: &ServerKind) -> (RedisServer, std::sync::Arc<lock_redis::RedisBackend>) {
    let server = RedisServer::start_with_clock(kind, WallClock::new().unwrap()).unwrap();
    let backend = build(lock_redis::RedisBackend::builder().url(server.url()));
    (server, backend)
}

fn jump(server: &RedisServer, seconds: i64) {
    let before = now(server);
    server.clock().unwrap().set(seconds).unwrap();
    while now(server).abs_diff(before) < 3_000 {}
}

fn now(server: &RedisServer) -> u64 {
    let (seconds, _): (u64, u64) = redis::cmd("TIME").query(&mut admin_of(server)).unwrap();
    seconds
}

fn left(server: &RedisServer, name: &str) -> Duration {
    let key = format!("lock:{name}");
    let left: u64 = redis::cmd("PTTL").arg(key).query(&mut admin_of(server)).unwrap();
    Duration::from_millis(left)
}

async fn a_clock_that_jumps_forwards_ends_leases_and_no_number_falls(kind: &ServerKind) {
    let (server, backend) = start(kind);
    let (owner, first) = take(&backend, "x", MINUTE).await;
    let (longer, _) = take(&backend, "longer", HOUR * 2).await;
    jump(&server, AN_HOUR);
    // Its holder learns it.
    assert!(matches!(renew(&backend, "x", owner, MINUTE).await.unwrap(), RenewReply::NotHeld));
    assert!(matches!(
        renew(&backend, "longer", longer, MINUTE).await.unwrap(),
        RenewReply::Renewed
    ));
    assert!(left(&server, "longer") <= HOUR);
    // Also over a connection that knows the old time, by the script and by plain commands.
    let mut last = first;
    for _ in 0..3 {
        let (owner, number) = take(&backend, "x", MINUTE).await;
        assert!(number > last, "{number:?} after {last:?}");
        assert!(left(&server, "x") <= MINUTE);
        assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
        last = number;
    }
}

async fn a_clock_that_jumps_backwards_makes_leases_longer_and_no_number_falls(kind: &ServerKind) {
    let (server, backend) = start(kind);
    jump(&server, AN_HOUR);
    let (owner, first) = take(&backend, "x", MINUTE).await;
    jump(&server, 0);
    assert!(left(&server, "x") > HOUR);
    assert!(matches!(renew(&backend, "x", owner, MINUTE).await.unwrap(), RenewReply::Renewed));
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    let mut last = first;
    for place in 0..3 {
        // Another connection does not know that the clock was ahead.
        let other = build(lock_redis::RedisBackend::builder().url(server.url()));
        for backend in [&backend, &other] {
            let (owner, number) = take(backend, "x", MINUTE).await;
            assert!(number > last, "{place}: {number:?} after {last:?}");
            assert!(left(&server, "x") <= MINUTE);
            release(backend, "x", owner).await.unwrap();
            last = number;
        }
    }
}

async fn those_in_line_are_served_over_a_jump_of_the_clock(kind: &ServerKind) {
    for (before, after) in [(0, AN_HOUR), (AN_HOUR, 0)] {
        let (server, backend) = start(kind);
        if before != 0 {
            jump(&server, before);
        }
        let (owner, first) = take(&backend, "x", HOUR * 3).await;
        let services = [(); 2].map(|()| {
            strict(lock_redis::RedisBackend::builder().url(server.url()).build().unwrap())
        });
        let (sender, mut served) = mpsc::unbounded_channel();
        for (place, locks) in services.iter().enumerate() {
            let (lock, sender) = (locks.lock("x").ttl(HOUR).wait(MINUTE), sender.clone());
            tokio::spawn(async move {
                let guard = lock.acquire().await.unwrap();
                sender.send(guard.fencing_token().unwrap()).unwrap();
                assert!(guard.release().await.is_released());
            });
            let in_line = async || {
                let status = services[0].lock("x").status().await.unwrap().unwrap();
                status.waiters == Some(place as u64 + 1)
            };
            while !in_line().await {}
        }
        jump(&server, after);
        assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
        let mut last = first;
        for _ in &services {
            // A queue that was not asked about for a minute is forgotten, and so is the order.
            let number = soon(LIMIT, served.recv()).await.unwrap();
            assert!(number > last, "{number:?} after {last:?}");
            last = number;
        }
    }
}

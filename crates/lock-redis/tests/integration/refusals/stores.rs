//! The rules that each kind of store needs, as the guide lists them.

use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_redis::{RedisBackend, Sentinels};
use testbed::{RedisServer, SentinelSet, SentinelSettings, ServerKind};

use super::permissions::{everything, everything_with, line_of_the_guide, line_that_begins};
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    the_rules_of_the_guide_are_enough_behind_sentinels_also_after_a_failover,
    replicas_need_one_rule_more,
);

/// The rules in the guide's line that begins so: what is quoted and begins with `+`.
fn rules_in(line: &str) -> Vec<String> {
    let line = line_that_begins(line);
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| quoted.starts_with('+')).map(str::to_owned).collect()
}

fn run(server: &RedisServer, words: &[String]) {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.exec(&mut admin_of(server)).unwrap();
}

async fn the_rules_of_the_guide_are_enough_behind_sentinels_also_after_a_failover(
    kind: &ServerKind,
) {
    let user = line_that_begins("user locks on ");
    let settings = SentinelSettings::default().config(&user);
    let mut set = SentinelSet::start_with(kind, &settings).unwrap();
    let mut line = line_of_the_guide(kind);
    line.extend(rules_in("- With `replicas`"));
    for server in &set.servers {
        run(server, &line);
    }
    let sentinels = set.sentinels.iter().map(|sentinel| sentinel.address().to_string());
    let sentinels = Sentinels::new(sentinels, SentinelSet::MASTER)
        .username("locks")
        .password("PASSWORD")
        .sentinel_username("locks")
        .sentinel_password("PASSWORD");
    let builder = RedisBackend::builder().sentinels(sentinels).replicas(1);
    let backend = build(builder.response_timeout(LIMIT));
    std::sync::Arc::clone(&backend).ping().await.unwrap();
    everything(&backend).await.unwrap();
    set.servers[0].kill();
    let resumed = async {
        // A try that failed halfway leaves its lock behind.
        let mut names = (0..).map(|number| format!("x{number}"));
        while let Err(error) = everything_with(&backend, &names.next().unwrap()).await {
            assert!(error.is_retryable(), "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(MINUTE, resumed).await.unwrap();
    assert!(backend.capabilities().queueing);
}

async fn replicas_need_one_rule_more(kind: &ServerKind) {
    let server = RedisServer::start(kind).unwrap();
    let line = line_of_the_guide(kind);
    let url = format!("redis://locks:PASSWORD@{}", server.address());
    let with = || build(RedisBackend::builder().url(url.as_str()).replicas(1));
    run(&server, &line);
    let error = with().ping().await.unwrap_err();
    assert!(error.to_string().contains("allow it with +wait"), "{error}");
    assert_eq!(rules_in("- With `replicas`"), ["+wait"]);
    run(&server, &[&line[..], &["+wait".to_owned()]].concat());
    with().ping().await.unwrap();
}

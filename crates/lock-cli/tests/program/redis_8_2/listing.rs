//! `distlock list`.

use std::process::Stdio;

use super::{redis, server};
use crate::harness::{Running, distlock, end_of, run, until};

#[test]
fn list_shows_all_that_is_held_of_the_namespace_and_who_waits() {
    let server = server();
    let url = format!("{}?namespace=shop:", server.url());
    let held: Vec<Running> = ["order:1", "order:2", "a*"]
        .into_iter()
        .map(|name| {
            let mut command = run(&url, "--ttl 60s", name, "echo ready; read line");
            Running::until_ready(command.stdin(Stdio::piped()))
        })
        .collect();
    let _other = {
        let mut command = run(&server.url(), "--ttl 60s", "order:3", "echo ready; read line");
        Running::until_ready(command.stdin(Stdio::piped()))
    };
    let waiting = Running::start(&mut run(&url, "", "order:2", "true"));
    let list = |options: &[&str]| {
        let arguments = ["list", "--url", &url].into_iter().chain(options.iter().copied());
        let ended = end_of(&mut distlock(arguments));
        assert_eq!((ended.code, &*ended.errors), (0, ""), "{ended:?}");
        ended.output
    };
    let names = |options: &[&str]| {
        let output = list(options);
        let lines = output.lines().map(|line| line.split_whitespace().next().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    until(|| list(&[]).contains("waits"));
    assert_eq!(names(&[]), ["NAME", "a*", "order:1", "order:2", "waits"]);
    assert_eq!(names(&["--prefix", "order:1"]), ["NAME", "order:1"]);
    assert_eq!(names(&["--prefix", "a*"]), ["NAME", "a*"]);
    assert_eq!(names(&["--prefix", "*"]), ["NAME"]);
    until(|| list(&[]).matches("distlock run sh (pid ").count() == 4);
    let json = list(&["--json", "--prefix", "order:2"]);
    assert!(json.starts_with("[{\"name\":\"order:2\",\"held\":true,\"remaining_ms\":"), "{json}");
    assert!(json.contains("\"waiters\":1,") && json.ends_with("}]}]\n"), "{json}");
    assert_eq!(list(&["--json", "--prefix", "none"]), "[]\n");
    for mut running in held {
        running.write(b"\n");
        assert_eq!(running.end().silent(), 0);
    }
    assert_eq!(waiting.end().silent(), 0);
    assert_eq!(names(&[]), ["NAME"]);
}

#[test]
fn what_a_list_needs_and_may_not_is_named() {
    let server = server();
    assert_eq!(redis(&server, "ACL SETUSER u on >p ~* &* +@all -scan"), "+OK");
    let url = server.url().replace("redis://", "redis://u:p@");
    let ended = end_of(distlock(["list"]).env("DISTLOCK_URL", url));
    ended.says(
        122,
        &["distlock: the server's access rules forbid the command scan", "allow it with +scan"],
    );
}

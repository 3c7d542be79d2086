//! What access rules take away is named, with the rule that gives it.

use std::path::Path;
use std::sync::Arc;

use lock_core::backend::{Clock, LockBackend, ReleaseReply, ReleaseRequest, RenewReply};
use lock_core::{LockError, LockErrorKind, Result};
use lock_redis::RedisBackend;
use testbed::ServerKind;

use crate::common::*;
use crate::on_every_server;
use crate::queue::{HOUR, ask, pushed, queue};

on_every_server!(
    the_rules_of_the_guide_are_enough_for_everything,
    each_rule_of_the_guide_is_missed_by_its_name,
    what_is_taken_away_later_is_named_by_whatever_needs_it,
    a_database_other_than_the_first_needs_one_rule_more,
);

/// What is asked for when a connection is made.
const AT_CONNECT: &str = "+evalsha +eval +set +get +getex +del +exists +pttl +pexpire +time +zadd \
                          +zrem +zrange +zrank +zscore";
/// What only makes waiting better; the first three under other names on Redis 6.2.
const FOR_PUSHES: [&str; 4] = ["+ssubscribe", "+spublish", "+pubsub|shardnumsub", "&dl:c:*"];
/// What is not missed.
const FOR_COMFORT: [&str; 6] =
    ["+script|load", "+info", "+zcard", "+incr", "+mget", "+client|kill"];

/// The only line of the guide that begins so, on whichever of its pages.
pub(super) fn line_that_begins(with: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let pages = std::fs::read_dir(docs.join("guide")).into_iter().flatten();
    let pages = pages.map(|page| page.unwrap().path()).chain([docs.join("guide.md")]);
    let text: String = pages.map(|page| std::fs::read_to_string(page).unwrap()).collect();
    let mut lines = text.lines().filter(|line| line.starts_with(with));
    let line = lines.next().unwrap();
    assert_eq!(lines.next(), None);
    line.to_owned()
}

/// The line of the guide for servers of this kind, as words.
pub(super) fn line_of_the_guide(kind: &ServerKind) -> Vec<String> {
    let mut line = line_that_begins("ACL SETUSER locks on ");
    for (rule, of_this) in FOR_PUSHES.iter().zip(for_pushes(kind)) {
        assert!(line.contains(rule), "{line}");
        line = line.replace(rule, &of_this);
    }
    line.split(' ').map(str::to_owned).collect()
}

/// The rules for pushes on servers of this kind; the guide has a sentence for Redis 6.2.
fn for_pushes(kind: &ServerKind) -> [String; 4] {
    let mut rules = FOR_PUSHES.map(str::to_owned);
    if words(kind).subscribe == "subscribe" {
        let line = line_that_begins("On Redis 6.2, write `+");
        let quoted: Vec<Vec<&str>> =
            line.split('`').skip(1).step_by(2).map(|rules| rules.split(' ').collect()).collect();
        let [old, new] = &quoted[..] else { panic!("{line}") };
        assert_eq!((&new[..], old.len()), (&FOR_PUSHES[..3], 3), "{line}");
        for (rule, old) in rules.iter_mut().zip(old) {
            *rule = (*old).to_owned();
        }
    }
    rules
}

/// The rules of the guide's line.
fn rules_of_the_guide(kind: &ServerKind) -> Vec<String> {
    let is_rule = |word: &String| word.starts_with(['+', '~', '&']);
    line_of_the_guide(kind).into_iter().filter(is_rule).collect()
}

/// Lets the user `app` do this alone.
fn allow<'a>(store: &mut Store, rules: impl IntoIterator<Item = &'a str>) {
    let mut line = vec!["ACL", "SETUSER", "app", "reset", "on", ">pw", "resetchannels"];
    line.extend(rules);
    store.run::<()>(&line);
}

fn as_app(store: &Store) -> Arc<RedisBackend> {
    let url = format!("redis://app:pw@{}", store.server.address());
    build(RedisBackend::builder().url(url))
}

fn is_denied(error: &LockError, rule: &str, missing: &str) {
    assert_eq!(error.kind(), LockErrorKind::Denied, "{rule}: {error}");
    assert!(error.to_string().contains(missing), "{rule}: {error}");
    let cures = ["it", "them"].map(|it| format!("allow {it} with {rule}"));
    assert!(cures.iter().any(|cure| error.to_string().contains(cure)), "{rule}: {error}");
    assert!(!error.is_retryable());
}

async fn the_rules_of_the_guide_are_enough_for_everything(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let line = line_of_the_guide(kind);
    store.run::<()>(&line.iter().map(String::as_str).collect::<Vec<_>>());
    let url = format!("redis://locks:PASSWORD@{}", store.server.address());
    let [holder, waiter] = [(); 2].map(|()| build(RedisBackend::builder().url(url.as_str())));
    Arc::clone(&holder).ping().await.unwrap();
    let servers = Arc::clone(&holder).servers().await.unwrap();
    assert!(servers[0].fact("version").is_some() && servers[0].fact("clock").is_some());
    let (owner, _) = take(&holder, "x", MINUTE).await;
    assert!(matches!(renew(&holder, "x", owner, HOUR).await.unwrap(), RenewReply::Renewed));
    let next = token();
    let waiting = queue(&waiter, "x", next, None).await;
    let waiting = queue(&waiter, "x", next, Some(waiting.ticket)).await;
    let status = Arc::clone(&holder).status(key("x")).await.unwrap().unwrap();
    assert_eq!(status.waiters, Some(1));
    assert_eq!(release(&holder, "x", owner).await.unwrap(), ReleaseReply::Released);
    pushed(waiting).await;
    let rest = ReleaseRequest::new(key("x"), next, Clock::SYSTEM).with_min_hold(MINUTE);
    assert_eq!(release_with(&waiter, rest).await.unwrap(), ReleaseReply::Released);
    assert!(waiter.capabilities().queueing);
    // Nothing else was tried that is not allowed but to name the client, and a command that only
    // Valkey 9 knows.
    for refused in store.run::<Vec<redis::Value>>(&["ACL", "LOG"]) {
        let refused = format!("{refused:?}");
        let of_no_use = ["\"client\"", "\"client|setinfo\"", "\"delifeq\""];
        assert!(of_no_use.iter().any(|name| refused.contains(name)), "{refused}");
    }
}

async fn each_rule_of_the_guide_is_missed_by_its_name(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let rules = rules_of_the_guide(kind);
    let mut at_connect = Vec::new();
    for rule in rules.iter().map(String::as_str) {
        store.run::<()>(&["FLUSHALL"]);
        allow(&mut store, rules.iter().map(String::as_str).filter(|other| *other != rule));
        let log = Log::default();
        let backend = as_app(&store);
        let (ping, everything, has_queue) = log.of(async {
            let ping = Arc::clone(&backend).ping().await;
            let everything = everything(&backend).await;
            (ping, everything, backend.capabilities().queueing)
        });
        if AT_CONNECT.split(' ').any(|word| word == rule) {
            at_connect.push(rule);
            let error = ping.unwrap_err();
            is_denied(&error, rule, &format!("the command {}", &rule[1..]));
            assert!(error.is_not_applied(), "{error}");
            continue;
        }
        match rule {
            "+ping" => {
                is_denied(&ping.unwrap_err(), rule, "ping");
                everything.unwrap();
            }
            "+strlen" => is_denied(&everything.unwrap_err(), rule, "strlen"),
            "~lock:*" => is_denied(&everything.unwrap_err(), rule, "\"lock:x\""),
            "~dl:*" => is_denied(&everything.unwrap_err(), rule, "\"dl:"),
            rule if for_pushes(kind).iter().any(|other| other == rule) => {
                everything.unwrap();
                assert!(!has_queue, "{rule}");
                assert!(log.text().contains(&format!("allow it with {rule}")), "{}", log.text());
            }
            rule => {
                assert!(FOR_COMFORT.contains(&rule), "{rule} is not needed");
                everything.unwrap();
                assert_eq!(log.text().matches("WARN").count(), 0, "{}", log.text());
            }
        }
    }
    assert_eq!(at_connect.len(), AT_CONNECT.split(' ').count());
}

/// Everything that is done with a lock which somebody may want.
pub(super) async fn everything(backend: &Arc<RedisBackend>) -> Result<()> {
    everything_with(backend, "x").await
}

/// The same, with the lock of this name.
pub(super) async fn everything_with(backend: &Arc<RedisBackend>, name: &str) -> Result<()> {
    let owner = token();
    fencing(attempt(backend, name, owner, MINUTE).await?);
    let next = token();
    ask(backend, name, next, None).await?;
    ask(backend, name, next, None).await?;
    renew(backend, name, owner, HOUR).await?;
    Arc::clone(backend).status(key(name)).await?;
    release(backend, name, next).await?;
    release(backend, name, owner).await?;
    Ok(())
}

async fn what_is_taken_away_later_is_named_by_whatever_needs_it(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let rules = rules_of_the_guide(kind);
    let operator = store.backend();
    for rule in rules.iter().map(String::as_str).filter(|rule| !rule.starts_with('&')) {
        store.run::<()>(&["FLUSHALL"]);
        allow(&mut store, rules.iter().map(String::as_str));
        let backend = as_app(&store);
        let (held, _) = take(&backend, "held", MINUTE).await;
        let (rested, _) = take(&backend, "rested", MINUTE).await;
        let (wanted, _) = take(&backend, "wanted", MINUTE).await;
        take(&operator, "other", MINUTE).await;
        let (first, second) = (token(), token());
        // The second connection.
        renew(&backend, "held", held, MINUTE).await.unwrap();
        let _waiting = queue(&operator, "wanted", token(), None).await;
        let _waiting = queue(&backend, "other", first, None).await;
        allow(&mut store, rules.iter().map(String::as_str).filter(|other| *other != rule));

        let mut refused: Vec<LockError> = Vec::new();
        let mut note = |answer: Option<LockError>| refused.extend(answer);
        note(renew(&backend, "held", held, HOUR).await.err());
        note(attempt(&backend, "held", held, MINUTE).await.err());
        note(attempt(&backend, "held", token(), MINUTE).await.err());
        note(ask(&backend, "other", first, None).await.err());
        note(ask(&backend, "other", second, None).await.err());
        note(attempt(&backend, "free", token(), MINUTE).await.err());
        note(Arc::clone(&backend).status(key("held")).await.err());
        note(Arc::clone(&backend).ping().await.err());
        note(release(&backend, "other", first).await.err());
        note(release(&backend, "wanted", wanted).await.err());
        let rest = ReleaseRequest::new(key("rested"), rested, Clock::SYSTEM).with_min_hold(MINUTE);
        note(release_with(&backend, rest).await.err());
        note(release(&backend, "held", held).await.err());

        let is_missed = !FOR_COMFORT.contains(&rule)
            && rule != "+eval"
            && !for_pushes(kind)[..2].iter().any(|other| other == rule);
        assert_eq!(!refused.is_empty(), is_missed, "{rule}: {refused:?}");
        for error in refused {
            let missing = if rule.starts_with('~') { "the key" } else { &rule[1..] };
            assert_eq!(error.kind(), LockErrorKind::Denied, "{rule}: {error}");
            let text = error.to_string();
            assert!(text.contains(missing) && text.contains(rule), "{rule}: {error}");
        }
    }
}

async fn a_database_other_than_the_first_needs_one_rule_more(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let rules = rules_of_the_guide(kind);
    let url = format!("redis://app:pw@{}/3", store.server.address());
    allow(&mut store, rules.iter().map(String::as_str));
    let backend = build(RedisBackend::builder().url(url));
    is_denied(&Arc::clone(&backend).ping().await.unwrap_err(), "+select", "select");
    allow(&mut store, rules.iter().map(String::as_str).chain(["+select"]));
    until_answered(&backend).await;
}

/// Whoever was refused is not asked again at once.
async fn until_answered(backend: &Arc<RedisBackend>) {
    while Arc::clone(backend).ping().await.is_err() {
        tokio::task::yield_now().await;
    }
}

//! Bad input is refused early, by name, with what is accepted, and without the secrets in it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use distlock::{Handover, LockConfig, LockError, LockErrorKind, LockOptions, connect};
use futures_util::FutureExt;
use tracing_subscriber::fmt::MakeWriter;

#[cfg(feature = "dapr")]
mod dapr;
#[cfg(feature = "serde")]
mod file;
#[cfg(feature = "quorum")]
mod quorum;
#[cfg(feature = "redis")]
mod redis;
mod secrets;

fn refusal(url: &str) -> LockError {
    match LockConfig::from_url(url) {
        Err(error) => error,
        Ok(config) => config.check().unwrap_err(),
    }
}

fn refused(url: &str, causes: &[&str]) {
    let error = refusal(url);
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{url}: {error}");
    assert_eq!(error.operation(), Some("connect"));
    for cause in causes {
        assert!(error.to_string().contains(cause), "{url}: {error}");
    }
}

#[test]
fn urls_without_a_known_scheme_are_refused_with_the_schemes_that_there_are() {
    let all = "accepted are memory, redis, rediss, redis+unix, valkey, valkeys, valkey+unix, unix, \
               redis+sentinel, rediss+sentinel, valkey+sentinel, valkeys+sentinel, redis+cluster, rediss+cluster, valkey+cluster, valkeys+cluster, redis+quorum, \
               rediss+quorum, valkey+quorum, valkeys+quorum, dapr";
    refused("", &["is empty", "redis://localhost:6379", "memory:"]);
    refused("  ", &["is empty"]);
    refused("localhost", &["no scheme", "redis://"]);
    refused("localhost:6379", &["`localhost`", "`redis://` in front", all]);
    refused("user:secret@localhost:6379", &["no scheme"]);
    refused("redsi://localhost", &["`redsi`", "did you mean `redis`", all]);
    refused("valky://localhost", &["did you mean `valkey`", all]);
    refused(&format!("{}://h", "x".repeat(2_000)), &["xxx… (2000 characters)", all]);
    refused("http://localhost", &["`http`", all]);
}

#[test]
fn a_url_in_quotes_is_refused_with_the_cure() {
    for url in ["\"redis://h\"", "'redis://h'", " \"memory:\" ", "\"\""] {
        refused(url, &["in quotes", "remove them"]);
    }
}

#[test]
fn what_other_libraries_know_and_this_one_does_not_is_refused_with_what_to_write() {
    for url in ["redis-sentinel://a", "valkey-sentinel://:secret@a:1,b:2/main"] {
        refused(url, &["redis+sentinel://HOST:PORT,HOST:PORT/MASTER"]);
    }
    for url in ["redis-cluster://a:1", "valkey-cluster://:secret@a:1,b:2", "RedisCluster://a"] {
        refused(url, &["redis+cluster://HOST:PORT,HOST:PORT"]);
    }
    for url in ["redis://a:1,b:2", "valkeys://u:secret@a:1,b:2/0", "rediss://a,b", "redis://a:1,b"]
    {
        refused(
            url,
            &["several servers", "redis+sentinel://", "redis+cluster://", "redis+quorum://"],
        );
    }
    refused("redis-socket:///run/redis.sock", &["redis+unix:///PATH"]);
    refused("redis+tls://a", &["rediss://HOST:PORT"]);
}

#[test]
fn malformed_urls_are_refused_with_their_fault() {
    refused("memory:\u{7}x", &["control character"]);
    refused("memory:a\nb", &["line break"]);
    refused("memory:a%2", &["name contains a `%`", "%25"]);
    refused("memory:%FF", &["name is not UTF-8"]);
    refused("memory:a#b", &["fragment", "%23"]);
    refused("memory://a", &["no host", "memory:NAME"]);
    refused("memory:/a", &["no host", "memory:NAME"]);
}

#[test]
fn parameters_are_refused_by_name_value_and_what_is_accepted() {
    refused(
        "memory:?namspace=a",
        &[
            "`namspace`",
            "did you mean `namespace`",
            "accepted are namespace, response_timeout, lazy, handover_grants, handover_time, \
             program, program_version, program_host, ttl, wait, keep_alive, max_hold, min_hold, \
             on_lost, require_fencing, tls_ca_file, tls_cert_file, tls_key_file, tls_server_name, \
             key_prefix, password_file, replicas, sentinel_password_file, endpoint, \
             api_token_file",
        ],
    );
    refused("memory:?x=1", &["unknown parameter `x`; accepted are namespace"]);
    refused(
        "memory:?password=s3cret",
        &[
            "`password`; did you mean `password_file`? or write it into the URL itself, as in redis:",
        ],
    );
    refused("memory:?ttl=30", &["`ttl` is \"30\"", "has no unit; write \"30s\""]);
    refused("memory:?ttl=1d", &["`ttl` is \"1d\"", "\"5m\" or \"1h\""]);
    refused("memory:?ttl", &["`ttl` is \"\"", "not a duration"]);
    refused("memory:?response_timeout=soon", &["`response_timeout` is \"soon\""]);
    refused("memory:?replicas=256", &["`replicas` is \"256\"", "whole number, of 255 at most"]);
    refused("memory:?lazy=1", &["`lazy` is \"1\"", "`true` or `false`"]);
    refused("memory:?on_lost=stop", &["`on_lost` is \"stop\"", "`cancel` or `continue`"]);
    refused("memory:?wait=5", &["`wait` is \"5\"", "write \"5s\" or \"5ms\", or `forever`"]);
    refused("memory:?response_timeout=500", &["has no unit; write \"500ms\""]);
    refused("memory:?max_hold=never", &["`max_hold` is \"never\"", "not a duration", "or `none`"]);
    refused(
        "memory:?keep_alive=1",
        &["`keep_alive` is \"1\"", "`true`, `false` or `if_supported`"],
    );
    refused("memory:?on_lost=stop", &["`on_lost` is \"stop\"", "`cancel` or `continue`"]);
    refused("memory:?handover_grants=1024", &["\"1024\": write a whole number, of 1023 at most"]);
    refused("memory:?handover_time=5", &["`handover_time` is \"5\"", "has no unit"]);
    refused("memory:?tls_cert_file=/x", &["tls_key_file is not; set both"]);
    refused("memory:?password-file=/x", &["did you mean `password_file`"]);
    refused("memory:?keepalive=true", &["`keepalive`", "did you mean `keep_alive`"]);
    refused("memory:?ttl=1s&ttl=2s", &["`ttl` twice"]);
    refused("memory:?ttl=%zz", &["query contains a `%`"]);
    let long = "y".repeat(2_000);
    for url in [
        format!("memory:?{long}=1"),
        format!("memory:?ttl={long}"),
        format!("memory:?on_lost={long}"),
    ] {
        let text = refusal(&url).to_string();
        assert!(text.contains("yyy… (2000 characters)") && text.len() < 600, "{text}");
    }
}

#[test]
fn settings_that_no_store_accepts_are_refused_before_they_are_used() {
    refused("memory:?ttl=0s", &["ttl is 0s", "accepts 1ms to"]);
    refused("memory:?response_timeout=0s", &["response_timeout is 0s", "at least 1ms"]);
    refused("memory:?namespace=a%00b", &["namespace contains a NUL"]);
    refused("memory:?key_prefix=a%00b", &["key_prefix contains a NUL"]);
    let long = format!("memory:?namespace={}", "x".repeat(1_024));
    refused(&long, &["namespace has 1024 bytes", "room for a name within 1024"]);
}

#[test]
fn options_that_contradict_each_other_are_refused_before_the_first_lock_meets_them() {
    refused("memory:?min_hold=2m", &["min_hold is 2m, above the ttl of 60s"]);
    refused("memory:?max_hold=1s", &["max_hold is 1s, below the ttl of 60s"]);
    refused("memory:?keep_alive=true&ttl=200ms", &["ttl is 200ms, too short to be renewed"]);
    let error = refusal("memory:?min_hold=2m").to_string();
    assert!(error.starts_with("connect: min_hold"), "{error}");

    let config = LockConfig::from_url("memory:?min_hold=2m").unwrap();
    config.ttl(Duration::from_secs(300)).check().unwrap();
}

#[tokio::test]
async fn a_setter_counts_more_than_each_option_of_the_url() {
    let seconds = Duration::from_secs;
    let from = |query: &str| LockConfig::from_url(format!("memory:?{query}")).unwrap();
    // Without the setter, each of these is refused.
    from("ttl=10s&max_hold=5s").max_hold(seconds(20)).check().unwrap();
    from("ttl=10s&max_hold=5s").max_hold(None).check().unwrap();
    from("ttl=10s&min_hold=20s").min_hold(seconds(5)).check().unwrap();
    from("max_hold=5s").ttl(seconds(2)).check().unwrap();
    let error = from("ttl=10s").max_hold(seconds(5)).check().unwrap_err().to_string();
    assert!(error.contains("max_hold is 5s, below the ttl of 10s"), "{error}");

    let taken = async |config: LockConfig| {
        let locks = config.connect().await.unwrap();
        let _guard = locks.lock("x").acquire().await.unwrap();
        let again = tokio::time::timeout(seconds(1), locks.lock("x").acquire());
        again.await.map(|again| again.unwrap_err().kind()).ok()
    };
    let at_once = taken(from("wait=forever").wait(Duration::ZERO)).await;
    assert_eq!(at_once, Some(LockErrorKind::Timeout));
    assert_eq!(taken(from("wait=0s").wait_forever()).await, None);
}

#[test]
fn the_debug_text_shows_the_options_that_count() {
    let config = LockConfig::from_url("memory:?ttl=20s&max_hold=2m").unwrap();
    let config = config.max_hold(Duration::from_secs(90));
    let config = config.defaults(LockOptions::new().min_hold(Duration::from_secs(7)));
    let text = format!("{config:?}");
    let options = text.split("options: ").nth(1).unwrap();
    for option in ["ttl: 20s", "90s", "min_hold: 7s"] {
        assert!(options.contains(option), "{option}: {text}");
    }
    assert!(!text.contains("60s") && !text.contains("120s"), "{text}");
}

#[test]
fn a_url_is_parsed_into_a_configuration() {
    let config: LockConfig = "memory:name?ttl=1s".parse().unwrap();
    assert_eq!(config.to_string(), "memory:name");
    let error = "memroy:".parse::<LockConfig>().unwrap_err();
    assert_eq!(error.to_string(), refusal("memroy:").to_string());
}

#[tokio::test]
async fn options_in_the_query_are_those_of_every_lock() {
    let locks = connect("memory:?ttl=10m&max_hold=1h&wait=0s").await.unwrap();
    let guard = locks.lock("x").acquire().await.unwrap();
    assert!(guard.remaining() > Duration::from_secs(60));
    // Without the wait of the query this would last 60 s.
    let error = locks.lock("x").acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Timeout);
    let error = locks.lock("y").ttl(Duration::from_secs(7_200)).check().unwrap_err();
    assert!(error.to_string().contains("max_hold is 1h"), "{error}");
}

#[tokio::test]
async fn connect_refuses_what_the_configuration_refuses() {
    let error = connect("memory:?ttl=30").await.unwrap_err();
    assert_eq!(error.to_string(), refusal("memory:?ttl=30").to_string());
}

#[tokio::test]
async fn memory_is_shared_by_name_and_by_nothing_else() {
    let [one, same, other, nameless, another] =
        ["memory:by_name", "memory:by_name?ttl=1h", "memory:by_other", "memory:", "memory:"];
    let one = connect(one).await.unwrap();
    let _guard = one.lock("x").try_acquire().await.unwrap().unwrap();
    for (url, is_held) in [(same, true), (other, false), (nameless, false), (another, false)] {
        let locks = connect(url).await.unwrap();
        assert_eq!(locks.lock("x").try_acquire().await.unwrap().is_none(), is_held, "{url}");
    }
}

#[tokio::test]
async fn what_is_said_later_counts_and_a_lock_has_the_last_word() {
    let program = LockOptions::new().ttl(Duration::from_secs(1));
    let remaining = async |config: LockConfig| {
        let locks = config.connect().await.unwrap();
        let guard = locks.lock("x").try_acquire().await.unwrap().unwrap();
        let ttl = guard.remaining();
        guard.release().await;
        let own = locks.lock("x").ttl(Duration::from_secs(7)).acquire().await.unwrap();
        assert!(own.remaining() <= Duration::from_secs(7));
        ttl
    };
    let is_about = |ttl: Duration, secs| {
        ttl <= Duration::from_secs(secs) && ttl > Duration::from_secs(secs / 2)
    };
    let plain = LockConfig::from_url("memory:").unwrap().defaults(program.clone());
    let ttl = remaining(plain).await;
    assert!(is_about(ttl, 1), "{ttl:?}");
    let queried = LockConfig::from_url("memory:?ttl=1h").unwrap().defaults(program);
    let ttl = remaining(queried.clone()).await;
    assert!(is_about(ttl, 3_600), "{ttl:?}");
    let ttl = remaining(queried.ttl(Duration::from_secs(40 * 3_600))).await;
    assert!(is_about(ttl, 40 * 3_600), "{ttl:?}");
}

#[tokio::test]
async fn leases_are_handed_over_within_the_configured_bounds() {
    let handed_over = async |config: LockConfig| {
        let locks = config.connect().await.unwrap();
        let first = locks.lock("x").acquire().await.unwrap();
        let mut second = pin!(locks.lock("x").acquire());
        assert!(second.as_mut().now_or_never().is_none());
        first.release().await;
        let second = second.await.unwrap();
        // A grant of the store has these bits clear.
        second.fencing_token().unwrap().get() % 1_024 != 0
    };
    let from = |url: &str| LockConfig::from_url(url).unwrap();
    // Far above what a busy machine needs for this.
    assert!(handed_over(from("memory:?handover_time=1h")).await);
    assert!(!handed_over(from("memory:?handover_time=1h&handover_grants=0")).await);
    assert!(!handed_over(from("memory:?handover_time=0s")).await);
    let strict = from("memory:?handover_time=1h").handover(Handover::OFF);
    assert!(!handed_over(strict).await);
}

#[tokio::test]
async fn a_lock_takes_back_what_is_configured_for_all() {
    let url = "memory:?ttl=1h&wait=forever&keep_alive=true&max_hold=2h&min_hold=1m\
               &on_lost=continue&require_fencing=true";
    let config = LockConfig::from_url(url).unwrap();
    let locks = config.connect().await.unwrap();
    let own = LockOptions::new().wait(Duration::ZERO);
    for (lock, is_free_again) in [
        (locks.lock("all"), false),
        (locks.lock("min_hold").min_hold(Duration::ZERO), true),
        (locks.lock("own").options(own.clone()), true),
    ] {
        drop(lock.acquire().await.unwrap());
        let again = lock.wait(Duration::ZERO).try_acquire().await.unwrap();
        assert_eq!(again.is_some(), is_free_again);
    }
    // Each of these would be refused beside what is configured.
    let short = || locks.lock("x").ttl(Duration::from_secs(1)).min_hold(Duration::ZERO);
    short().fixed_lease().max_hold(None).check().unwrap();
    short().ttl(Duration::from_millis(200)).fixed_lease().allow_unfenced().check().unwrap();
    let error = short().ttl(Duration::from_millis(200)).check().unwrap_err();
    assert!(error.to_string().contains("too short to be renewed"), "{error}");
    locks.lock("x").ttl(Duration::from_secs(10_000)).max_hold(None).check().unwrap();
    let error = locks.lock("x").ttl(Duration::from_secs(10_000)).check().unwrap_err();
    assert!(error.to_string().contains("above") || error.to_string().contains("below"), "{error}");
}

#[tokio::test]
async fn the_namespace_is_kept_literally_and_plus_is_plus() {
    let a = connect("memory:literal?namespace=a%3A+b%20").await.unwrap();
    let bare = connect("memory:literal").await.unwrap();
    let _guard = a.lock("x").try_acquire().await.unwrap().unwrap();
    assert!(bare.lock("a:+b x").try_acquire().await.unwrap().is_none());
}

#[tokio::test]
async fn a_private_store_that_nobody_asked_for_is_told_in_the_log() {
    // While there is one subscriber only, `tracing` asks that of the thread which comes to an event
    // first whether anybody wants it: and other tests' threads have none.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let connected = async |config: LockConfig| {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        config.connect().await.unwrap();
        log.text()
    };
    let asked_for = connected(LockConfig::from_url("memory:x").unwrap()).await;
    assert!(!asked_for.contains("WARN"), "{asked_for}");
    let by_default = connected(LockConfig::new().default_url("memory:x").unwrap()).await;
    assert_eq!(by_default.matches("WARN distlock: ").count(), 1, "{by_default}");
    for part in ["exclude no other process", "set DISTLOCK_URL", "backend=\"memory\""] {
        assert!(by_default.contains(part), "{by_default}");
    }
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_scheme_without_its_feature_is_refused_with_the_line_for_cargo_toml() {
    for url in [
        "redis://localhost",
        "redis+unix:///run/redis.sock",
        "valkey://h",
        "unix:///s",
        "redis+sentinel://a,b/main",
    ] {
        refused(url, &["feature `redis`", "features = [\"redis\"] }"]);
    }
}

#[cfg(not(all(feature = "redis", feature = "tls")))]
#[test]
fn a_tls_url_without_both_its_features_is_refused_with_the_line_for_cargo_toml() {
    let missing = if cfg!(feature = "redis") { "feature `tls`" } else { "feature `redis`" };
    refused("rediss://localhost", &[missing, "features = [\"redis\", \"tls\"] }"]);
}

#[cfg(not(feature = "dapr"))]
#[test]
fn a_dapr_url_without_its_feature_is_refused_with_the_line_for_cargo_toml() {
    refused("dapr://lockstore", &["feature `dapr`", "features = [\"dapr\"] }"]);
}

#[test]
fn an_endpoint_with_a_user_name_is_refused_and_not_shown() {
    let config = LockConfig::from_url("memory:").unwrap().endpoint("http://user:secret@host:1");
    let error = config.check().unwrap_err();
    assert!(error.to_string().contains("takes no user name"), "{error}");
    assert!(!format!("{config:?} {error:?}").contains("secret"));
}

//! Bad input is refused early, by name, with what is accepted, and without the secrets in it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use distlock::{LockConfig, LockError, LockErrorKind, LockOptions, connect};
use proptest::prelude::*;

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
    let all = "accepted are memory, redis, rediss, redis+unix, dapr";
    refused("", &["is empty", "redis://localhost:6379", "memory:"]);
    refused("  ", &["is empty"]);
    refused("localhost", &["no scheme", "redis://"]);
    refused("localhost:6379", &["`localhost`", "`redis://` in front", all]);
    refused("user:secret@localhost:6379", &["no scheme"]);
    refused("redsi://localhost", &["`redsi`", "did you mean `redis`", all]);
    refused("unix:///run/redis.sock", &["`unix`", all]);
    refused("http://localhost", &["`http`", all]);
}

#[test]
fn malformed_urls_are_refused_with_their_fault() {
    refused("memory:\u{7}x", &["control character"]);
    refused("memory:a\nb", &["line break"]);
    refused("memory:a%2", &["name holds a `%`", "%25"]);
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
            "accepted are namespace, response_timeout, lazy, ttl, wait, keep_alive, max_hold, \
             min_hold, on_lost, require_fencing, key_prefix, mode, endpoint",
        ],
    );
    refused("memory:?db=1", &["unknown parameter `db`; accepted are namespace"]);
    refused("memory:?ttl=30", &["`ttl` is \"30\"", "has no unit; write \"30s\""]);
    refused("memory:?ttl=1d", &["`ttl` is \"1d\"", "\"5m\" or \"1h\""]);
    refused("memory:?ttl", &["`ttl` is \"\"", "no duration"]);
    refused("memory:?response_timeout=soon", &["`response_timeout` is \"soon\""]);
    refused("memory:?lazy=1", &["`lazy` is \"1\"", "`true` or `false`"]);
    refused("memory:?mode=fast", &["`mode` is \"fast\"", "`auto` or `plain`"]);
    refused("memory:?wait=5", &["`wait` is \"5\"", "write \"5s\", or `forever`"]);
    refused("memory:?max_hold=never", &["`max_hold` is \"never\"", "no duration"]);
    refused(
        "memory:?keep_alive=1",
        &["`keep_alive` is \"1\"", "`true`, `false` or `if_supported`"],
    );
    refused("memory:?on_lost=stop", &["`on_lost` is \"stop\"", "`cancel` or `continue`"]);
    refused("memory:?keepalive=true", &["`keepalive`", "did you mean `keep_alive`"]);
    refused("memory:?ttl=1s&ttl=2s", &["`ttl` twice"]);
    refused("memory:?ttl=%zz", &["query holds a `%`"]);
}

#[test]
fn settings_that_no_store_accepts_are_refused_before_they_are_used() {
    refused("memory:?ttl=0s", &["ttl is 0s", "accepts 1ms to"]);
    refused("memory:?response_timeout=0s", &["response_timeout is 0s", "at least 1ms"]);
    refused("memory:?namespace=a%00b", &["namespace holds a NUL"]);
    refused("memory:?key_prefix=a%00b", &["key_prefix holds a NUL"]);
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
async fn the_namespace_is_kept_literally_and_plus_is_plus() {
    let a = connect("memory:literal?namespace=a%3A+b%20").await.unwrap();
    let bare = connect("memory:literal").await.unwrap();
    let _guard = a.lock("x").try_acquire().await.unwrap().unwrap();
    assert!(bare.lock("a:+b x").try_acquire().await.unwrap().is_none());
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_scheme_without_its_feature_is_refused_with_the_line_for_cargo_toml() {
    for url in ["redis://localhost", "redis+unix:///run/redis.sock"] {
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

#[cfg(feature = "dapr")]
mod dapr {
    use super::*;

    #[test]
    fn malformed_dapr_urls_are_refused_with_their_fault() {
        let error = refusal("dapr://s?keep_alive=true");
        assert_eq!(error.kind(), LockErrorKind::Unsupported);
        assert!(error.to_string().contains("keep_alive is set"), "{error}");
        for url in [
            "dapr:",
            "dapr:lockstore",
            "dapr://",
            "dapr:///lockstore",
            "dapr://lockstore/x",
            "dapr://lockstore:50001",
            "dapr://user@lockstore",
        ] {
            refused(url, &["dapr://STORE"]);
        }
        refused("dapr://s?endpont=h:1", &["unknown parameter `endpont`", "`endpoint`"]);
        refused("dapr://s?endpoint=", &["endpoint is empty"]);
        refused("dapr://s?endpoint=h:0", &["1 to 65535"]);
        refused("dapr://s?endpoint=ftp://h", &["`ftp` is not supported"]);
        refused("dapr://s?endpoint=http://u%40h:1", &["takes no user name"]);
        refused("dapr://s?response_timeout=1ms", &["10ms to"]);
        refused("dapr://s?ttl=1ms", &["ttl is 1ms", "accepts 10ms"]);
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn an_endpoint_over_tls_is_refused_where_the_feature_is_off() {
        for endpoint in ["https://h:1", "h:1?tls=true"] {
            refused(&format!("dapr://s?endpoint={endpoint}"), &["feature `tls`"]);
        }
    }

    #[tokio::test]
    async fn good_dapr_urls_are_accepted_without_asking_the_sidecar() {
        for (url, shown) in [
            ("dapr://lockstore", "dapr://lockstore"),
            ("dapr://LockStore/?endpoint=127.0.0.1:50001&ttl=30s", "dapr://LockStore/"),
            ("dapr://s?endpoint=h:1?tls=false&response_timeout=1s", "dapr://s"),
            ("dapr://s?endpoint=unix:///run/dapr.sock&mode=plain&key_prefix=x", "dapr://s"),
        ] {
            let config = LockConfig::from_url(url).unwrap();
            assert_eq!(config.to_string(), shown);
            config.lazy(true).connect().await.unwrap();
        }
    }
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;

    #[test]
    fn malformed_redis_urls_are_refused_with_their_fault() {
        refused("redis:", &["no host", "redis://HOST:PORT"]);
        refused("redis:localhost", &["no host"]);
        refused("redis://", &["no host"]);
        refused("redis://:6379", &["malformed", "host"]);
        refused("redis://a@:6379", &["malformed", "host"]);
        refused("redis://localhost:0", &["port is 0"]);
        refused("redis://localhost:65536", &["malformed", "port"]);
        refused("redis://localhost:x", &["malformed", "port"]);
        refused("redis://local host", &["malformed"]);
        refused("redis://localhost/x", &["database is \"x\"", "must be a number"]);
        refused("redis://localhost/-1", &["database is \"-1\""]);
        refused("redis://localhost/0/1", &["database is \"0/1\""]);
        refused("redis://localhost/99999", &["database is \"99999\""]);
        refused("redis://localhost?db=1", &["unknown parameter `db`"]);
        refused("redis://:a/b@localhost", &["malformed", "%2F"]);
        refused("redis://:a?b@localhost", &["%3F"]);
        refused("redis://u:1#b@localhost", &["`@` behind its host", "%23"]);
        refused("redis://:100%@localhost", &["password holds a `%`", "%25"]);
        refused("redis://%FF@localhost", &["user name is not UTF-8"]);
        refused("redis://localhost?key_prefix=dl:", &["reserved"]);
        refused("redis://localhost?response_timeout=1ms", &["10ms to"]);
        refused("redis://localhost?ttl=1ms", &["ttl is 1ms", "accepts 10ms"]);
        refused("redis://localhost?ttl=9999h", &["accepts 10ms to"]);
        refused("redis+unix://run/redis.sock", &["three slashes"]);
        refused("redis+unix:///", &["absolute path"]);
        refused("redis+unix:", &["absolute path"]);
        refused("redis+unix:///s?db=x", &["database is \"x\""]);
        refused("redis+unix:///s?password=x", &["unknown parameter `password`", "db, user, pass"]);
    }

    #[tokio::test]
    async fn good_redis_urls_are_accepted_without_asking_the_server() {
        for url in [
            "redis://localhost",
            "redis://localhost/",
            "REDIS://user:p%40ss@[::1]:6380/15?namespace=a&key_prefix=&ttl=30s&mode=plain",
            "redis://:p%2Fss@10.0.0.1?response_timeout=500ms",
            " redis://localhost\n",
            "redis+unix:///run/redis.sock?db=3&user=a&pass=b%40c",
        ] {
            LockConfig::from_url(url).unwrap().lazy(true).connect().await.unwrap();
        }
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn tls_urls_are_accepted_where_the_feature_is_on() {
        for url in ["rediss://localhost", "rediss://user:a%40b@[::1]:6380/2?ttl=1s"] {
            LockConfig::from_url(url).unwrap().lazy(true).connect().await.unwrap();
        }
    }

    #[test]
    fn texts_show_the_store_and_neither_user_nor_password_nor_query() {
        for (url, shown) in [
            ("redis://user:secret@h:7/3?ttl=1s", "redis://***@h:7/3"),
            ("redis://h", "redis://h"),
            ("redis+unix:///run/s?pass=secret", "redis+unix:///run/s"),
            ("memory:name", "memory:name"),
        ] {
            let config = LockConfig::from_url(url).unwrap();
            assert_eq!(config.to_string(), shown);
            let debug = format!("{config:?}");
            assert!(debug.contains(shown) && !debug.contains("secret"), "{debug}");
        }
    }
}

/// How URLs go wrong around a user name and a password.
const SHAPES: [&str; 22] = [
    "redis://user:SECRET@h:6379/0",
    "redis://:SECRET@h",
    "redis://SECRET@h",
    "rediss://user:SECRET@h",
    "redis://user:SECRET@h:port",
    "redis://user:SECRET@h/x",
    "redis://user:SECRET@h?x=y",
    "redis://user:SECRET@h?ttl=30",
    "redis://user:SECRET@h#x",
    "redis://user:SECRET@",
    "redis://user:SECRET@:6379",
    "redis://user:SECRET@h:99999",
    "redis:/user:SECRET@h",
    "redis:user:SECRET@h",
    "redsi://user:SECRET@h",
    "user:SECRET@h:6379",
    ":SECRET@h:6379",
    "redis+unix:///s?pass=SECRET",
    "redis+unix:///s?pass=SECRET&ttl=30",
    "memory:user:SECRET@h",
    "dapr://user:SECRET@lockstore",
    "dapr://lockstore?endpoint=http://user:SECRET@h:1",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn no_text_holds_any_part_of_a_secret(
        // What follows the first delimiter would be taken for another part of the URL.
        secret in r"[A-Z0-9]{0,5}[/?#@:%&=+é \[\]\\-][A-Z0-9]{6,9}[A-Z0-9/?#@:%&=+é \[\]\\-]{0,9}",
        is_encoded: bool,
        shape in 0..SHAPES.len(),
    ) {
        // A parameter of a query can only be a secret as a whole if it is encoded.
        let is_encoded = is_encoded || SHAPES[shape].contains("pass=");
        let written = if is_encoded { percent_encode(&secret) } else { secret.clone() };
        let url = SHAPES[shape].replace("SECRET", &written);
        let texts = texts_about(&url).to_uppercase();
        for part in [secret, written] {
            let characters: Vec<char> = part.to_uppercase().chars().collect();
            for window in characters.windows(6) {
                let window = String::from_iter(window);
                prop_assert!(!texts.contains(&window), "{url:?}: {window:?} is in {texts}");
            }
        }
    }
}

/// Everything that can be printed about this URL.
fn texts_about(url: &str) -> String {
    let mut texts = String::new();
    let mut error = match LockConfig::from_url(url) {
        Err(error) => Some(error),
        Ok(config) => {
            write!(texts, "{config} {config:?} ").unwrap();
            config.check().err()
        }
    };
    if let Some(error) = error.take() {
        write!(texts, "{error} {error:?} {error:#?}").unwrap();
        let mut source = error.source();
        while let Some(cause) = source {
            write!(texts, "{cause} {cause:?}").unwrap();
            source = cause.source();
        }
    }
    texts
}

fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

#[cfg(feature = "serde")]
mod file {
    use super::*;

    fn read(file: &str) -> Result<LockConfig, toml::de::Error> {
        toml::from_str(file)
    }

    #[tokio::test]
    async fn a_file_sets_every_word() {
        let config = read(
            r#"
            url = "memory:?ttl=1s"
            namespace = "shop:"
            key_prefix = ""
            ttl = "1h"
            wait = "forever"
            keep_alive = true
            max_hold = "2h"
            min_hold = "1ms"
            on_lost = "continue"
            require_fencing = true
            response_timeout = "500ms"
            lazy = true
            mode = "plain"
            endpoint = "127.0.0.1:50001"
            "#,
        );
        let locks = config.unwrap().connect().await.unwrap();
        let guard = locks.lock("x").acquire().await.unwrap();
        assert!(guard.remaining() > Duration::from_secs(60), "the field is above the query");
    }

    #[test]
    fn bad_files_are_refused_by_key_and_value() {
        for (line, causes) in [
            ("", ["missing field", "url"]),
            ("url = 'memory:'\nttl = '30'", ["\"30\" is refused", "has no unit; write \"30s\""]),
            ("url = 'memory:'\nttl = 30", ["\"30\" is refused", "has no unit; write \"30s\""]),
            ("url = 'memory:'\nttl = true", ["boolean", "\"500ms\", \"30s\""]),
            ("url = 'memory:'\nlazy = 'true'", ["invalid type: string \"true\"", "boolean"]),
            ("url = 'memory:'\nwait = 5", ["\"5\" is refused", "write \"5s\", or `forever`"]),
            ("url = 'memory:'\nwait = true", ["boolean", "\"5m\" or \"1h\", or `forever`"]),
            ("url = 'memory:'\nkeep_alive = 1", ["invalid type: integer `1`", "boolean"]),
            ("url = 'memory:'\nnamespace = 1", ["invalid type: integer `1`", "a string"]),
            ("url = 'memory:'\nttl = '1s'\nttl = '2s'", ["duplicate", "ttl"]),
            ("url = 'memory:'\nmode = 'fast'", ["\"fast\" is refused", "`auto` or `plain`"]),
            ("url = 'memory:'\nnamspace = 'x'", ["unknown field `namspace`", "`namespace`"]),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(causes.iter().all(|cause| error.contains(cause)), "{line}: {error}");
        }
    }

    #[test]
    fn a_bad_url_in_a_file_is_refused_when_it_is_used_so_that_no_parser_quotes_it() {
        let config = read("url = 'redis://:secret@h:x'").unwrap();
        let error = config.check().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        assert!(!format!("{config} {config:?} {error} {error:?}").contains("secret"));
    }
}

//! URLs of Redis and Valkey servers.

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
    refused("redis://u:1#b@localhost", &["`@` after its host", "%23"]);
    refused("redis://:100%@localhost", &["password contains a `%`", "%25"]);
    refused("redis://%FF@localhost", &["user name is not UTF-8"]);
    refused("redis://pa,ss/word@localhost", &["`@` after its host", "%2F"]);
    refused(&format!("redis://h/{}", "x".repeat(2_000)), &["xxx… (2000 characters)"]);
    refused("valkey:localhost", &["no host", "valkey://HOST:PORT"]);
    refused("unix://run/redis.sock", &["three slashes", "unix:///run/redis.sock"]);
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

#[test]
fn malformed_urls_of_clusters_are_refused_with_their_fault() {
    refused("redis+cluster://", &["no host"]);
    refused("redis+cluster://a,", &["no host"]);
    refused("valkey+cluster://,a", &["no host"]);
    refused("redis+cluster://a,b:0", &["port is 0"]);
    refused("redis+cluster://a,b:x", &["malformed", "port"]);
    refused("redis+cluster://a,a:6379", &["\"a:6379\" is given twice"]);
    refused("redis+cluster://a/1", &["database is \"1\"", "leave it out"]);
    refused("redis+cluster://:a/b@h", &["%2F"]);
    refused("redis+cluster://a@h", &["no password"]);
    refused("redis+cluster://a?db=0", &["unknown parameter `db`"]);
    refused("redis+cluster://a?replicas=256", &["`replicas` is \"256\"", "255 at most"]);
}

#[test]
fn malformed_urls_of_sentinels_are_refused_with_their_fault() {
    refused("redis+sentinel://a:1", &["names no master", "redis+sentinel://a:1/MASTER"]);
    refused("valkey+sentinel://a,b:2/", &["names no master", "valkey+sentinel://a,b:2/MASTER"]);
    refused("redis+sentinel:///main", &["no host"]);
    refused("redis+sentinel://a,/main", &["no host"]);
    refused("redis+sentinel://,a/main", &["no host"]);
    refused("redis+sentinel://a,b:0/main", &["port is 0"]);
    refused("redis+sentinel://a,b:x/main", &["malformed", "port"]);
    refused("redis+sentinel://a,a:26379/main", &["\"a:26379\" is given twice"]);
    refused("redis+sentinel://a/main/x", &["database is \"x\"", "must be a number"]);
    refused("redis+sentinel://a/ma%2", &["name of the master contains a `%`"]);
    refused("redis+sentinel://a/my%20main", &["name of the master is \"my main\""]);
    refused("redis+sentinel://:a/b@h/main", &["%2F"]);
    refused("redis+sentinel://a/main?db=1", &["parameter `db`", "sentinel_user, sentinel_pass"]);
    refused("redis+sentinel://a/main?sentinel_user=x", &["sentinel_pass is not; set both"]);
    refused("redis://a?sentinel_user=x", &["unknown parameter `sentinel_user`"]);
}

#[test]
fn a_user_name_without_a_password_is_refused_because_it_is_most_often_the_password() {
    for url in [
        "redis://secret@h",
        "rediss://secret@h:1/2",
        "valkey+unix:///s?user=secret",
        "redis+sentinel://secret@a,b/main",
    ] {
        if url.starts_with("rediss") && cfg!(not(feature = "tls")) {
            continue;
        }
        refused(url, &["no password", "did you mean redis://:PASSWORD@HOST"]);
        let config = LockConfig::from_url(url).unwrap();
        let error = config.check().unwrap_err();
        assert!(!format!("{config} {config:?} {error} {error:?}").contains("secret"));
    }
}

#[tokio::test]
async fn good_redis_urls_are_accepted_without_asking_the_server() {
    for url in [
        "redis://localhost",
        "redis://localhost/",
        "REDIS://user:p%40ss@[::1]:6380/15?namespace=a&key_prefix=&ttl=30s",
        "redis://:p%2Fss@10.0.0.1?response_timeout=500ms",
        " redis://localhost\n",
        "redis+unix:///run/redis.sock?db=3&user=a&pass=b%40c",
        "valkey://user:p%40ss@[::1]:6380/15?ttl=1s",
        "valkey+unix:///run/valkey.sock",
        "unix:///run/redis.sock?pass=b",
        "unix:/run/redis.sock",
        "redis+sentinel://a/main",
        "Valkey+Sentinel://user:p%40ss@a:1,b,[::1]:3/my-main/2?sentinel_user=u&sentinel_pass=p%26",
        "redis+sentinel://a:1,b:2/main?ttl=30s&response_timeout=500ms",
    ] {
        LockConfig::from_url(url).unwrap().lazy(true).connect().await.unwrap();
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_urls_are_accepted_where_the_feature_is_on() {
    for url in
        ["rediss://localhost", "valkeys://:a@localhost", "rediss://user:a%40b@[::1]:6380/2?ttl=1s"]
            .into_iter()
            .chain(["rediss+sentinel://a,b/main", "valkeys+sentinel://:a@b/main"])
    {
        LockConfig::from_url(url).unwrap().lazy(true).connect().await.unwrap();
    }
}

#[test]
fn texts_show_the_store_and_neither_user_nor_password_nor_query() {
    for (url, shown) in [
        ("redis://user:secret@h:7/3?ttl=1s", "redis://***@h:7/3"),
        ("redis://h", "redis://h"),
        ("redis+unix:///run/s?pass=secret", "redis+unix:///run/s"),
        (
            "redis+sentinel://user:secret@a:1,[::1]/main/0?sentinel_pass=secret",
            "redis+sentinel://***@a:1,[::1]/main/0",
        ),
        ("memory:name", "memory:name"),
    ] {
        let config = LockConfig::from_url(url).unwrap();
        assert_eq!(config.to_string(), shown);
        let debug = format!("{config:?}");
        assert!(debug.contains(shown) && !debug.contains("secret"), "{debug}");
    }
}

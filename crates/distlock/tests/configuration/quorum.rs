//! A majority of independent stores: one URL with several hosts, or several URLs.

use super::*;

fn checked(url: &str) -> String {
    let config = LockConfig::from_url(url).unwrap();
    config.check().unwrap_or_else(|error| panic!("{url}: {error}"));
    config.to_string()
}

#[cfg(feature = "redis")]
#[test]
fn one_url_names_all_hosts_and_says_the_rest_once() {
    for (url, shown) in [
        ("redis+quorum://a,b,c", "redis+quorum://a,b,c"),
        ("redis+quorum://a:1,b:2,c:3/4", "redis+quorum://a:1,b:2,c:3/4"),
        (
            "redis+quorum://u:s%40cret@[::1]:1,[::1]:2,[fe80::1]/0",
            "redis+quorum://***@[::1]:1,[::1]:2,[fe80::1]/0",
        ),
        ("VALKEY+quorum://:secret@a,b,c?ttl=1s&namespace=x", "valkey+quorum://***@a,b,c"),
        (" redis+quorum://a,b,c,d,e\n", "redis+quorum://a,b,c,d,e"),
    ] {
        assert_eq!(checked(url), shown);
        let debug = format!("{:?}", LockConfig::from_url(url).unwrap());
        assert!(!debug.contains("cret"), "{debug}");
    }
    if cfg!(feature = "tls") {
        checked("rediss+quorum://a,b,c");
        checked("valkeys+quorum://u:p@a,b,c");
    }
}

#[cfg(feature = "redis")]
#[test]
fn malformed_quorums_are_refused_with_their_fault() {
    refused("redis+quorum://", &["no hosts", "redis+quorum://A:PORT,B:PORT,C:PORT"]);
    refused("redis+quorum:a,b,c", &["no hosts"]);
    refused("redis+quorum://a,b", &["2 members", "give it at least 3"]);
    refused("redis+quorum://a,,b", &["host `` of the URL is malformed", "remove the comma"]);
    refused("redis+quorum://a,b:x,c", &["host `b:x`", "port"]);
    refused("redis+quorum://a,b:0,c", &["port is 0"]);
    refused("redis+quorum://a,b,c/x", &["database is \"x\""]);
    refused("redis+quorum://a,b,c?db=1", &["unknown parameter `db`"]);
    refused("redis+quorum://a,b,a", &["names the server a:6379 twice", "two votes"]);
    refused("redis+quorum://a,b,A:6379", &["names the server a:6379 twice"]);
    refused("redis+quorum://u@a,b,c", &["no password", "did you mean redis://:PASSWORD@HOST"]);
    refused("redis+quorum://:sec/ret@a,b,c", &["%2F"]);
    refused("redis+quorum://a,b,c?ttl=1ms", &["the quorum backend accepts 10ms"]);
    refused("redis+quorun://a,b,c", &["did you mean `redis+quorum`"]);
    refused("redis://a,b,c", &["redis+quorum://A:PORT,B:PORT,C:PORT"]);
    refused("redis+quorum://a,b,c?require_fencing=yes", &["`true` or `false`"]);
    let error = refusal("redis+quorum://a,b,c?require_fencing=true");
    assert_eq!(error.kind(), LockErrorKind::Unsupported, "{error}");
    let text = error.to_string();
    assert!(text.contains("its own counter") && text.contains("allow_unfenced"), "{text}");
    if cfg!(not(feature = "tls")) {
        refused("rediss+quorum://a,b,c", &["feature `tls`", "\"redis\", \"tls\", \"quorum\""]);
    }
}

#[cfg(feature = "redis")]
#[test]
fn several_urls_have_credentials_of_their_own() {
    let urls = ["redis://:secret1@a", "redis://u:secret2@b:7/1", "valkey://c"];
    for config in [
        LockConfig::from_urls(urls).unwrap(),
        LockConfig::from_url(urls.join(" ")).unwrap(),
        LockConfig::from_url(format!(" {}\t", urls.join("  "))).unwrap(),
    ] {
        config.check().unwrap();
        assert_eq!(config.to_string(), "redis://***@a redis://***@b:7/1 valkey://c");
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }
    refused("redis://:a@h redis://:b@h/1 redis://i", &["names the server h:6379 twice"]);
    refused("redis://a redis://b", &["2 members"]);
    refused("redis://a redis://b redis://c?ttl=1s", &["`ttl`", "of them all", "DISTLOCK_TTL"]);
    refused("redis://a redis://b redis+quorum://c,d,e", &["a quorum itself"]);
    let error = LockConfig::from_urls(["redis://a", "redsi://b", "redis://c"]).unwrap_err();
    assert!(error.to_string().contains("did you mean `redis`"), "{error}");
    // A password with a space in it is no list.
    assert_eq!(checked("redis://:my secret@h"), "redis://***@h");
}

#[tokio::test]
async fn a_quorum_of_stores_in_memory_is_for_tests() {
    let urls = "memory:quorum-1 memory:quorum-2 memory:quorum-3";
    let locks = connect(urls).await.unwrap();
    let _guard = locks.lock("x").acquire().await.unwrap();
    let one = connect("memory:quorum-2").await.unwrap();
    assert!(one.lock("x").try_acquire().await.unwrap().is_none());
    refused("memory:q memory:q memory:r", &["two members of the quorum are at memory:q"]);
}

#[cfg(all(feature = "redis", feature = "serde"))]
#[test]
fn a_file_can_list_the_urls() {
    let file = r#"
        url = ["redis://:secret1@a", "redis://:secret2@b", "redis://:secret3@c"]
        ttl = "30s"
    "#;
    let config: LockConfig = toml::from_str(file).unwrap();
    config.check().unwrap();
    assert_eq!(config.to_string(), "redis://***@a redis://***@b redis://***@c");
    let wrong = toml::from_str::<LockConfig>("url = 7").unwrap_err().to_string();
    assert!(wrong.contains("a list of the URLs of independent stores"), "{wrong}");
}

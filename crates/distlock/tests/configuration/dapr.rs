//! URLs of Dapr lock stores.

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
        ("dapr://s?endpoint=unix:///run/dapr.sock&key_prefix=x", "dapr://s"),
    ] {
        let config = LockConfig::from_url(url).unwrap();
        assert_eq!(config.to_string(), shown);
        config.lazy(true).connect().await.unwrap();
    }
}

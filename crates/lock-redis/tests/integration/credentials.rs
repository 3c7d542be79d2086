//! Passwords in files.

use std::path::Path;
use std::sync::Arc;

use lock_core::LockErrorKind;
use lock_core::backend::LockBackend;
use lock_redis::RedisBackend;
use testbed::ServerKind;

use crate::common::*;

crate::on_every_server! {
    a_password_comes_from_a_file_and_counts_from_the_next_connection_on,
}

async fn a_password_comes_from_a_file_and_counts_from_the_next_connection_on(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let url = format!("redis://app@{}", store.server.address());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    let mut set = |password: &str| {
        let rule = format!(">{password}");
        store.run::<()>(&["ACL", "SETUSER", "app", "reset", "on", &rule, "~*", "&*", "+@all"]);
        // A changed password does not end the connections that are there.
        store.run::<()>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    };
    set("f1rst");
    std::fs::write(&file, "f1rst\n").unwrap();
    let backend = build(RedisBackend::builder().url(url).password_file(&file));
    backend.ping().await.unwrap();

    std::fs::write(&file, "s3cond\r\n").unwrap();
    set("s3cond");
    answers(&backend).await;

    // The server is told first: until the file follows, the password is refused.
    set("th1rd");
    let error = refusal(&backend).await;
    assert_eq!(error.kind(), LockErrorKind::Denied, "{error}");
    let texts = format!("{error} {error:?} {backend:?}");
    assert!(!["f1rst", "s3cond", "th1rd"].iter().any(|secret| texts.contains(secret)), "{texts}");
    std::fs::write(&file, "th1rd").unwrap();
    answers(&backend).await;

    // A file that is gone for a moment is no reason to give up.
    std::fs::remove_file(&file).unwrap();
    set("f0urth");
    let error = refusal(&backend).await;
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    let missing = format!("password_file: the file {} cannot be used", Path::display(&file));
    assert!(error.to_string().contains(&missing), "{error}");
    std::fs::write(&file, "f0urth").unwrap();
    answers(&backend).await;

    // With both passwords accepted for a while, no operation is refused.
    store.run::<()>(&["ACL", "SETUSER", "app", ">f1fth"]);
    std::fs::write(&file, "f1fth").unwrap();
    store.run::<()>(&["ACL", "SETUSER", "app", "<f0urth"]);
    backend.ping().await.unwrap();
    store.run::<()>(&["CLIENT", "KILL", "USER", "app"]);
    answers(&backend).await;
}

/// Waits until the connection that was there is gone, and returns why there is no other.
async fn refusal(backend: &Arc<RedisBackend>) -> lock_core::LockError {
    let refused = async {
        loop {
            match backend.ping().await {
                Err(error) if error.to_string().contains("could not connect") => return error,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(LIMIT, refused).await.unwrap()
}

#[test]
fn a_password_is_in_one_place_and_its_file_is_read_when_the_backend_is_built() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    let refused = |url: &str, file: &Path| {
        let built = RedisBackend::builder().url(url).password_file(file).build();
        let error = built.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        error.to_string()
    };
    let error = refused("redis://app@h", &file);
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    let error = refused("redis://app@h", Path::new("s3cret"));
    assert!(error.contains("and not the secret itself"), "{error}");
    std::fs::write(&file, "s3cret").unwrap();
    let error = refused("redis://app:s3cret@h", &file);
    assert!(error.contains("the URL has a password too"), "{error}");
    RedisBackend::builder().url("redis://h").password_file(&file).build().unwrap();
}

//! Which cryptography rustls uses is one choice for the whole process, so this is a test in a
//! process of its own.

#![cfg(feature = "tls")]

use std::sync::Arc;

use lock_core::backend::LockBackend;
use lock_redis::RedisBackend;
use rustls::crypto::CryptoProvider;
use testbed::ReservedPort;

#[tokio::test]
async fn a_backend_chooses_the_cryptography_only_when_it_connects_and_nobody_did() {
    // Nobody is there; the choice comes before the connection.
    let port = ReservedPort::reserve().unwrap();
    let url = format!("rediss://127.0.0.1:{}", port.number());
    let backend = Arc::new(RedisBackend::builder().url(url).build().unwrap());
    assert!(CryptoProvider::get_default().is_none());
    Arc::clone(&backend).ping().await.unwrap_err();
    let chosen = Arc::clone(CryptoProvider::get_default().unwrap());
    Arc::clone(&backend).ping().await.unwrap_err();
    assert!(Arc::ptr_eq(&chosen, CryptoProvider::get_default().unwrap()));
}

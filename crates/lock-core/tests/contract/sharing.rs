//! Services that share one store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::backend::AnyBackend;
use lock_core::memory::MemoryBackend;
use lock_core::{LockErrorKind, LockService};

use crate::faulty::Faulty;

const TTL: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_memory_store_refuses_to_measure_by_two_clocks() {
    let store = Arc::new(MemoryBackend::new());
    let real = LockService::new(Arc::clone(&store));
    let paused = LockService::builder(store).tokio_time().build();
    let _guard = real.lock("x").ttl(TTL).acquire().await.unwrap();
    for name in ["x", "y"] {
        let error = paused.lock(name).ttl(TTL).wait(TTL).try_acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{error}");
        assert!(error.to_string().contains("tokio_time"), "{error}");
    }
    assert!(real.lock("y").ttl(TTL).try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_backend_is_closed_by_the_last_service_that_is_shut_down() {
    let backend = Faulty::new();
    let [first, last, dropped] = [(); 3].map(|()| LockService::new(Arc::clone(&backend)));
    let guard = last.lock("x").ttl(TTL).acquire().await.unwrap();
    first.shutdown(Duration::ZERO).await;
    first.shutdown(Duration::ZERO).await;
    assert_eq!(backend.times_closed.load(Ordering::SeqCst), 0);
    assert!(guard.release().await.is_released());
    drop(dropped);
    last.shutdown(Duration::ZERO).await;
    assert_eq!(backend.times_closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_way_to_pass_a_backend_on_names_the_same_backend() {
    let backend = Faulty::new();
    let any = AnyBackend::new(Arc::clone(&backend));
    let services = [
        LockService::new(Arc::clone(&backend)),
        LockService::new(Arc::new(Arc::clone(&backend))),
        LockService::new(AnyBackend::new(Arc::new(Arc::clone(&backend)))),
        LockService::new(Arc::new(any.clone())),
        LockService::new(any),
    ];
    let [others @ .., last] = services;
    for service in others {
        service.shutdown(Duration::ZERO).await;
        assert_eq!(backend.times_closed.load(Ordering::SeqCst), 0);
    }
    last.shutdown(Duration::ZERO).await;
    assert_eq!(backend.times_closed.load(Ordering::SeqCst), 1);
}

//! Services that share one store.

use std::sync::Arc;
use std::time::Duration;

use lock_core::memory::MemoryBackend;
use lock_core::{LockErrorKind, LockService};

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

//! Channels: which runtime drives them, sockets, and ones that exist already.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_core::{LockErrorKind, LockService};
use lock_dapr::DaprBackend;
use testbed::{DaprSidecar, RedisServer, ServerKind};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Endpoint;

use crate::common::{LIMIT, MINUTE, Stand, build, soon, until};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_service_outlives_the_runtime_that_it_was_first_used_in() {
    let stand = Stand::start();
    let locks = LockService::new(build(stand.builder()));
    let guard = runtime().block_on(locks.lock("x").ttl(MINUTE).acquire()).unwrap();
    let second = runtime();
    assert!(second.block_on(locks.lock("x").try_acquire()).unwrap().is_none());
    assert!(second.block_on(guard.release()).is_released());
    let guard = second.block_on(locks.lock("x").ttl(MINUTE).acquire()).unwrap();
    // Dropped without any runtime: the background thread has one.
    drop(second);
    drop(guard);
    runtime().block_on(until(|| stand.owner("x").is_none()));
}

/// Far below the timeout of these calls.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_stands_still_or_has_ended_holds_up_no_other() {
    let stand = Stand::start();
    let locks = LockService::new(build(stand.builder().timeout(MINUTE)));
    for ends in [false, true] {
        let name = format!("held {ends}");
        let (wake, woken) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (theirs, held) = (locks.clone(), name.clone());
        let thread = std::thread::spawn(move || {
            let first = runtime();
            let guard = first.block_on(theirs.lock(held).ttl(MINUTE).acquire()).unwrap();
            let idle = if ends { None } else { Some(first) };
            begin.send(()).unwrap();
            woken.recv().ok();
            drop((guard, idle));
        });
        begun.await.unwrap();
        let calls = async {
            assert!(locks.lock(name).try_acquire().await.unwrap().is_none());
            let guard = locks.lock("free").ttl(MINUTE).try_acquire().await.unwrap().unwrap();
            assert!(guard.release().await.is_released());
        };
        soon(SOON, calls).await;
        drop(wake);
        thread.join().unwrap();
    }
}

#[test]
fn a_runtime_needs_neither_io_nor_timers() {
    let mut stand = Stand::start();
    let locks = LockService::new(build(stand.builder()));
    let bare = Builder::new_current_thread().build().unwrap();
    let guard = bare.block_on(locks.lock("x").ttl(MINUTE).wait(LIMIT).acquire()).unwrap();
    assert!(bare.block_on(guard.release()).is_released());
    stand.sidecar.kill();
    let waiting = locks.lock("x").wait(Duration::from_secs(1)).acquire();
    let error = bare.block_on(waiting).unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn an_attempt_that_is_left_with_its_runtime_is_undone() {
    let mut stand = Stand::start();
    let locks = LockService::new(build(stand.builder().timeout(Duration::from_secs(1))));
    let first = runtime();
    first.block_on(locks.ping()).unwrap();
    stand.sidecar.freeze().unwrap();
    first.block_on(async {
        let attempt = std::pin::pin!(locks.lock("x").ttl(MINUTE).try_acquire());
        let soon = tokio::time::timeout(Duration::from_millis(100), attempt);
        assert!(soon.await.is_err());
    });
    drop(first);
    stand.sidecar.thaw().unwrap();
    let second = runtime();
    second.block_on(async {
        locks.lock("x").ttl(MINUTE).wait(LIMIT).acquire().await.unwrap().release().await;
        until(|| stand.owner("x").is_none()).await;
    });
}

#[tokio::test]
async fn a_unix_socket_is_an_endpoint_too() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
    let settings = DaprSidecar::before(redis.address()).socket_directory(directory.path());
    let sidecar = settings.start().unwrap();
    let path = sidecar.socket().unwrap();
    for endpoint in [format!("unix:{}", path.display()), format!("unix://{}", path.display())] {
        let backend = build(DaprBackend::builder("lockstore").endpoint(endpoint));
        let locks = LockService::new(Arc::clone(&backend));
        let guard = locks.lock("x").acquire().await.unwrap();
        assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
        assert!(guard.release().await.is_released());
        assert!(format!("{backend:?}").contains("grpc.socket"), "{backend:?}");
    }
    let missing = format!("unix:{}/none", directory.path().display());
    let backend = build(DaprBackend::builder("lockstore").endpoint(missing));
    let error = soon(LIMIT, backend.ping()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(error.is_not_applied(), "{error}");
}

#[tokio::test]
async fn an_existing_channel_is_used_as_it_is() {
    let mut stand = Stand::start();
    let endpoint = Endpoint::from_shared(format!("http://{}", stand.sidecar.address())).unwrap();
    let builder = DaprBackend::builder("lockstore").channel(endpoint.connect_lazy());
    let locks = LockService::new(build(builder.timeout(Duration::from_secs(1))));
    assert!(locks.lock("x").acquire().await.unwrap().release().await.is_released());
    stand.sidecar.restart().unwrap();
    // It reconnects by itself.
    locks.lock("x").wait(LIMIT).acquire().await.unwrap().release().await;
}

#[tokio::test]
async fn a_closed_backend_refuses() {
    let stand = Stand::start();
    let backend = stand.backend();
    let locks = LockService::new(Arc::clone(&backend));
    let guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
    locks.shutdown(Duration::ZERO).await;
    assert!(!guard.is_held());
    assert_eq!(stand.owner("x"), None);
    assert_eq!(backend.ping().await.unwrap_err().kind(), LockErrorKind::ShutDown);
}

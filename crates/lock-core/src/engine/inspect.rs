//! What people ask for who look after a store: to see a lock, to list those that are held, to take
//! one away from its holder.

use std::collections::BTreeMap;
use std::future::Future;

use crate::backend::{AnyBackend, EvictRequest, ListRequest, LockBackend, LockKey, ReleaseReply};
use crate::engine::held::ServiceContext;
use crate::sync::panics;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::holder::HolderId;
use crate::types::name::LockName;
use crate::types::server_info::ServerInfo;
use crate::types::status::{HeldLock, LockStatus, ReleaseOutcome};

/// What the store says of a lock, and how many wait for it.
pub(crate) async fn status(context: &ServiceContext, key: &LockKey) -> Result<Option<LockStatus>> {
    let looked = key.clone();
    let mut status = asked(context, |backend| async move { backend.status(looked).await }).await?;
    if let Some(status) = &mut status {
        count_own_waiters(context, key, status);
    }
    Ok(status)
}

/// What the servers of the store say of themselves.
pub(crate) async fn servers(context: &ServiceContext) -> Result<Vec<ServerInfo>> {
    context.ensure_open()?;
    asked(context, |backend| async move { backend.servers().await }).await
}

/// Whether the store answers.
pub(crate) async fn ping(context: &ServiceContext) -> Result<()> {
    context.ensure_open()?;
    asked(context, |backend| async move { backend.ping().await }).await
}

/// All locks whose names begin so, in the order of their names.
pub(crate) async fn list(
    context: &ServiceContext,
    namespace: &str,
    prefix: &str,
) -> Result<Vec<HeldLock>> {
    context.ensure_open()?;
    let mut held = BTreeMap::new();
    let mut request = ListRequest::new(format!("{namespace}{prefix}"));
    loop {
        let next = request.clone();
        let part = asked(context, |backend| async move { backend.list(next).await }).await?;
        for (key, mut status) in part.locks {
            // A key that is the namespace alone is no lock of this service.
            let name = key.as_str().strip_prefix(namespace).map(LockName::new);
            if let Some(Ok(name)) = name {
                count_own_waiters(context, &key, &mut status);
                held.entry(name).or_insert(status);
            }
        }
        match part.next {
            Some(next) => request = request.after(next),
            None => break,
        }
        context.ensure_open()?;
    }
    Ok(held.into_iter().map(|(name, status)| HeldLock::new(name, status)).collect())
}

/// Takes a lock from this holder, by the background: what has begun is finished.
pub(crate) async fn force_release(
    context: &ServiceContext,
    key: LockKey,
    holder: Option<HolderId>,
) -> Result<ReleaseOutcome> {
    let store = context.store().clone();
    let Some(holder) = holder.filter(|_| store.capabilities().inspect) else {
        let message = if store.capabilities().inspect {
            "the store does not report who holds the lock, so it cannot be released by force".into()
        } else {
            format!(
                "the {} backend cannot show who holds a lock, so none can be released by force",
                store.kind()
            )
        };
        return Err(LockError::new(LockErrorKind::Unsupported, message).not_applied());
    };
    let (tell, told) = tokio::sync::oneshot::channel();
    context.background().spawn(async move {
        let request = EvictRequest::new(key, holder, store.clock());
        let evicting = panics::caught(async { store.backend().evict(request).await });
        let answer = evicting.await;
        store.heard(&answer);
        // Whoever asked may have gone.
        tell.send(answer).ok();
    });
    let ended = "the runtime of the service has ended";
    let reply = told.await.map_err(|_| LockError::new(LockErrorKind::Unknown, ended))??;
    Ok(match reply {
        ReleaseReply::Released => ReleaseOutcome::Released,
        ReleaseReply::NotHeld => ReleaseOutcome::AlreadyExpired,
        ReleaseReply::HeldByOther => ReleaseOutcome::HeldByOther,
    })
}

/// Asks the store something that its caller waits for, and takes note of whether it answers.
async fn asked<T, F>(context: &ServiceContext, ask: impl FnOnce(AnyBackend) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let asking = panics::caught(ask(context.store().backend().clone()));
    let answer = context.background().in_runtime(asking).await;
    context.store().heard(&answer);
    answer
}

/// One of this service's tasks stands in the store's queue for the others.
fn count_own_waiters(context: &ServiceContext, key: &LockKey, status: &mut LockStatus) {
    if let Some(waiters) = &mut status.waiters {
        *waiters += context.queues().waiting(key) as u64;
    }
}

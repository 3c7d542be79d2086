//! Tools for people who look after a store.

use std::future::Future;

use crate::api::service::LockService;
use crate::engine::inspect;
use crate::types::error::{LockError, Result};
use crate::types::name::LockName;
use crate::types::server_info::ServerInfo;
use crate::types::status::{HeldLock, LockStatus, ReleaseOutcome};

impl LockService {
    /// Lists the held locks of this service's namespace whose names begin with `prefix`, whoever
    /// holds them, in the order of their names; an empty prefix lists all of them.
    ///
    /// It is meant for people, not for programs that decide something: a lock that is held during
    /// the whole call is in the list, and one that is taken or released meanwhile may or may not be
    /// in it. If a server fails over meanwhile, locks may be missing.
    ///
    /// # Cost
    ///
    /// On Redis it goes through all keys of the server, whatever the prefix: one step for some
    /// hundred keys, and another one for the locks among them. So no step holds up other clients for
    /// long, but a server with ten million keys is asked twenty thousand times. A quorum asks several of its members for their lists, and a majority about each name.
    ///
    /// On Redis with an empty key prefix and an empty namespace, every text that is stored on the
    /// server counts as a lock.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use distlock::LockService;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let locks = LockService::memory();
    /// let _guard = locks.lock("order:42").acquire().await.unwrap();
    /// let held = locks.list("order:").await.unwrap();
    /// assert_eq!(held[0].name.as_str(), "order:42");
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Unsupported`](crate::LockErrorKind::Unsupported) if the backend cannot list locks.
    /// - [`Unavailable`](crate::LockErrorKind::Unavailable) if the store did not answer.
    /// - [`Denied`](crate::LockErrorKind::Denied) if it forbids what a list needs.
    /// - [`ShutDown`](crate::LockErrorKind::ShutDown) if the service was shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub fn list(
        &self,
        prefix: &str,
    ) -> impl Future<Output = Result<Vec<HeldLock>>> + Send + 'static + use<> {
        let (context, namespace) = self.parts();
        let prefix = prefix.to_owned();
        async move {
            let listed = inspect::list(&context, &namespace, &prefix).await;
            listed.map_err(|error| error.with_operation("list"))
        }
    }

    /// What the servers of the store say of themselves: their versions, their roles, and what of
    /// their settings matters for locks.
    ///
    /// It is meant for people; a program that wants to know what a store can do asks for the
    /// [`capabilities`](Self::capabilities). On Redis it is one `INFO` and one `TIME` for each server
    /// that has keys; a quorum asks all its members. A server that does not answer is among them,
    /// with the reason under `error`, as long as another one does. The memory store and the Dapr
    /// sidecar have nothing to say.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use distlock::LockService;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # let locks = LockService::memory();
    /// for server in locks.servers().await.unwrap() {
    ///     println!("{}: {}", server.address, server.fact("version").unwrap_or("unknown"));
    /// }
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](crate::LockErrorKind::Unavailable) if no server answered.
    /// - [`ShutDown`](crate::LockErrorKind::ShutDown) if the service was shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub fn servers(
        &self,
    ) -> impl Future<Output = Result<Vec<ServerInfo>>> + Send + 'static + use<> {
        let (context, _) = self.parts();
        async move { inspect::servers(&context).await.map_err(|error| error.with_operation("servers")) }
    }

    /// Takes a lock from the holder that a [`status`](Self::status) has shown, so that others can
    /// acquire it.
    ///
    /// **It is a tool for people**, for a lock whose holder is known to be dead, such as a process
    /// on a machine that was switched off, and whose ttl is too long to wait for. If the holder
    /// still runs, two run at once: it learns of it at its next renewal, or at the end of its
    /// lease, and only [fencing tokens](crate::FencingToken) keep it from writing. A program should
    /// never have to call it; use shorter leases instead.
    ///
    /// Only that very grant is ended. It ends as if its holder had released it: the next in the
    /// queue gets the lock, with a larger fencing token. If only the name is still taken for the
    /// rest of a `min_hold`, that ends. A value that a program without this library stored is
    /// deleted if it is still the same.
    ///
    /// - [`Released`](ReleaseOutcome::Released): the holder has lost the lock.
    /// - [`HeldByOther`](ReleaseOutcome::HeldByOther): somebody else holds the lock by now; nothing
    ///   was done.
    /// - [`AlreadyExpired`](ReleaseOutcome::AlreadyExpired): nobody holds it any more; nothing was
    ///   done.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use distlock::{LockService, ReleaseOutcome};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # let locks = LockService::memory();
    /// # let _guard = locks.lock("report").acquire().await.unwrap();
    /// if let Some(shown) = locks.status("report").await.unwrap() {
    ///     // Somebody looks at `shown.holder`, and decides.
    ///     let outcome = locks.force_release("report", &shown).await.unwrap();
    ///     assert_eq!(outcome, ReleaseOutcome::Released);
    /// }
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Unsupported`](crate::LockErrorKind::Unsupported) if the backend cannot show who holds a
    ///   lock, or did not say it of this one; on a quorum also if another program holds it.
    /// - [`Unknown`](crate::LockErrorKind::Unknown) or
    ///   [`Unavailable`](crate::LockErrorKind::Unavailable) if the store did not answer: it may have
    ///   been done.
    /// - [`ShutDown`](crate::LockErrorKind::ShutDown) if the service was shut down.
    /// - The errors of [`Lock::check`](crate::Lock::check).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped after it was polled, the release goes on.
    pub async fn force_release<N>(&self, name: N, shown: &LockStatus) -> Result<ReleaseOutcome>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        self.lock(name).force_release(shown).await
    }
}

//! The two links to a server, and which of them carries a command.
//!
//! Nobody's command may depend on a runtime that its caller does not run in: such a runtime can
//! stand still, or end.
//! So the first link is used by the tasks of the one runtime that drives it, which is fastest, and
//! the second one, which the library's own thread drives, by everybody else: the background, the
//! tasks of other runtimes, and threads without a runtime.
//! While one link cannot be used, the other one is better than none.

use std::sync::Arc;

use lock_core::Instant;
use lock_core::backend::{Clock, Lane};
use tokio::runtime::Id;

use crate::wire::confirmer::Confirmer;
use crate::wire::connection::Connection;
use crate::wire::doomed::Doomed;
use crate::wire::failure::Failure;
use crate::wire::link::{Link, NoConnection, Patience, Standing};
use crate::wire::runtime::user_runtime;

/// The links to one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pair {
    /// None where there is only one connection.
    callers: Option<Link>,
    background: Link,
    /// What a command lies in that may run late.
    doomed: Arc<Doomed>,
    /// Where replicas are to confirm what is written.
    confirmer: Option<Confirmer>,
}

impl Pair {
    pub(crate) fn new(callers: Option<Link>, background: Link) -> Self {
        Self { callers, background, doomed: Arc::default(), confirmer: None }
    }

    /// Says that replicas of the server are to confirm what is written.
    pub(crate) fn confirmed_by(self, confirmer: Option<Confirmer>) -> Self {
        Self { confirmer, ..self }
    }

    /// Who asks the replicas of the server, if they are to be asked.
    pub(crate) fn confirmer(&self) -> Option<&Confirmer> {
        self.confirmer.as_ref()
    }

    /// A connection for a command of this lane, made if it is not there.
    ///
    /// Nothing was sent when it fails.
    pub(crate) async fn connection(
        &self,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        let here = if lane == Lane::Caller { user_runtime() } else { None };
        self.connection_from(here, lane, deadline).await
    }

    /// The connection over which a release keeps its place in the order of its caller's commands.
    ///
    /// A task without a runtime may send its next command from the runtime that drives the first
    /// link, as a thread does that blocks on one call after the other.
    pub(crate) async fn connection_in_order(
        &self,
        here: Option<Id>,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        if lane == Lane::Caller
            && here.is_none()
            && !self.doomed.are_any()
            && let Some(connection) = self.callers.as_ref().and_then(Link::up)
        {
            return Ok(connection);
        }
        self.connection_from(here, lane, deadline).await
    }

    /// A plain command was sent over this connection and not answered: the connection is ended
    /// before anything else is sent.
    pub(crate) fn doom(&self, connection: &Connection) {
        if let Some(identity) = connection.identity() {
            self.doomed.add(identity.clone());
        }
    }

    /// The connections that are up.
    pub(crate) fn up(&self) -> impl Iterator<Item = Arc<Connection>> {
        self.callers.as_ref().and_then(Link::up).into_iter().chain(self.background.up())
    }

    /// The connection that the library's own thread drives, if it is up.
    pub(crate) fn up_in_background(&self) -> Option<Arc<Connection>> {
        self.background.up()
    }

    /// Whether connections are to be ended before anything else is sent.
    pub(crate) fn has_doomed(&self) -> bool {
        self.doomed.are_any()
    }

    /// Where the server is, for people.
    pub(crate) fn address(&self) -> &str {
        self.background.address()
    }

    /// Ends the connections for good.
    pub(crate) fn close(&self) {
        if let Some(callers) = &self.callers {
            callers.close();
        }
        self.background.close();
        if let Some(confirmer) = &self.confirmer {
            confirmer.close();
        }
    }

    async fn connection_from(
        &self,
        here: Option<Id>,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        loop {
            // What is usual needs no more than this, and no place in the futures of requests.
            let connection = match self.visit(here) {
                Some((_, Standing::Own(connection))) => connection,
                visited => Box::pin(self.choose(visited, deadline)).await?,
            };
            // What the background sends is repeated by the core.
            let is_doubtful = lane == Lane::Caller && connection.is_doubtful();
            if is_doubtful && !Box::pin(connection.answers(deadline)).await {
                continue;
            }
            if self.doomed.are_any() {
                Box::pin(self.doomed.end_over(&connection, deadline)).await?;
            }
            return Ok(connection);
        }
    }

    fn visit(&self, here: Option<Id>) -> Option<(Id, Standing)> {
        let here = here?;
        Some((here, self.callers.as_ref()?.visit(here)))
    }

    async fn choose(
        &self,
        visited: Option<(Id, Standing)>,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        let Some(callers) = &self.callers else {
            return over(&self.background, None, deadline).await;
        };
        match visited {
            Some((_, Standing::Own(connection))) => return Ok(connection),
            Some((here, Standing::Coming)) => {
                return self.over_callers(callers, here, deadline).await;
            }
            Some((here, Standing::Vacant { moves })) => {
                if !moves
                    && let Some(connection) = self.background.up()
                    && !connection.is_doubtful()
                {
                    return Ok(connection);
                }
                return self.over_callers(callers, here, deadline).await;
            }
            Some((_, Standing::Foreign | Standing::Unfit)) | None => {}
        }
        over(&self.background, Some(callers), deadline).await
    }

    async fn over_callers(
        &self,
        callers: &Link,
        here: Id,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        match over_or_foreign(callers, Some(&self.background), deadline).await {
            Ok(connection) => Ok(connection),
            Err(NoConnection::Failed(failure)) if !callers.is_unfit(here) => Err(failure),
            Err(_) => over(&self.background, Some(callers), deadline).await,
        }
    }
}

async fn over(
    link: &Link,
    spare: Option<&Link>,
    deadline: Instant,
) -> Result<Arc<Connection>, Failure> {
    over_or_foreign(link, spare, deadline).await.map_err(|missing| match missing {
        NoConnection::Failed(failure) => failure,
        NoConnection::Foreign => {
            Failure::unavailable("another runtime drives the connection").not_applied()
        }
    })
}

/// Over this link, or the spare one if only that is up.
async fn over_or_foreign(
    link: &Link,
    spare: Option<&Link>,
    deadline: Instant,
) -> Result<Arc<Connection>, NoConnection> {
    let up = || spare.and_then(Link::up);
    if up().is_none() {
        return link.connection(deadline, Patience::Full).await;
    }
    // Half of the time is left for the spare one.
    let now = Clock::SYSTEM.now();
    let half = now + deadline.saturating_duration_since(now) / 2;
    let connected = link.connection(half, Patience::None).await;
    connected.or_else(|missing| up().ok_or(missing))
}

//! Asking whether the store answers.

use futures_util::future::select_ok;
use lock_core::Instant;
use lock_core::backend::Lane;

use crate::ops::parts::Parts;
use crate::topology::home::Home;
use crate::wire::confirmer::wait_for_nobody;
use crate::wire::failure::Failure;
use crate::wire::greeting;

/// Succeeds if one server of those that have keys answers.
pub(crate) async fn ping(parts: &Parts, deadline: Instant) -> Result<(), Failure> {
    let servers = parts.topology.servers(false, deadline).await?;
    let pings = servers.iter().map(|server| Box::pin(at(parts, &server.home, deadline)));
    select_ok(pings).await.map(|_| ())
}

async fn at(parts: &Parts, home: &Home<'_>, deadline: Instant) -> Result<(), Failure> {
    let connection = home.route(Lane::Caller).connection(deadline).await?;
    connection.send(greeting::ping(), deadline).await?;
    if parts.asks_replicas {
        // It waits for nobody, and says whether it may be used.
        connection.send(wait_for_nobody(), deadline).await?;
    }
    Ok(())
}

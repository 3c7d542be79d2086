//! Asking whether the store answers.

use futures_util::future::select_ok;
use lock_core::Instant;
use lock_core::backend::Lane;

use crate::topology::Topology;
use crate::topology::home::Home;
use crate::wire::failure::Failure;
use crate::wire::greeting;

/// Succeeds if one server of those that have keys answers.
pub(crate) async fn ping(topology: &Topology, deadline: Instant) -> Result<(), Failure> {
    let homes = topology.homes(deadline).await?;
    let pings = homes.iter().map(|home| Box::pin(at(home, deadline)));
    select_ok(pings).await.map(|_| ())
}

async fn at(home: &Home<'_>, deadline: Instant) -> Result<(), Failure> {
    let connection = home.route(Lane::Caller).connection(deadline).await?;
    connection.send(greeting::ping(), deadline).await.map(drop)
}

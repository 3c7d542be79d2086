//! Asks nodes of a cluster who has which slots.

use std::sync::Arc;

use lock_core::message_text::quoted;
use lock_core::{Instant, LockErrorKind};
use redis::{Pipeline, Value};

use crate::topology::address::Address;
use crate::topology::cluster::settings::Settings;
use crate::topology::cluster::view::View;
use crate::topology::gather::gather;
use crate::wire::channel::Channel;
use crate::wire::connection::Connection;
use crate::wire::credentials::Credentials;
use crate::wire::failure::{Failure, Forbidden};
use crate::wire::greeting;
use crate::wire::health::Health;
use crate::wire::refusal::lacking;

/// So many are asked at once.
pub(super) const AT_ONCE: usize = 5;

/// How nodes are asked.
pub(super) struct Asking<'a> {
    pub(super) settings: &'a Settings,
    pub(super) credentials: &'a Credentials,
    /// A connection to a node that is up.
    pub(super) up: &'a (dyn Fn(&Address) -> Option<Arc<Connection>> + Send + Sync),
    /// It may be a connection that a runtime of the user's drives.
    pub(super) by_any: bool,
}

impl Asking<'_> {
    fn connection_waits(&self, by: Instant) -> Instant {
        if self.by_any { Instant::FAR_FUTURE } else { by }
    }
}

/// Asks these nodes until some have answered: the first of them at once, and others only if none of
/// those answers.
pub(super) async fn some_of(
    how: &Asking<'_>,
    nodes: &[Address],
    by: Instant,
) -> Result<Vec<View>, Failure> {
    let mut failed = Vec::new();
    for nodes in nodes.chunks(AT_ONCE) {
        let said = gather(nodes.iter().map(|node| ask(how, node, by)), |_| 1, by).await;
        let mut views = Vec::new();
        for (node, said) in nodes.iter().zip(said) {
            match said {
                Ok(view) => views.push(view),
                Err(failure) => failed.push((node, failure)),
            }
        }
        if !views.is_empty() {
            return Ok(views);
        }
    }
    Err(nobody(&failed))
}

fn nobody(failed: &[(&Address, Failure)]) -> Failure {
    let told = failed
        .iter()
        .map(|(node, failure)| format!("{}: {}", quoted(&node.to_string()), failure.message()));
    let text = told.collect::<Vec<_>>().join("; ");
    let mut kinds = failed.iter().map(|(_, failure)| failure.kind);
    // Trying again cannot help if it helps with none of them.
    let first = kinds.next().unwrap_or(LockErrorKind::Unavailable);
    let kind = if kinds.all(|kind| kind == first) { first } else { LockErrorKind::Unavailable };
    Failure::new(kind, format!("no node of the cluster says who has which slots: {text}"))
        .not_applied()
}

/// Over a connection that is up, or one that is made for it.
async fn ask(how: &Asking<'_>, node: &Address, by: Instant) -> Result<View, Failure> {
    let mut asking = Pipeline::new();
    asking.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("NODES");
    let answers = match (how.up)(node) {
        // A runtime of the user's may drive the connection and stand still for a while, which is no
        // reason to give the connection up. Whoever asks waits until `by` only.
        Some(connection) => connection.send_all(&asking, how.connection_waits(by)).await?,
        None => {
            let client = node.client(&how.settings.data)?;
            let ready = how.credentials.read_again(&client)?;
            let health = Arc::new(Health::new(None));
            let connection = greeting::open(&ready, &health).await?;
            let answers = Channel::Connection(connection).send_all(&asking).await?;
            answers.into_iter().map(answered).collect()
        }
    };
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_else(|| Err(Failure::unavailable("no answer")));
    let (slots, nodes) = (next().map_err(refused)?, next());
    // Who may not ask for the numbers relies on what most of them say.
    Ok(View::read(&slots, nodes.ok().as_ref(), node)?)
}

fn answered(reply: Value) -> Result<Value, Failure> {
    match reply {
        Value::ServerError(error) => Err(Failure::from(redis::RedisError::from(error))),
        reply => Ok(reply),
    }
}

/// What a server means that does not say who has which slots.
fn refused(failure: Failure) -> Failure {
    match failure.forbidden {
        Some(Forbidden::Command(_)) => failure.with_message(lacking(&["cluster|slots"])),
        // `ERR This instance has cluster support disabled`.
        None if failure.kind == LockErrorKind::Backend => Failure::new(
            LockErrorKind::InvalidConfig,
            "the server is not a node of a cluster; write redis://HOST:PORT for a single server",
        ),
        _ => failure,
    }
}

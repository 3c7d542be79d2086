//! Finding the locks that are held: through the whole key space, step by step.

use lock_core::backend::{Lane, ListCursor, ListReply, ListRequest, LockKey};
use lock_core::{LockErrorKind, LockName};
use redis::{Cmd, Value};

use crate::ops::parts::Parts;
use crate::ops::status::look;
use crate::protocol::keys::Keys;
use crate::protocol::reply;
use crate::protocol::scan::{Place, pattern};
use crate::wire::failure::{Failure, OfCluster};

/// How many keys the server looks at in a step, about: it takes a fraction of a millisecond, during
/// which it serves nobody else.
const STEP: usize = 500;

/// One step of `SCAN` at one server, and what the locks among its keys are.
pub(crate) async fn list(parts: &Parts, request: &ListRequest) -> Result<ListReply, Failure> {
    let place = match &request.cursor {
        None => Place::BEGIN,
        Some(cursor) => Place::read(cursor.as_str()).ok_or_else(foreign_cursor)?,
    };
    let deadline = parts.deadline();
    // A list that begins must not leave a node out that is new.
    let is_first = request.cursor.is_none();
    let servers = parts.topology.homes(is_first, deadline).await?;
    let Some(server) = servers.get(place.server) else {
        return Ok(ListReply::new(Vec::new()));
    };
    let connection = server.route(Lane::Caller).connection(deadline).await?;
    let mut scan = Cmd::new();
    scan.arg("SCAN").arg(place.cursor);
    scan.arg("MATCH").arg(pattern(&parts.key_prefix, &request.prefix));
    scan.arg("COUNT").arg(STEP).arg("TYPE").arg("string");
    let answer = connection.send(scan, deadline).await;
    let answer = parts.named(answer, &connection, &[] as &[&str], deadline).await?;
    let (cursor, found) = connection.judge(reply::scanned(&answer))?;

    let locks = found.iter().filter_map(|spelled| key(parts, spelled));
    let locks = locks.filter_map(|key| Some((Keys::new(&parts.key_prefix, &key).ok()?, key)));
    let (keys, names): (Vec<_>, Vec<_>) = locks.unzip();
    let mut held = Vec::new();
    if !keys.is_empty() {
        let looked = look(parts, &connection, &keys, "GETRANGE", deadline).await?;
        for (name, looked) in names.into_iter().zip(looked) {
            match looked {
                Ok(Some(status)) => held.push((name, status)),
                Ok(None) => {}
                // It has become something else since it was found.
                Err(failure) if failure.kind == LockErrorKind::Backend => {}
                // It has gone to another node since, with its key.
                Err(failure) if is_on_its_way(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    let reply = ListReply::new(held);
    Ok(match place.next(cursor, servers.len()) {
        Some(next) => reply.with_next(ListCursor::new(next.to_string())),
        None => reply,
    })
}

/// The lock whose Redis key this is.
fn key(parts: &Parts, spelled: &Value) -> Option<LockKey> {
    let spelled = std::str::from_utf8(reply::text(spelled)?).ok()?;
    let name = LockName::new(spelled.strip_prefix(&*parts.key_prefix)?).ok()?;
    LockKey::new("", name).ok()
}

/// Not if the whole slot is elsewhere: what still has the key then is a replica.
fn is_on_its_way(failure: &Failure) -> bool {
    matches!(failure.of_cluster.as_deref(), Some(OfCluster::Ask(_) | OfCluster::TryAgain))
}

fn foreign_cursor() -> Failure {
    let message = "the cursor of the list is not one of this backend";
    Failure::new(LockErrorKind::InvalidConfig, message).not_applied()
}

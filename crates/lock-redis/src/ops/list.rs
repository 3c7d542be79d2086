//! Finding the locks that are held: through the whole key space, step by step.

use lock_core::backend::{Lane, ListCursor, ListReply, ListRequest, LockKey};
use lock_core::{Instant, LockErrorKind, LockName, LockStatus};
use redis::{Cmd, Value};

use crate::ops::parts::Parts;
use crate::ops::status::look;
use crate::protocol::keys::Keys;
use crate::protocol::reply;
use crate::protocol::scan::{Walk, pattern};
use crate::topology::home::{Home, Server};
use crate::topology::tries::Tries;
use crate::wire::failure::Failure;

/// How many keys the server looks at in a step, about: it takes a fraction of a millisecond, during
/// which it serves nobody else.
const STEP: usize = 500;

/// One step of `SCAN` at one server, and what the locks among its keys are.
pub(crate) async fn list(parts: &Parts, request: &ListRequest) -> Result<ListReply, Failure> {
    let begun = match &request.cursor {
        None => None,
        Some(cursor) => Some(Walk::read(cursor.as_str()).ok_or_else(foreign_cursor)?),
    };
    let deadline = parts.deadline();
    // A list that begins must not leave a server out that is new.
    let mut anew = begun.is_none();
    let mut tries = Tries::default();
    loop {
        let servers = parts.topology.servers(anew, deadline).await?;
        anew = false;
        let mut walk = begun.clone().unwrap_or_default();
        let Some(server) = turn(&mut walk, &servers) else {
            return Ok(ListReply::new(Vec::new()));
        };
        let listed = step(parts, request, &server.home, &mut walk, deadline).await;
        match listed {
            Ok(held) => {
                let reply = ListReply::new(held);
                let goes_on = turn(&mut walk, &servers).is_some() || {
                    // So must one that ends.
                    let servers = parts.topology.servers(true, deadline).await?;
                    turn(&mut walk, &servers).is_some()
                };
                return Ok(if goes_on {
                    reply.with_next(ListCursor::new(walk.to_string()))
                } else {
                    reply
                });
            }
            Err(failure) => server.home.again(failure, &mut tries, deadline).await?,
        }
    }
}

/// The server to go on at.
fn turn<'a, 's>(walk: &mut Walk, servers: &'a [Server<'s>]) -> Option<&'a Server<'s>> {
    servers.get(walk.turn(servers.iter().map(|server| (&*server.name, &*server.slots)))?)
}

/// The next locks at this server.
async fn step(
    parts: &Parts,
    request: &ListRequest,
    home: &Home<'_>,
    walk: &mut Walk,
    deadline: Instant,
) -> Result<Vec<(LockKey, LockStatus)>, Failure> {
    let connection = home.route(Lane::Caller).connection(deadline).await?;
    let mut scan = Cmd::new();
    scan.arg("SCAN").arg(walk.cursor(connection.server().unwrap_or_default()));
    scan.arg("MATCH").arg(pattern(&parts.key_prefix, &request.prefix));
    scan.arg("COUNT").arg(STEP).arg("TYPE").arg("string");
    let answer = connection.send(scan, deadline).await;
    let answer = parts.named(answer, &connection, &[] as &[&str], deadline).await?;
    let (cursor, found) = connection.judge(reply::scanned(&answer))?;

    let locks = found.iter().filter_map(|spelled| key(parts, spelled));
    let locks = locks.filter_map(|key| Some((Keys::new(&parts.key_prefix, &key).ok()?, key)));
    // A slot that is on its way to the server is looked at where it comes from, or when it is here.
    let locks = locks.filter(|(keys, _)| walk.has(keys.slot));
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
                // It has gone to another node since, with its key; perhaps with its whole slot, which
                // is looked at there then.
                Err(failure) if home.is_elsewhere(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    walk.went_to(cursor);
    Ok(held)
}

/// The lock whose Redis key this is.
fn key(parts: &Parts, spelled: &Value) -> Option<LockKey> {
    let spelled = std::str::from_utf8(reply::text(spelled)?).ok()?;
    let name = LockName::new(spelled.strip_prefix(&*parts.key_prefix)?).ok()?;
    LockKey::new("", name).ok()
}

fn foreign_cursor() -> Failure {
    let message = "the cursor of the list is not one of this backend";
    Failure::new(LockErrorKind::InvalidConfig, message).not_applied()
}

//! A lock that nobody else wants: taken by `SET NX`, given back by a compare-and-delete.
//!
//! The value says that nobody waits, and whoever begins to wait changes it; so what is compared is
//! that, too. All else is for the scripts, which know what to do in every case.

use lock_core::Instant;
use lock_core::backend::{AcquireRequest, ReleaseRequest};
use redis::{Cmd, Pipeline, Value};

use crate::ops::parts::Parts;
use crate::protocol::keys::Keys;
use crate::protocol::owner::Owner;
use crate::protocol::reply;
use crate::protocol::scripts::Scripts;
use crate::protocol::units::whole_millis;
use crate::topology::route::Route;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

/// No server's clock shows less, in µs: a number below it is of a counter that was lost.
/// It is the beginning of 2020.
const PLAUSIBLE: i64 = 1_577_836_800_000_000;

/// What came of trying to take a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is taken, under this number.
    As(u64),
    /// It is taken, and nobody wants a number.
    WithoutNumber,
    /// It was taken, and its number is still to be drawn.
    Unnumbered,
    /// Somebody has it.
    No,
}

/// Takes the lock if nobody has it.
pub(super) async fn take(
    parts: &Parts,
    request: &AcquireRequest,
    keys: &Keys,
    (route, connection): (Route<'_>, &Connection),
    deadline: Instant,
) -> Result<Taken, Failure> {
    let mut commands = Pipeline::with_capacity(3);
    let mut set = Cmd::with_capacity(6, 128);
    set.arg("SET").arg(&keys.lock);
    Owner(request.token).write_to(&mut set);
    set.arg("NX").arg("PX").arg(whole_millis(request.ttl));
    commands.add_command(set);
    if request.fencing {
        let mut count = Cmd::with_capacity(2, 32);
        count.arg("INCR").arg(keys.fence());
        let mut look = Cmd::with_capacity(2, 96);
        look.arg("GET").arg(&keys.lock);
        // In this order: a number that was drawn before the lock was taken could be less than that
        // of a grant in between, and so could one that was drawn when somebody had deleted the lock.
        commands.add_command(count).add_command(look);
    }
    let mut unanswered = Unanswered { route, connection, is_settled: false };
    let replies = connection.send_all_unless(Some(&request.given_up), &commands, deadline).await;
    unanswered.is_settled = replies.as_ref().map_or_else(|failure| failure.not_applied, |_| true);
    drop(unanswered);
    let mut replies = replies?.into_iter();
    let mut next =
        || replies.next().unwrap_or_else(|| Err(Failure::unavailable("the server did not answer")));
    let set = next();
    let set = parts.named(set, connection, &[&keys.lock], deadline).await?;
    if !connection.judge(reply::was_set(&set))? {
        return Ok(Taken::No);
    }
    if !request.fencing {
        return Ok(Taken::WithoutNumber);
    }
    let (number, holder) = (next(), next());
    let is_ours = holder.is_ok_and(|holder| Owner(request.token).is_in(&holder));
    Ok(match number {
        Ok(Value::Int(number)) if number >= PLAUSIBLE && is_ours => {
            Taken::As(number.cast_unsigned())
        }
        _ => Taken::Unnumbered,
    })
}

/// Gives the lock back if nobody waits for it; whether that was so.
pub(super) async fn give_back(
    request: &ReleaseRequest,
    keys: &Keys,
    connection: &Connection,
    deadline: Instant,
) -> Result<bool, Failure> {
    match delete(connection, &keys.lock, &Owner(request.token).value(), deadline).await {
        // It is of no use to ask for the same in other words if nothing is known to have come of it.
        Err(failure) if failure.is_passing() => Err(failure),
        // The release script says what is wrong.
        deleted => Ok(deleted.unwrap_or(false)),
    }
}

/// Deletes a lock's key if this is its value; whether it was.
pub(super) async fn delete(
    connection: &Connection,
    lock: &str,
    value: &[u8],
    deadline: Instant,
) -> Result<bool, Failure> {
    let deleted = if connection.deletes_if_equal() {
        let mut command = Cmd::with_capacity(3, 128);
        command.arg("DELIFEQ").arg(lock).arg(value);
        connection.send(command, deadline).await
    } else {
        let arguments = |command: &mut Cmd| {
            command.arg(1).arg(lock).arg(value);
        };
        Scripts::of(connection.dialect()).delete.run(connection, arguments, deadline).await
    };
    Ok(deleted? == Value::Int(1))
}

/// Commands that may still run when they are not settled.
struct Unanswered<'a> {
    route: Route<'a>,
    connection: &'a Connection,
    is_settled: bool,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.route.doom(self.connection);
        }
    }
}

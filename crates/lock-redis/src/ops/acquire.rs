//! Asking for a lock: one exchange, and the place in the queue that it may leave.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{AcquireReply, AcquireRequest, Clock, Grant, Lane, Ticket, Waiting};
use lock_core::{FencingToken, Instant, LockErrorKind};
use redis::Cmd;

use crate::ops::parts::{Parts, about};
use crate::ops::uncontended::{self, Taken};
use crate::protocol::entry::entry;
use crate::protocol::keys::Keys;
use crate::protocol::owner::Owner;
use crate::protocol::reply::{self, Acquired, Holder};
use crate::protocol::scripts::{self, Scripts};
use crate::protocol::units::whole_millis;
use crate::queue::{self, Queue};
use crate::topology::home::Home;
use crate::topology::tries::Tries;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

/// Enough for a server whose clock jumps twice within one response timeout.
const MAX_TOO_LATE: u32 = 3;
/// Whoever is queued asks again after this long at the latest, whatever was pushed: also so that
/// the queue, which the server forgets after a minute, is not forgotten.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What the script is told in place of a ticket.
const NEW: &str = "new";
/// A new one, of a counter that may have lost numbers.
const NEW_UNCOUNTED: &str = "0";
const LEAVES: &str = "-1";
const POLLS: &str = "-2";

/// What a request has to do with the queue.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// Nothing.
    None,
    /// Its token may stand there, and is to be removed.
    Leave { queue: &'a Arc<Queue>, window: Duration, polls: bool },
    /// It waits, and no push can reach it: it asks again and again.
    Poll,
    /// Its token is to stand there, in its old place if it had one.
    Stand { queue: &'a Arc<Queue>, window: Duration, ticket: Option<Ticket> },
}

pub(crate) async fn acquire(
    parts: &Parts,
    queue: Option<&Arc<Queue>>,
    request: &AcquireRequest,
) -> Result<AcquireReply, Failure> {
    let keys = Keys::new(&parts.key_prefix, &request.key)?;
    let deadline = parts.deadline_of(request);
    let (mut is_taken, mut tries) = (false, Tries::default());
    // What was taken stays so until it is released, whatever has failed since.
    let told = |failure: Failure, is_taken| if is_taken { failure.applied() } else { failure };
    loop {
        let home = parts.topology.home(keys.slot, deadline).await;
        let home = home.map_err(|failure| told(failure, is_taken))?;
        let asked = at(parts, queue, request, &keys, &home, &mut is_taken, deadline).await;
        let Err(failure) = asked else { return asked };
        let again = home.again(failure, &mut tries, deadline).await;
        again.map_err(|failure| told(failure, is_taken))?;
    }
}

/// Asks one server.
async fn at(
    parts: &Parts,
    queue: Option<&Arc<Queue>>,
    request: &AcquireRequest,
    keys: &Keys,
    home: &Home<'_>,
    is_taken: &mut bool,
    deadline: Instant,
) -> Result<AcquireReply, Failure> {
    let route = home.route(Lane::Caller);
    let connection = route.connection(deadline).await?;
    let mut may_be_free = may_be_free(parts, queue, request, keys, &connection);
    // Its number is known to be above all others if one was drawn over this connection before.
    if may_be_free && (!request.fencing || connection.counted().contains(keys.slot)) {
        let taken = uncontended::take(parts, request, keys, (route, &connection), deadline).await?;
        match taken {
            Taken::As(_) | Taken::WithoutNumber => {
                if let Some(queue) = queue.filter(|_| request.queue) {
                    queue.taken(request.token);
                }
                return match taken {
                    Taken::As(number) => granted(number, None, request.ttl, keys),
                    _ => Ok(AcquireReply::granted(Grant::new())),
                };
            }
            Taken::Unnumbered => *is_taken = true,
            Taken::No => {
                parts.contended.insert(&keys.lock);
                may_be_free = false;
            }
        }
    }
    by_script(parts, queue, request, keys, &connection, may_be_free, deadline).await
}

/// Whether it is likely that nobody else wants the lock.
fn may_be_free(
    parts: &Parts,
    queue: Option<&Arc<Queue>>,
    request: &AcquireRequest,
    keys: &Keys,
    connection: &Connection,
) -> bool {
    connection.takes_plain()
        && !parts.contended.contains(&keys.lock)
        && queue.is_none_or(|queue| queue.window_of(request.token).is_none())
}

async fn by_script(
    parts: &Parts,
    queue: Option<&Arc<Queue>>,
    request: &AcquireRequest,
    keys: &Keys,
    connection: &Connection,
    may_be_free: bool,
    deadline: Instant,
) -> Result<AcquireReply, Failure> {
    if connection.tries_writing() {
        connection.send(scripts::try_writing(&keys.beside()), deadline).await?;
    }
    // Whoever need not wait need not subscribe.
    let mut tries_first = may_be_free && request.queue && queue.is_some();
    let mut place = if tries_first {
        Place::None
    } else {
        place_of(queue, request, keys.slot, connection, deadline).await?
    };
    let all = keys.all();
    let mut too_late = 0;
    while too_late < MAX_TOO_LATE {
        let asked = ask(request, (keys, &all), connection, place, deadline).await;
        let asked = parts.named(asked, connection, &all, deadline).await?;
        note(parts, keys, connection, &asked);
        match asked {
            Acquired::Granted { number, lease, .. } => {
                if let Some(queue) = queue.filter(|_| tries_first) {
                    queue.taken(request.token);
                }
                return granted(number, lease, request.ttl, keys);
            }
            Acquired::Busy { .. } if tries_first => {
                tries_first = false;
                place = place_of(queue, request, keys.slot, connection, deadline).await?;
            }
            Acquired::Busy { left, .. } => {
                return Ok(left.map_or_else(AcquireReply::held, AcquireReply::held_for));
            }
            Acquired::Queued { place: queued, .. } => {
                // So many were dead that the server put off the rest.
                let is_free = queued.holder == Holder::Gone;
                if let Place::Stand { queue, .. } = place
                    && !(is_free && Clock::SYSTEM.now() < deadline)
                {
                    let news = queue.news(request.token, request.clock);
                    let ticket = Ticket::new(queued.ticket);
                    return Ok(AcquireReply::queued(Waiting::new(news, ticket, jittered())));
                }
            }
            Acquired::TooLate { .. } => too_late += 1,
        }
    }
    let message = "the server did not get the request in time, or its clock jumps";
    Err(Failure::unavailable(message).not_applied())
}

/// Takes note of whether others want the lock, and of the slot's counter.
fn note(parts: &Parts, keys: &Keys, connection: &Connection, answer: &Acquired) {
    match answer {
        Acquired::Granted { lease, .. } => {
            connection.counted().insert(keys.slot);
            // The shortest answer says that there was nobody.
            if lease.is_none() {
                parts.contended.was_alone(&keys.lock);
            }
        }
        Acquired::Queued { .. } => {
            connection.counted().insert(keys.slot);
            parts.contended.insert(&keys.lock);
        }
        Acquired::Busy { .. } => parts.contended.insert(&keys.lock),
        Acquired::TooLate { .. } => {}
    }
}

/// What the request has to do with the queue; whoever is to stand there is subscribed first.
async fn place_of<'a>(
    queue: Option<&'a Arc<Queue>>,
    request: &AcquireRequest,
    slot: u16,
    connection: &Connection,
    deadline: Instant,
) -> Result<Place<'a>, Failure> {
    let polls = request.queue;
    let Some(queue) = queue else { return Ok(if polls { Place::Poll } else { Place::None }) };
    if request.queue {
        let subscribed = connection.subscribe(&queue.channel(slot), deadline).await;
        if subscribed.map_err(Failure::not_applied)? {
            let window = queue.window_of(request.token);
            let window = window.unwrap_or_else(|| queue::window(request.ttl));
            return Ok(Place::Stand { queue, window, ticket: request.ticket });
        }
    }
    Ok(match queue.window_of(request.token) {
        Some(window) => Place::Leave { queue, window, polls },
        None if polls => Place::Poll,
        None => Place::None,
    })
}

/// Asks once, and tells the queue what came of it.
async fn ask(
    request: &AcquireRequest,
    (keys, all): (&Keys, &[String; 4]),
    connection: &Connection,
    place: Place<'_>,
    deadline: Instant,
) -> Result<Acquired, Failure> {
    let Some(not_after) = connection.clock().map(|clock| clock.not_after(deadline)) else {
        return Err(Failure::unavailable("the server did not report its time").not_applied());
    };
    if let Place::Stand { queue, .. } = place {
        queue.asking(request.token, request.ttl, connection.id());
    }
    let arguments = |command: &mut Cmd| {
        command.arg(all.len()).arg(all);
        Owner(request.token).write_to(command);
        command.arg(whole_millis(request.ttl)).arg(not_after);
        let (queue, window) = match place {
            Place::None => return,
            Place::Poll => {
                command.arg(POLLS);
                return;
            }
            Place::Leave { queue, window, polls } => {
                command.arg(if polls { POLLS } else { LEAVES });
                (queue, window)
            }
            Place::Stand { queue, window, ticket } => {
                match ticket {
                    Some(ticket) => command.arg(ticket.get()),
                    None if connection.counted().contains(keys.slot) => command.arg(NEW),
                    None => command.arg(NEW_UNCOUNTED),
                };
                (queue, window)
            }
        };
        command.arg(entry(request.token, &queue.channel(keys.slot), window));
    };
    let script = &Scripts::of(connection.dialect()).acquire;
    let answer = script.run_unless(Some(&request.given_up), connection, arguments, deadline).await;
    let answer = answer.and_then(|answer| connection.judge(reply::acquired(&answer)));
    if let Place::Leave { queue, .. } | Place::Stand { queue, .. } = place {
        tell(queue, request, &answer);
    }
    let answer = answer.map_err(|failure| about(failure, &keys.lock))?;
    let (Acquired::Granted { server_micros, .. }
    | Acquired::Busy { server_micros, .. }
    | Acquired::Queued { server_micros, .. }
    | Acquired::TooLate { server_micros }) = answer;
    connection.note_time(server_micros);
    Ok(answer)
}

fn tell(queue: &Queue, request: &AcquireRequest, answer: &Result<Acquired, Failure>) {
    match answer {
        Ok(Acquired::Granted { .. }) => queue.granted(request.token),
        Ok(Acquired::Queued { place, .. }) => queue.queued(request.token, *place),
        Ok(Acquired::Busy { .. } | Acquired::TooLate { .. }) => queue.failed(request.token, true),
        Err(failure) => queue.failed(request.token, failure.not_applied),
    }
}

fn granted(
    number: u64,
    lease: Option<Duration>,
    asked: Duration,
    keys: &Keys,
) -> Result<AcquireReply, Failure> {
    let Some(fencing) = FencingToken::from_grant_number(number) else {
        let fence = keys.fence();
        let message = format!("the fencing counter {fence} is too large; delete that key");
        return Err(Failure::new(LockErrorKind::Backend, message));
    };
    let grant = Grant::new().with_fencing(fencing);
    Ok(AcquireReply::granted(match lease {
        Some(lease) if lease < asked => grant.with_granted_ttl(lease),
        _ => grant,
    }))
}

fn jittered() -> Duration {
    ASK_AGAIN_AFTER.mul_f64(1.0 - fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use lock_core::backend::LockKey;

    use super::*;

    #[test]
    fn a_counter_beyond_53_bits_is_an_error_that_names_it() {
        let keys = Keys::new("lock:", &LockKey::new("", "x").unwrap()).unwrap();
        let error = granted(1 << 53, None, Duration::from_secs(1), &keys).unwrap_err();
        assert!(error.message().contains(&keys.fence()), "{error:?}");
    }
}

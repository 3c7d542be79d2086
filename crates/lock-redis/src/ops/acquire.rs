//! Asking for a lock: one exchange, and the place in line that it may leave.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::backend::{Attempt, AttemptRequest, Grant, Waiting};
use lock_core::backend::{Clock, Ticket};
use lock_core::{FencingToken, Instant, LockError, LockErrorKind, Result};
use redis::Cmd;

use crate::backend::{NOT_DEAF, RedisBackend, about};
use crate::protocol::keys::Keys;
use crate::protocol::reply::{self, Acquired, Holder};
use crate::protocol::units::{on_system_clock, whole_millis};
use crate::queue::{self, Line};
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

/// Enough for a server whose clock leaps twice within one response timeout.
const MAX_TOO_LATE: u32 = 3;
/// Whoever stands in line asks again after this long at the latest, whatever it has heard: also so
/// that the line, which the server forgets after a minute, is not forgotten.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How a request is related to the line.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// It has nothing to do with it.
    None,
    /// Its token may stand there, and is to stand there no more.
    Leave { line: &'a Arc<Line>, window: Duration },
    /// It is to stand there, in its old place if it had one.
    Stand { line: &'a Arc<Line>, window: Duration, ticket: Option<Ticket> },
}

impl RedisBackend {
    pub(crate) async fn acquire(&self, request: &AttemptRequest) -> Result<Attempt> {
        let keys = Keys::new(&self.key_prefix, &request.key)?;
        let deadline = on_system_clock(request.clock, request.asked_at + self.response_timeout);
        let connection = self.command.connection(deadline).await?;
        let place = self.place(request, &connection, deadline).await?;
        let mut too_late = 0;
        while too_late < MAX_TOO_LATE {
            match ask(request, &keys, &connection, place, deadline).await? {
                Acquired::Granted { number, lease, .. } => {
                    return granted(number, lease, request.ttl, &keys.fence);
                }
                Acquired::Busy { left, .. } => {
                    return Ok(left.map_or_else(Attempt::held, Attempt::held_for));
                }
                Acquired::Queued { place: queued, .. } => {
                    // So many were dead that the server put off the rest.
                    let is_free = queued.holder == Holder::Gone;
                    if let Place::Stand { line, .. } = place
                        && !(is_free && Clock::SYSTEM.now() < deadline)
                    {
                        let news = line.news(request.token, request.clock);
                        let ticket = Ticket::new(queued.ticket);
                        return Ok(Attempt::queued(Waiting::new(news, ticket, jittered())));
                    }
                }
                Acquired::TooLate { .. } => too_late += 1,
            }
        }
        let message = "the server did not get the request in time, or its clock leaps";
        Err(Failure::unavailable(message).not_applied().into())
    }

    async fn place(
        &self,
        request: &AttemptRequest,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<Place<'_>> {
        let Some(line) = &self.line else { return Ok(Place::None) };
        let deaf_on = self.deaf_on.load(Ordering::Relaxed);
        if request.queue && deaf_on != connection.id() {
            let listens = connection.listen(line.channel(), deadline).await;
            if listens.map_err(Failure::not_applied)? {
                self.deaf_on.store(NOT_DEAF, Ordering::Relaxed);
                let window = line.window_of(request.token);
                let window = window.unwrap_or_else(|| queue::window(request.ttl));
                return Ok(Place::Stand { line, window, ticket: request.ticket });
            }
            if self.deaf_on.swap(connection.id(), Ordering::Relaxed) == NOT_DEAF {
                tracing::warn!(
                    "the Redis server's access rules forbid what waiting in line needs, so waiters \
                     ask again and again, in no order; allow the channels &dl:c:* and the commands \
                     subscribe, publish and pubsub"
                );
            }
        } else if deaf_on != NOT_DEAF && deaf_on != connection.id() {
            // The rules may have changed: whoever asks next finds out on the new connection.
            self.deaf_on.store(NOT_DEAF, Ordering::Relaxed);
        }
        let window = line.window_of(request.token);
        Ok(window.map_or(Place::None, |window| Place::Leave { line, window }))
    }
}

/// Asks once, and tells the line what came of it.
async fn ask(
    request: &AttemptRequest,
    keys: &Keys,
    connection: &Connection,
    place: Place<'_>,
    deadline: Instant,
) -> Result<Acquired, Failure> {
    let Some(not_after) = connection.clock().map(|clock| clock.not_after(deadline)) else {
        return Err(Failure::unavailable("the server did not tell the time").not_applied());
    };
    if let Place::Stand { line, .. } = place {
        line.asking(request.token, request.ttl, connection.id());
    }
    let arguments = |command: &mut Cmd| {
        command.arg(3).arg(&keys.lock).arg(&keys.fence).arg(&keys.line);
        command.arg(&request.token.to_hex()[..]).arg(whole_millis(request.ttl)).arg(not_after);
        let (line, window, ticket) = match place {
            Place::None => return,
            Place::Leave { line, window } => (line, window, -1),
            Place::Stand { line, window, ticket } => {
                (line, window, ticket.map_or(0, |ticket| ticket.get().cast_signed()))
            }
        };
        command.arg(line.channel()).arg(whole_millis(window)).arg(ticket);
    };
    let answer = connection.run(&connection.scripts().acquire, arguments, deadline).await;
    let answer = answer.and_then(|answer| connection.judge(reply::acquired(&answer)));
    if let Place::Leave { line, .. } | Place::Stand { line, .. } = place {
        tell(line, request, &answer);
    }
    let answer = answer.map_err(|failure| about(failure, &keys.lock))?;
    let (Acquired::Granted { server_micros, .. }
    | Acquired::Busy { server_micros, .. }
    | Acquired::Queued { server_micros, .. }
    | Acquired::TooLate { server_micros }) = answer;
    connection.hear_time(server_micros);
    Ok(answer)
}

fn tell(line: &Line, request: &AttemptRequest, answer: &Result<Acquired, Failure>) {
    match answer {
        Ok(Acquired::Granted { .. }) => line.granted(request.token),
        Ok(Acquired::Queued { place, .. }) => line.queued(request.token, *place),
        Ok(Acquired::Busy { .. } | Acquired::TooLate { .. }) => line.failed(request.token, true),
        Err(failure) => line.failed(request.token, failure.not_applied),
    }
}

fn granted(number: u64, lease: Option<Duration>, asked: Duration, fence: &str) -> Result<Attempt> {
    let Some(fencing) = FencingToken::from_grant_number(number) else {
        let message = format!("the fencing counter {fence} is too large; delete that key");
        return Err(LockError::new(LockErrorKind::Backend, message));
    };
    let grant = Grant::new().with_fencing(fencing);
    Ok(Attempt::granted(match lease {
        Some(lease) if lease < asked => grant.with_granted_ttl(lease),
        _ => grant,
    }))
}

fn jittered() -> Duration {
    ASK_AGAIN_AFTER.mul_f64(1.0 - fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_beyond_53_bits_is_an_error_that_names_it() {
        let error = granted(1 << 53, None, Duration::from_secs(1), "dl:f:{1a}").unwrap_err();
        assert!(error.to_string().contains("dl:f:{1a}"), "{error}");
    }
}

//! Giving a lock back, or leaving the queue.

use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::{Clock, ReleaseReply, ReleaseRequest};
use redis::Cmd;

use crate::ops::parts::Parts;
use crate::protocol::keys::Keys;
use crate::protocol::owner::Owner;
use crate::protocol::reply::{self, Released};
use crate::protocol::scripts::Scripts;
use crate::protocol::units::whole_millis;
use crate::queue::Queue;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

pub(crate) async fn release(
    parts: &Parts,
    queue: Option<&Queue>,
    request: &ReleaseRequest,
) -> Result<ReleaseReply, Failure> {
    let keys = Keys::new(&parts.key_prefix, &request.key)?;
    let deadline = parts.deadline();
    let route = parts.topology.route(keys.slot, request.lane);
    let connection = route.connection_or_spare(deadline).await?;
    let keys = [keys.lock.as_str(), &keys.fence, &keys.queue, &keys.mark];
    let leaving = queue.map(|queue| (queue.channel(), queue.leaving(request.token)));
    let words = Words {
        owner: Owner::Scripted(request.token),
        min_hold: request.min_hold,
        gap: leaving.map_or(Duration::ZERO, |(_, leaving)| leaving.gap),
        place: leaving.and_then(|(channel, leaving)| Some((channel, leaving.window?))),
    };
    let mut first = None;
    loop {
        let sent = Clock::SYSTEM.now();
        let released = send(&connection, &keys, words, deadline);
        let released = match (released.await, first) {
            (Ok(released), _) => released,
            // It is known what became of the lock; its queue is looked at by whoever asks next.
            (Err(_), Some(reply)) => return Ok(reply),
            (Err(failure), None) => return Err(failure.or_unknown()),
        };
        if let Some(queue) = queue {
            queue.left(request.token, sent);
        }
        let reply = *first.get_or_insert(released.reply);
        if !released.again {
            return Ok(reply);
        }
    }
}

/// What the script is told.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) owner: Owner,
    pub(crate) min_hold: Duration,
    /// For how long nobody in the queue is to have the lock.
    pub(crate) gap: Duration,
    /// The channel and the window with which the token may stand in the queue.
    pub(crate) place: Option<(&'a str, Duration)>,
}

/// Runs the release script once.
pub(crate) async fn send(
    connection: &Connection,
    keys: &[&str],
    words: Words<'_>,
    deadline: Instant,
) -> Result<Released, Failure> {
    let millis = |time: Duration| if time.is_zero() { 0 } else { whole_millis(time) };
    let arguments = |command: &mut Cmd| {
        command.arg(keys.len()).arg(keys);
        words.owner.write_to(command);
        command.arg(millis(words.min_hold)).arg(millis(words.gap));
        if let Some((channel, window)) = words.place {
            command.arg(channel).arg(whole_millis(window));
        }
    };
    let script = &Scripts::of(connection.dialect()).release;
    let answer = script.run(connection, arguments, deadline).await?;
    connection.judge(reply::released(&answer))
}

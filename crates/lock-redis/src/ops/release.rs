//! Giving a lock back, or leaving the queue.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use lock_core::Instant;
use lock_core::backend::{Clock, ReleaseReply, ReleaseRequest, is_background_thread};
use redis::Cmd;

use crate::ops::parts::Parts;
use crate::ops::uncontended;
use crate::protocol::entry::entry;
use crate::protocol::keys::Keys;
use crate::protocol::owner::Owner;
use crate::protocol::reply::{self, Released};
use crate::protocol::scripts::Scripts;
use crate::protocol::units::whole_millis;
use crate::queue::Queue;
use crate::topology::home::Home;
use crate::topology::route::Route;
use crate::topology::tries::Tries;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::runtime::user_runtime;

/// A release that its caller has left is sent by the background as well when it was not answered
/// for so long.
const LEFT_ALONE: Duration = Duration::from_millis(100);

pub(crate) async fn release(
    parts: &Parts,
    queue: Option<&Queue>,
    request: &ReleaseRequest,
) -> Result<ReleaseReply, Failure> {
    let keys = Keys::new(&parts.key_prefix, &request.key)?;
    let deadline = parts.deadline();
    let leaving = queue.map(|queue| queue.leaving(request.token));
    let window = leaving.and_then(|leaving| leaving.window);
    let words = Words {
        rest: request.min_hold,
        gap: leaving.map_or(Duration::ZERO, |leaving| leaving.gap),
        entry: queue
            .zip(window)
            .map(|(queue, window)| entry(request.token, &queue.channel(keys.slot), window)),
    };
    if words.gap > Duration::ZERO {
        // Whoever took the lock by a plain command would have it in the gap.
        parts.contended.insert(&keys.lock);
    }
    let exchange =
        |connection| give_back(parts, connection, queue, &keys, request, &words, deadline);
    let mut tries = Tries::default();
    loop {
        let home = parts.topology.home(keys.slot, deadline).await?;
        let released = over(home.route(request.lane), deadline, &exchange).await;
        let Err(failure) = released else { return released };
        // In a place of its own: this is rare.
        if words.are_none()
            && Box::pin(give_back_elsewhere(&home, &keys, request, &failure, deadline)).await?
        {
            return Ok(ReleaseReply::Released);
        }
        home.again(failure, &mut tries, deadline).await?;
    }
}

/// Gives the lock back at the node to which its key has gone with a slot on its way, if nobody waits
/// for it; whether it was. For more than its own key, the slot has to arrive.
async fn give_back_elsewhere(
    home: &Home<'_>,
    keys: &Keys,
    request: &ReleaseRequest,
    failure: &Failure,
    deadline: Instant,
) -> Result<bool, Failure> {
    let Some(Ok(connection)) = home.asking(failure, deadline).await else { return Ok(false) };
    match uncontended::give_back(request, keys, &connection, deadline).await {
        Err(failure) if failure.not_applied || failure.of_cluster.is_some() => Ok(false),
        given_back => given_back.map_err(Failure::or_unknown),
    }
}

async fn give_back(
    parts: &Parts,
    connection: Arc<Connection>,
    queue: Option<&Queue>,
    keys: &Keys,
    request: &ReleaseRequest,
    words: &Words,
    deadline: Instant,
) -> Result<ReleaseReply, Failure> {
    if words.are_none() && !parts.contended.contains(&keys.lock) {
        let given_back = uncontended::give_back(request, keys, &connection, deadline).await;
        if given_back.map_err(Failure::or_unknown)? {
            return Ok(ReleaseReply::Released);
        }
        // Somebody waits, or has the lock.
        parts.contended.insert(&keys.lock);
    }
    let mut first = None;
    loop {
        let sent = Clock::SYSTEM.now();
        let released = by_script(parts, &connection, keys, request, words, deadline);
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

/// Releases over the connection that keeps the order of the caller's commands, and if its runtime
/// does not see to that, over the background's as well: whichever comes first frees the lock.
pub(crate) async fn over<F>(
    route: Route<'_>,
    deadline: Instant,
    exchange: impl Fn(Arc<Connection>) -> F,
) -> Result<ReleaseReply, Failure>
where
    F: Future<Output = Result<ReleaseReply, Failure>>,
{
    let here = user_runtime();
    let connection = route.connection_in_order(here, deadline).await?;
    let first = pin!(exchange(Arc::clone(&connection)));
    let another = pin!(async {
        // A caller without a runtime does not run that of the connection either.
        let pause = if here.is_some() {
            left_to_background().await;
            LEFT_ALONE
        } else {
            Duration::ZERO
        };
        // In a place of its own: this is rare, and a release is not.
        Box::pin(async {
            Clock::SYSTEM.sleep(pause).await;
            let other = route.in_background().connection(deadline).await?;
            if other.id() == connection.id() { pending().await } else { Ok::<_, Failure>(other) }
        })
        .await
    });
    let (first, mut second) = match select(first, another).await {
        Either::Left((reply, _)) => return reply,
        Either::Right((Err(_), first)) => return first.await,
        Either::Right((Ok(other), first)) => (first, Box::pin(exchange(other))),
    };
    match select(first, second.as_mut()).await {
        Either::Left((reply, second)) => settled(reply, second).await,
        Either::Right((reply, first)) => settled(reply, first).await,
    }
}

/// Ends when this is polled by the library's own thread.
async fn left_to_background() {
    poll_fn(|_| if is_background_thread() { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// The outcome of a release that was sent twice, when one of the two is known: only the one that
/// was the first to run knows what it did.
async fn settled(
    reply: Result<ReleaseReply, Failure>,
    other: impl Future<Output = Result<ReleaseReply, Failure>>,
) -> Result<ReleaseReply, Failure> {
    if matches!(reply, Ok(ReleaseReply::Released)) {
        return reply;
    }
    match (reply, other.await) {
        (_, Ok(ReleaseReply::Released)) => Ok(ReleaseReply::Released),
        (Ok(reply), Ok(_)) => Ok(reply),
        (Ok(reply), Err(failure)) | (Err(failure), Ok(reply)) if failure.not_applied => Ok(reply),
        (Ok(_), Err(failure)) | (Err(failure), _) => Err(failure),
    }
}

/// What a release has to say beside whose it is.
struct Words {
    /// For how long the lock stays taken.
    rest: Duration,
    /// For how long nobody in the queue is to have the lock.
    gap: Duration,
    /// The entry with which the token may stand in the queue.
    entry: Option<String>,
}

impl Words {
    fn are_none(&self) -> bool {
        self.rest.is_zero() && self.gap.is_zero() && self.entry.is_none()
    }
}

/// Runs the release script once.
async fn by_script(
    parts: &Parts,
    connection: &Connection,
    keys: &Keys,
    request: &ReleaseRequest,
    words: &Words,
    deadline: Instant,
) -> Result<Released, Failure> {
    let is_counted = connection.counted().contains(keys.slot);
    let millis = |time: Duration| if time.is_zero() { 0 } else { whole_millis(time) };
    let all = keys.all();
    let arguments = |command: &mut Cmd| {
        command.arg(all.len()).arg(&all);
        Owner(request.token).write_to(command);
        command.arg(u8::from(is_counted));
        if !words.are_none() {
            command.arg(millis(words.rest)).arg(millis(words.gap));
            command.arg(words.entry.as_deref());
        }
    };
    let script = &Scripts::of(connection.dialect()).release;
    let answer = script.run(connection, arguments, deadline).await;
    let answer = parts.named(answer, connection, &all, deadline).await?;
    connection.judge(reply::released(&answer))
}

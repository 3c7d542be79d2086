//! Asks Sentinels where a master is.

use std::sync::Arc;

use lock_core::message_text::quoted;
use lock_core::{Instant, LockErrorKind};
use redis::{Pipeline, RedisError, RedisResult, Value};

use crate::topology::gather::gather;
use crate::topology::sentinel::report::{self, Report};
use crate::topology::sentinel::settings::{Sentinel, Settings};
use crate::wire::channel::Channel;
use crate::wire::failure::{Failure, Forbidden};
use crate::wire::greeting;
use crate::wire::health::Health;
use crate::wire::refusal::lacking;

/// What a Sentinel said, or why it said nothing.
pub(super) struct Said<'a> {
    /// Where it is, for people.
    pub(super) sentinel: &'a str,
    pub(super) report: Result<Report, Failure>,
}

/// Asks all Sentinels at once, over connections that are made for it.
pub(super) async fn all(settings: &Settings, by: Instant) -> Vec<Said<'_>> {
    let asking = settings.sentinels.iter().map(|sentinel| ask(settings, sentinel));
    let said = gather(asking, |count| count / 2 + 1, by).await;
    let sentinels = settings.sentinels.iter().map(|sentinel| &*sentinel.address);
    sentinels.zip(said).map(|(sentinel, report)| Said { sentinel, report }).collect()
}

/// Asks a Sentinel over a connection that is there.
pub(super) async fn over(channel: &mut Channel, master: &str) -> Result<Report, Failure> {
    let mut asking = Pipeline::new();
    asking.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    // Where the master was before, while a failover is not over; and what else is known of it.
    asking.cmd("SENTINEL").arg("MASTER").arg(master);
    let answers = channel.send_all(&asking).await.map_err(refused)?;
    let mut answers = answers.into_iter().map(|answer| answered(Ok(answer)));
    let mut next = || answers.next().unwrap_or_else(|| Err(Failure::unavailable("no answer")));
    let (address, state) = (next().map_err(unnamed)?, next());
    let Some(address) = report::address(&address)? else {
        let name = quoted(master);
        let message = format!("it does not watch a master named {name}; correct the name");
        return Err(Failure::unavailable(message));
    };
    // Who may not ask for this relies on what most of them say.
    let (epoch, is_down) = state.map_or((None, false), |state| report::state(&state));
    Ok(Report { address, epoch, is_down })
}

/// A refusal in a script would not name its command either, and this is none.
fn unnamed(failure: Failure) -> Failure {
    match failure.forbidden {
        Some(Forbidden::Command(_)) => {
            failure.with_message(lacking(&["sentinel|get-master-addr-by-name"]))
        }
        _ => failure,
    }
}

/// A Sentinel's answer, which may be a refusal.
pub(super) fn answered(reply: RedisResult<Value>) -> Result<Value, Failure> {
    match reply.map_err(refused)? {
        Value::ServerError(error) => Err(refused(error.into())),
        reply => Ok(reply),
    }
}

/// What a Sentinel means when it refuses.
fn refused(error: RedisError) -> Failure {
    let failure = Failure::from(error);
    match failure.forbidden {
        Some(Forbidden::Unknown(_)) => Failure::new(
            LockErrorKind::InvalidConfig,
            "it is not a Sentinel; write the addresses of the Sentinels, whose port is 26379 unless it \
             was changed",
        ),
        _ => failure,
    }
}

/// Says whose password it is that was wrong.
pub(super) fn of_sentinel(failure: Failure) -> Failure {
    if failure.kind != LockErrorKind::Denied {
        return failure;
    }
    failure.with_hint(
        "Sentinels have a user name and a password of their own (sentinel_user, sentinel_pass, \
         sentinel_password_file)",
    )
}

async fn ask(settings: &Settings, sentinel: &Sentinel) -> Result<Report, Failure> {
    let ready = settings.credentials.read_again(&sentinel.client)?;
    let health = Arc::new(Health::new(None));
    let connection = greeting::open(&ready, &health).await.map_err(of_sentinel)?;
    over(&mut Channel::Connection(connection), &settings.master).await.map_err(of_sentinel)
}

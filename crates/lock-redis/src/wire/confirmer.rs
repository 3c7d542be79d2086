//! Asks the replicas of a server whether they have what was written to it.
//!
//! `WAIT` holds up the connection that it is sent over, and whatever else is sent over that.
//! So it has a connection of its own, and a write of its own before it: a replica that has that
//! write has all that the server wrote before, whoever asked for it.
//! One write and one `WAIT` serve all who ask meanwhile.
//!
//! Behind them, the connection reads what stands in the keys of those who ask.
//! It may lead to another server than the one that granted a lock, after a failover in between; there
//! the lock stands only if that server had it from the old one, and so wrote it before the rest.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use lock_core::backend::{Clock, in_time};
use lock_core::{Instant, event};
use redis::{Cmd, Pipeline, Value};

use crate::wire::connection::contained;
use crate::wire::failure::{Failure, UnexpectedReply};
use crate::wire::link::{Connector, Driver, Link, NoConnection, Patience};
use crate::wire::replicas::{Replicas, Verdict};

/// For how long the key is kept that is written before `WAIT`, in ms.
const KEPT_FOR: u32 = 60_000;

/// Asks the replicas of one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Confirmer(Arc<Inner>);

struct Inner {
    link: Link,
    /// How many replicas were asked for.
    asked: u32,
    /// How long the server waits for them.
    bound: Duration,
    replicas: Mutex<Replicas>,
    batches: Mutex<Batches>,
}

/// What is to be confirmed.
pub(crate) struct Claim {
    /// A key of the same slot that nobody reads.
    pub(crate) marker: String,
    /// The key whose value is to be on the replicas.
    pub(crate) key: String,
}

/// What stands in a key, and is on the replicas.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) value: Value,
    /// How long it stays there.
    pub(crate) left: Duration,
}

#[derive(Default)]
struct Batches {
    /// It is sent when the one before was answered.
    next: Option<Batch>,
    /// The newest of all.
    last: Option<Exchange>,
}

struct Batch {
    claims: Vec<Claim>,
    exchange: Exchange,
}

/// Whoever waits for it drives it for all.
type Exchange = Shared<BoxFuture<'static, Result<Arc<Answers>, Failure>>>;

/// What the server answered to a batch.
struct Answers {
    verdict: Verdict,
    acknowledged: u32,
    /// Value and rest in ms of each key.
    standings: Vec<(Value, Value)>,
}

/// Asks whether replicas may be waited for.
pub(crate) fn wait_for_nobody() -> Cmd {
    let mut wait = redis::cmd("WAIT");
    wait.arg(0).arg(1);
    wait
}

impl Confirmer {
    pub(crate) fn new(
        connector: &Arc<dyn Connector>,
        asked: u32,
        bound: Duration,
        connect_timeout: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            link: Link::new(Arc::clone(connector), Driver::Background, connect_timeout),
            asked,
            bound,
            replicas: Mutex::new(Replicas::new(asked, bound)),
            batches: Mutex::default(),
        }))
    }

    /// Waits until replicas have what was written so far, and says what stands in the key then.
    pub(crate) async fn confirm(
        &self,
        claim: Claim,
        deadline: Instant,
    ) -> Result<Standing, Failure> {
        let (exchange, place) = self.0.join(claim);
        let exchange = pin!(exchange);
        let answers = in_time(deadline, contained(exchange)).await;
        let late = || Err(Failure::unavailable("they did not answer in time"));
        let answers = answers.unwrap_or_else(late)?;
        if let Verdict::TooFew { enough } = answers.verdict {
            return Err(Failure::unavailable(format!(
                "{} of {enough} did in time; look after the replicas of the server, or ask for fewer \
                 (replicas)",
                answers.acknowledged
            )));
        }
        let read = || Failure::from(UnexpectedReply("one to a question for a key"));
        let (value, left) = answers.standings.get(place).ok_or_else(read)?;
        let left = match left {
            Value::Int(left) => Duration::from_millis(u64::try_from(*left).unwrap_or(0)),
            _ => return Err(read()),
        };
        Ok(Standing { value: value.clone(), left })
    }

    /// Ends the connection for good.
    pub(crate) fn close(&self) {
        self.0.link.close();
    }
}

impl Inner {
    /// The batch that is sent next, and the place in it.
    fn join(self: &Arc<Self>, claim: Claim) -> (Exchange, usize) {
        let mut batches = self.batches();
        if let Some(Batch { claims, exchange }) = &mut batches.next {
            claims.push(claim);
            return (exchange.clone(), claims.len() - 1);
        }
        let exchange = after(batches.last.take(), Arc::downgrade(self)).boxed().shared();
        batches.last = Some(exchange.clone());
        batches.next = Some(Batch { claims: vec![claim], exchange: exchange.clone() });
        (exchange, 0)
    }

    async fn send(&self, claims: &[Claim]) -> Result<Arc<Answers>, Failure> {
        let deadline = Clock::SYSTEM.now() + self.bound;
        let connection = self.link.connection(deadline, Patience::Full).await;
        let connection = connection.map_err(|missing| match missing {
            NoConnection::Failed(failure) => failure,
            NoConnection::Foreign => Failure::unavailable("another runtime has the connection"),
        })?;
        let sent = Clock::SYSTEM.now();
        let question = self.replicas().question(sent);
        let mut commands = Pipeline::with_capacity(2 + 2 * claims.len());
        if let Some(Claim { marker, .. }) = claims.first() {
            commands.cmd("SET").arg(marker).arg("").arg("PX").arg(KEPT_FOR);
        }
        // No limit is written as 0.
        let millis = question.bound.as_millis().max(1);
        commands.cmd("WAIT").arg(question.count).arg(u64::try_from(millis).unwrap_or(u64::MAX));
        for Claim { key, .. } in claims {
            commands.cmd("GET").arg(key).cmd("PTTL").arg(key);
        }
        let answers = connection.send_all(&commands, sent + question.bound + self.bound).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Err(UnexpectedReply("all").into()));
        let (written, acknowledged) = (next(), next());
        written?;
        let acknowledged = match acknowledged? {
            Value::Int(count) => u32::try_from(count).unwrap_or(0),
            _ => return connection.judge(Err(UnexpectedReply("one to WAIT"))),
        };
        let standings = claims.iter().map(|_| Ok((next()?, next()?)));
        let standings = standings.collect::<Result<_, Failure>>()?;
        let verdict = self.replicas().answered(Clock::SYSTEM.now(), acknowledged);
        self.tell(verdict, acknowledged);
        Ok(Arc::new(Answers { verdict, acknowledged, standings }))
    }

    fn tell(&self, verdict: Verdict, confirmed: u32) {
        let server = self.link.address();
        match verdict {
            Verdict::ConfirmedByFewer => event!(
                WARN,
                "replicas_missing",
                "redis",
                server,
                asked = self.asked,
                confirmed,
                "fewer replicas of the Redis server confirm locks than `replicas` asks for, for 10 s \
                 by now, so that from now on those that do are enough, and a failover can lose more \
                 locks; look after the replicas, or ask for fewer"
            ),
            Verdict::ConfirmedByAllAgain => event!(
                INFO,
                "replicas_back",
                "redis",
                server,
                confirmed,
                "as many replicas of the Redis server confirm locks again as `replicas` asks for"
            ),
            Verdict::Confirmed | Verdict::TooFew { .. } => {}
        }
    }

    fn replicas(&self) -> MutexGuard<'_, Replicas> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the batch that is the next when the one before was answered.
async fn after(before: Option<Exchange>, inner: Weak<Inner>) -> Result<Arc<Answers>, Failure> {
    if let Some(before) = before {
        before.await.ok();
    }
    let Some(inner) = inner.upgrade() else {
        return Err(Failure::unavailable("the Redis backend is gone"));
    };
    let claims = inner.batches().next.take().map(|batch| batch.claims).unwrap_or_default();
    inner.send(&claims).await
}

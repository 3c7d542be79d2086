//! Asks the replicas of a server whether they have what was written to it.
//!
//! `WAIT` holds up the connection that it is sent over, and whatever else is sent over that.
//! So it has a connection of its own, and a write of its own before it: a replica that has that
//! write has all that the server wrote before, whoever asked for it.
//! One write and one `WAIT` serve all who ask meanwhile.
//! A node of a cluster takes a write in its own slots only, and one of them may have left it; so there,
//! each slot that is asked about is written to, and one write that succeeds is enough for all.
//!
//! Behind them, the connection reads what stands in the keys of those who ask.
//! It may lead to another server than the one that granted a lock, after a failover in between; there
//! the lock stands only if that server had it from the old one, and so wrote it before the rest.
//! A node that has lost the slot meanwhile says so in place of what stands there.
//!
//! Whether replicas that were missing are back is asked over one connection more, which nobody waits
//! for.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use lock_core::backend::{Clock, background_runtime, in_time};
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
    /// Over which it is asked whether missing replicas are back.
    looks: Link,
    marks: Marks,
    /// How many replicas were asked for.
    asked: u32,
    /// How long the server waits for them.
    bound: Duration,
    /// How long a connection may take; whoever has less time waits no longer.
    connect_timeout: Duration,
    replicas: Mutex<Replicas>,
    batches: Mutex<Batches>,
}

/// What is written before `WAIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    /// One key is enough, of any slot.
    One,
    /// One key of each slot: the server may not have all of them any more.
    EachSlot,
}

/// What is to be confirmed.
pub(crate) struct Claim {
    /// A key of the same slot that nobody reads.
    pub(crate) marker: String,
    /// The key whose value is to be on the replicas.
    pub(crate) key: String,
}

/// What stands in a key, and is on the replicas.
#[derive(Clone, Debug)]
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
    /// What came of waiting for the replicas, and how many have answered.
    heard: Result<(Verdict, u32), Failure>,
    /// What stands in each key.
    standings: Vec<Result<Standing, Failure>>,
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
        marks: Marks,
    ) -> Self {
        let link = || Link::new(Arc::clone(connector), Driver::Background, connect_timeout);
        Self(Arc::new(Inner {
            link: link(),
            looks: link(),
            marks,
            asked,
            bound,
            connect_timeout,
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
        let unread = || Err(UnexpectedReply("one to a question for a key").into());
        // Where its slot has gone is worth more than how many replicas have answered here.
        let standing = answers.standings.get(place).cloned().unwrap_or_else(unread)?;
        match answers.heard.clone()? {
            (Verdict::TooFew { enough }, acknowledged) => Err(Failure::unavailable(format!(
                "{acknowledged} of {enough} did in time; look after the replicas of the server, or \
                 ask for fewer (replicas)"
            ))),
            _ => Ok(standing),
        }
    }

    /// Ends the connection for good.
    pub(crate) fn close(&self) {
        self.0.link.close();
        self.0.looks.close();
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

    async fn send(self: &Arc<Self>, claims: &[Claim]) -> Result<Arc<Answers>, Failure> {
        let markers = self.markers(claims);
        self.look_if_due(&markers);
        let enough = self.replicas().enough();
        let (acknowledged, standings) = self.ask(&self.link, &markers, enough, claims).await?;
        let heard = acknowledged.map(|acknowledged| {
            let verdict = self.replicas().answered(Clock::SYSTEM.now(), acknowledged);
            self.tell(verdict, acknowledged);
            (verdict, acknowledged)
        });
        Ok(Arc::new(Answers { heard, standings }))
    }

    /// Writes, waits for so many replicas, and reads; says how many have answered, and what was read.
    async fn ask(
        &self,
        link: &Link,
        markers: &[String],
        count: u32,
        claims: &[Claim],
    ) -> Result<(Result<u32, Failure>, Vec<Result<Standing, Failure>>), Failure> {
        let deadline = Clock::SYSTEM.now() + self.connect_timeout;
        let connection = link.connection(deadline, Patience::Full).await;
        let connection = connection.map_err(|missing| match missing {
            NoConnection::Failed(failure) => failure.unconnected(),
            NoConnection::Foreign => Failure::unavailable("another runtime has the connection"),
        })?;
        let mut commands = Pipeline::with_capacity(markers.len() + 1 + 2 * claims.len());
        for marker in markers {
            commands.cmd("SET").arg(marker).arg("").arg("PX").arg(KEPT_FOR);
        }
        // No limit is written as 0.
        let millis = self.bound.as_millis().max(1);
        commands.cmd("WAIT").arg(count).arg(u64::try_from(millis).unwrap_or(u64::MAX));
        for Claim { key, .. } in claims {
            commands.cmd("GET").arg(key).cmd("PTTL").arg(key);
        }
        let deadline = Clock::SYSTEM.now() + self.bound * 2;
        let mut answers = connection.send_all(&commands, deadline).await?.into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Err(UnexpectedReply("all").into()));
        let written = markers.iter().map(|_| next()).reduce(Result::or);
        let acknowledged = match next() {
            Ok(Value::Int(count)) => Ok(u32::try_from(count).unwrap_or(0)),
            Ok(_) => connection.judge(Err(UnexpectedReply("one to WAIT"))),
            Err(failure) => Err(failure),
        };
        let standings = claims.iter().map(|_| Standing::read(next(), next())).collect();
        // Without a write it was waited for what this connection wrote before.
        let written = written.unwrap_or_else(|| Err(UnexpectedReply("one to SET").into()));
        Ok((written.and(acknowledged), standings))
    }

    fn markers(&self, claims: &[Claim]) -> Vec<String> {
        let mut markers: Vec<String> = claims.iter().map(|claim| claim.marker.clone()).collect();
        markers.sort_unstable();
        markers.dedup();
        if self.marks == Marks::One {
            markers.truncate(1);
        }
        markers
    }

    /// Asks whether there are as many replicas again as were asked for, if it is time for that.
    fn look_if_due(self: &Arc<Self>, markers: &[String]) {
        if self.replicas().is_to_look(Clock::SYSTEM.now())
            && let Ok(runtime) = background_runtime()
        {
            drop(runtime.spawn(Arc::clone(self).look(markers.to_vec())));
        }
    }

    async fn look(self: Arc<Self>, markers: Vec<String>) {
        let answer = self.ask(&self.looks, &markers, self.asked, &[]).await;
        // Another look follows, whatever has failed.
        if let Ok((Ok(acknowledged), _)) = answer {
            let verdict = self.replicas().looked(acknowledged);
            self.tell(verdict, acknowledged);
        }
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

impl Standing {
    /// From what was read of a key: its value, and its rest in ms.
    fn read(value: Result<Value, Failure>, left: Result<Value, Failure>) -> Result<Self, Failure> {
        match (value?, left?) {
            (value, Value::Int(left)) => {
                Ok(Self { value, left: Duration::from_millis(u64::try_from(left).unwrap_or(0)) })
            }
            _ => Err(UnexpectedReply("one to PTTL").into()),
        }
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

//! What is sent to a server against a model of it: the same steps at random, and the same state after
//! each.
//!
//! Whether a backend takes a lock by a plain command or by the script depends on what it has seen
//! before, so where both may be sent the model knows what comes of each.

use std::collections::HashMap;
use std::sync::Arc;

use lock_core::backend::{AcquireReply, AcquireRequest, Clock, OwnerToken, ReleaseRequest, Ticket};
use lock_redis::RedisBackend;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use testbed::ServerKind;
use tokio::runtime::Handle;

use super::model::{Answer, Entry, Holder, Mark, Model, POLLER, Place, Step, TOKENS, Word, step};
use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(the_scripts_do_what_their_model_does);

const CASES: u32 = 300;
/// In microseconds. A gap lasts 110 ms.
const LESS_THAN_A_GAP: u64 = 100_000;

/// The model and the server side by side.
struct Pair {
    mark: String,
    /// By the server's time, in microseconds.
    step_began: u64,
    /// No push can reach it.
    poller: Arc<RedisBackend>,
    model: Model,
    store: Store,
    backends: [Arc<RedisBackend>; 2],
    tokens: [OwnerToken; TOKENS + 1],
    tickets: HashMap<usize, Ticket>,
    line: String,
    dead: u64,
}

impl Pair {
    async fn start(kind: &ServerKind) -> Self {
        let mut store = Store::start(kind);
        let url = store.server.url();
        let backends = backends(&url);
        take(&backends[0], "x", HOUR).await;
        let line = line_key(&mut store);
        let mark = line.replacen("dl:q:", "dl:m:", 1);
        let model = Model::new();
        let tokens = [(); TOKENS + 1].map(|()| token());
        let client = redis::Client::open(url).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let poller = build(RedisBackend::builder().connection(connection));
        Self {
            mark,
            step_began: 0,
            poller,
            model,
            store,
            backends,
            tokens,
            tickets: HashMap::new(),
            line,
            dead: 0,
        }
    }

    /// Begins anew on the same server, over new connections.
    fn clear(&mut self) {
        self.store.run::<()>(&["FLUSHALL"]);
        self.backends = backends(&self.store.server.url());
        self.model = Model::new();
        self.tokens = [(); TOKENS + 1].map(|()| token());
        self.tickets.clear();
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        self.stop_the_clock();
        match step {
            Step::Ask(token) => return self.ask(token).await,
            Step::Poll(token) | Step::PollWithoutNumber(token) => {
                let backend = Arc::clone(&self.backends[token % 2]);
                let mut request =
                    AcquireRequest::new(key("x"), self.tokens[token], HOUR, Clock::SYSTEM);
                request.fencing = matches!(step, Step::Poll(_));
                let attempt = backend.acquire(request).await.unwrap();
                let by_script = self.by_script(|model| model.ask(token, Place::None, 0));
                let plainly = self.plainly(|model| model.take(token));
                return self.settle(answer(&attempt), [by_script, plainly]);
            }
            Step::AskAgain => {
                let token = POLLER;
                let request =
                    AcquireRequest::new(key("x"), self.tokens[token], HOUR, Clock::SYSTEM);
                let poller = Arc::clone(&self.poller);
                let attempt = poller.acquire(request.with_queue(None)).await.unwrap();
                // Its connection is not its own, so it sends no plain commands.
                let by_script = self.by_script(|model| model.ask(token, Place::Polls, 0));
                return self.settle(answer(&attempt), [by_script]);
            }
            Step::UseUp => {
                self.model.is_due |= matches!(self.model.mark, Some(Mark::Using | Mark::Idle));
            }
            Step::PassGap => {
                if self.model.mark == Some(Mark::Gap) {
                    self.model.mark = Some(Mark::Idle);
                    self.stop_the_clock();
                }
            }
            Step::Release(token) => return self.release(token, Duration::ZERO).await,
            Step::Rest(token) => return self.release(token, HOUR).await,
            Step::Delete => {
                self.store.run::<()>(&["DEL", "lock:x"]);
                self.model.holder = Holder::Nobody;
            }
            Step::Take => {
                let set = ["SET", "lock:x", "theirs", "NX", "PX", "3600000"];
                if self.store.run::<Option<String>>(&set).is_some() {
                    self.model.holder = Holder::Foreigner;
                }
            }
            Step::Lose => {
                self.store.run::<()>(&["ZPOPMIN", &self.line]);
                if !self.model.line.is_empty() {
                    self.model.line.remove(0);
                }
            }
            Step::Die { in_front } => self.die(in_front),
            Step::Flush => {
                self.store.run::<()>(&["FLUSHALL"]);
                self.model = Model::new();
            }
        }
        self.compare()
    }

    async fn ask(&mut self, token: usize) -> Result<(), TestCaseError> {
        let ticket = self.tickets.get(&token).copied();
        let place = self.model.rank(token).map(|rank| self.model.line[rank].0);
        let backend = &self.backends[token % 2];
        let attempt = ask(backend, "x", self.tokens[token], ticket).await.unwrap();
        let issued = match &attempt {
            AcquireReply::Queued(waiting) => {
                self.tickets.insert(token, waiting.ticket);
                Some(waiting.ticket.get())
            }
            _ => self.tickets.remove(&token).map(Ticket::get),
        };
        if let (Some(issued), Some(place)) = (issued, place) {
            prop_assert_eq!(issued, place, "a place does not change");
        }
        // A new ticket is behind all others, but not behind the dead that were put at the end.
        let ticket = issued.unwrap_or(1 << 51);
        let by_script = self.by_script(|model| model.ask(token, Place::Stands, ticket));
        let plainly = self.plainly(|model| model.take(token));
        // The first of a connection asks before it subscribes, and again if the lock is held.
        let at_first = self.by_script(|model| match model.ask(token, Place::None, 0) {
            Answer::Held => model.ask(token, Place::Stands, ticket),
            answer => answer,
        });
        self.settle(answer(&attempt), [by_script, plainly, at_first])
    }

    async fn release(&mut self, token: usize, rest: Duration) -> Result<(), TestCaseError> {
        let request = ReleaseRequest::new(key("x"), self.tokens[token], Clock::SYSTEM);
        let backend = &self.backends[token % 2];
        let reply = release_with(backend, request.with_min_hold(rest)).await.unwrap();
        let may_stand = self.tickets.remove(&token).is_some();
        let by_script = self
            .by_script(|model| Answer::Released(model.release(token, !rest.is_zero(), may_stand)));
        let plainly = self.plainly(|model| model.delete(token)).filter(|_| rest.is_zero());
        self.settle(Answer::Released(reply), [by_script, plainly])
    }

    fn by_script(&self, step: impl FnOnce(&mut Model) -> Answer) -> Option<(Answer, Model)> {
        self.plainly(|model| Some(step(model)))
    }

    fn plainly(&self, step: impl FnOnce(&mut Model) -> Option<Answer>) -> Option<(Answer, Model)> {
        let mut model = self.model.clone();
        step(&mut model).map(|answer| (answer, model))
    }

    /// One of these came to pass.
    fn settle<const N: usize>(
        &mut self,
        answer: Answer,
        ways: [Option<(Answer, Model)>; N],
    ) -> Result<(), TestCaseError> {
        let mut refuted = Vec::new();
        for (expected, model) in ways.into_iter().flatten() {
            if expected != answer {
                refuted.push(format!("{answer:?} instead of {expected:?}"));
                continue;
            }
            self.model = model;
            match self.compare() {
                Ok(()) => return Ok(()),
                Err(cause) => refuted.push(cause.to_string()),
            }
        }
        Err(TestCaseError::fail(refuted.join("; and ")))
    }

    fn die(&mut self, in_front: bool) {
        self.dead += 1;
        let ticket = if in_front { self.dead } else { (1 << 52) + self.dead };
        let entry = format!("1 {:032x} nobody 2000", self.dead);
        self.store.run::<()>(&["ZADD", &self.line, &ticket.to_string(), &entry]);
        self.model.line.push((ticket, Entry::Dead(self.dead)));
        self.model.line.sort_by_key(|(ticket, _)| *ticket);
    }

    /// Sets the times of the mark to what the model takes them for, so that it does not matter how
    /// long the steps take.
    fn stop_the_clock(&mut self) {
        self.step_began = self.micros();
        let Some(mark) = self.model.mark else { return };
        let (began, ended) = match (mark, self.model.is_due) {
            (Mark::Gap, _) => ("now + 900000", "now + 900000"),
            (Mark::Using, false) => ("now + 900000", "0"),
            (Mark::Using, true) => ("now - 3600000000", "0"),
            (Mark::Idle, false) => ("now + 900000", "now"),
            (Mark::Idle, true) => ("now - 3600000000", "now"),
        };
        let script = format!(
            "local time = redis.call('TIME') local now = time[1] * 1000000 + time[2] \
             redis.call('SET', KEYS[1], string.format('%.0f %.0f', {began}, {ended}), 'PX', 60000)"
        );
        self.store.run::<()>(&["EVAL", &script, "1", &self.mark]);
    }

    /// Whether the step took so long that a gap may have ended meanwhile, or what is over may be taken
    /// for a gap that is not.
    fn stood_still(&mut self) -> bool {
        self.micros() > self.step_began + LESS_THAN_A_GAP
    }

    /// The server's time.
    fn micros(&mut self) -> u64 {
        let (seconds, micros): (u64, u64) = self.store.run(&["TIME"]);
        seconds * 1_000_000 + micros
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let owner: Option<String> = self.store.run(&["GET", "lock:x"]);
        let expected = match self.model.holder {
            Holder::Nobody => None,
            Holder::Foreigner => Some("theirs".to_owned()),
            Holder::Token(token) => {
                let word = match self.model.word {
                    Word::Free => "dl:",
                    Word::Queue => "dl+",
                    Word::Polled => "dl*",
                };
                Some(format!("{word}{}", self.tokens[token]))
            }
            Holder::Resting(token) => Some(format!("min:dl:{}", self.tokens[token])),
        };
        prop_assert_eq!(owner, expected);
        let entries: Vec<String> = self.store.run(&["ZRANGE", &self.line, "0", "-1"]);
        let entries: Vec<&str> = entries.iter().map(|entry| &entry[2..34]).collect();
        let expected: Vec<String> = self
            .model
            .line
            .iter()
            .map(|(_, entry)| match entry {
                Entry::Token(token) => self.tokens[*token].to_string(),
                Entry::Dead(number) => format!("{number:032x}"),
            })
            .collect();
        prop_assert_eq!(entries, expected);
        let mark: Option<String> = self.store.run(&["GET", &self.mark]);
        let ended = mark.map(|mark| mark.split_once(' ').unwrap().1.parse::<u64>().unwrap());
        let mark = ended.map(|ended| match ended {
            0 => Mark::Using,
            // What is over is over since the step; a gap is longer than a step takes as a rule.
            _ if ended > self.step_began + LESS_THAN_A_GAP => Mark::Gap,
            _ => Mark::Idle,
        });
        prop_assert_eq!(mark, self.model.mark);
        Ok(())
    }
}

/// They look out for nobody, because it is a matter of time which gap is the first.
fn backends(url: &str) -> [Arc<RedisBackend>; 2] {
    [(); 2].map(|()| build(RedisBackend::builder().url(url).look_out_for_pollers(false)))
}

fn answer(reply: &AcquireReply) -> Answer {
    match reply {
        AcquireReply::Granted(_) => Answer::Granted,
        AcquireReply::Queued(_) => Answer::Queued,
        _ => Answer::Held,
    }
}

async fn the_scripts_do_what_their_model_does(kind: &ServerKind) {
    let mut pair = Pair::start(kind).await;
    let handle = Handle::current();
    let run = move || {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let pair = std::cell::RefCell::new(&mut pair);
        let steps = prop::collection::vec(step(), 1..40);
        TestRunner::new(config).run(&steps, |steps| {
            let mut pair = pair.borrow_mut();
            pair.clear();
            handle.block_on(async {
                for step in steps {
                    if let Err(error) = pair.step(step).await {
                        // Nothing follows from it, and what would come next has no model.
                        return if pair.stood_still() { Ok(()) } else { Err(error) };
                    }
                }
                Ok(())
            })
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}

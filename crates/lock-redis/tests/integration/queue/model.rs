//! The scripts against a model of them: the same steps at random, and the same state after each.

use std::collections::HashMap;
use std::sync::Arc;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, OwnerToken, ReleaseReply, ReleaseRequest, Ticket,
};
use lock_redis::RedisBackend;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use testbed::ServerKind;
use tokio::runtime::Handle;

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(the_scripts_do_what_their_model_does);

const CASES: u32 = 300;
const TOKENS: usize = 4;
/// The token that is never queued.
const POLLER: usize = TOKENS;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A token asks, to stand in line.
    Ask(usize),
    /// A token asks, and does not want to wait.
    Poll(usize),
    Release(usize),
    Rest(usize),
    /// Whoever no push reaches asks, as it does again and again.
    AskAgain,
    /// The lock expires, or a foreigner deletes it.
    Delete,
    /// A foreigner takes the lock, if it is free.
    Take,
    /// The first entry is lost.
    Lose,
    /// An entry without a subscriber stands in front of all others, or behind them.
    Die {
        in_front: bool,
    },
    /// The queue has used the lock for long, beside those who poll.
    UseUp,
    /// The time of a gap passes.
    PassGap,
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let token = || 0..TOKENS;
    prop_oneof![
        6 => token().prop_map(Step::Ask),
        2 => token().prop_map(Step::Poll),
        1 => Just(Step::AskAgain),
        1 => Just(Step::UseUp),
        1 => Just(Step::PassGap),
        4 => (0..=POLLER).prop_map(Step::Release),
        1 => token().prop_map(Step::Rest),
        2 => Just(Step::Delete),
        1 => Just(Step::Take),
        1 => Just(Step::Lose),
        2 => any::<bool>().prop_map(|in_front| Step::Die { in_front }),
        1 => Just(Step::Flush),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Foreigner,
    Token(usize),
    Resting(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Token(usize),
    Dead(u64),
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Granted,
    Held,
    Queued { rank: usize },
}

/// What a request has to do with the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Stands,
    Polls,
    None,
}

/// That there are those who poll, and what is left of the queue's turn beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The queue, or whoever else does not poll, has the lock, as far as anybody has said.
    Using,
    Idle,
    /// The lock is not for the queue.
    Gap,
}

/// What should stand on the server.
struct Model {
    holder: Holder,
    mark: Option<Mark>,
    /// The turn is used up.
    is_due: bool,
    /// Sorted by ticket.
    line: Vec<(u64, Entry)>,
}

impl Model {
    fn new() -> Self {
        Self { holder: Holder::Nobody, mark: None, is_due: false, line: Vec::new() }
    }

    fn ask(&mut self, token: usize, place: Place, ticket: u64) -> Answer {
        let stands = place == Place::Stands;
        if self.holder == Holder::Token(token) {
            self.leave(token);
            return Answer::Granted;
        }
        if self.holder == Holder::Nobody && self.line.is_empty() && self.mark.is_none() {
            self.holder = Holder::Token(token);
            return Answer::Granted;
        }
        if stands && self.rank(token).is_none() {
            self.line.push((ticket, Entry::Token(token)));
            self.line.sort_by_key(|(ticket, _)| *ticket);
        }
        if self.holder == Holder::Nobody {
            if stands && self.mark == Some(Mark::Using) && self.is_due {
                self.begin_gap();
            }
            let in_gap = self.mark == Some(Mark::Gap);
            if !in_gap {
                self.advance();
                self.mark = self.mark.map(|_| Mark::Using);
            }
            if self.holder == Holder::Nobody && !stands {
                self.holder = Holder::Token(token);
                self.leave(token);
            }
            if self.holder == Holder::Token(token) {
                return Answer::Granted;
            }
        }
        if self.holder == Holder::Foreigner {
            let in_gap = self.mark == Some(Mark::Gap);
            self.mark = Some(if in_gap { Mark::Gap } else { Mark::Idle });
            if stands {
                self.hint();
            }
        } else if place == Place::Polls {
            self.mark.get_or_insert(Mark::Using);
        }
        self.rank(token).filter(|_| stands).map_or(Answer::Held, |rank| Answer::Queued { rank })
    }

    fn release(&mut self, token: usize, rests: bool) -> ReleaseReply {
        let is_first = self.rank(token) == Some(0);
        let had_queue = !self.line.is_empty();
        self.leave(token);
        let reply = match self.holder {
            Holder::Token(owner) if owner == token => {
                self.holder = if rests { Holder::Resting(token) } else { Holder::Nobody };
                ReleaseReply::Released
            }
            Holder::Resting(owner) if owner == token => {
                if !rests {
                    self.holder = Holder::Nobody;
                }
                ReleaseReply::Released
            }
            Holder::Nobody => ReleaseReply::NotHeld,
            _ => ReleaseReply::HeldByOther,
        };
        if self.holder == Holder::Nobody {
            let had_one = reply == ReleaseReply::Released;
            match self.mark {
                Some(Mark::Gap) if is_first || had_one => self.hint(),
                Some(Mark::Gap) => {}
                Some(mark) if (had_one || mark == Mark::Using && had_queue) && self.is_due => {
                    self.begin_gap();
                    self.hint();
                }
                _ => {
                    self.advance();
                    if self.holder != Holder::Nobody {
                        self.mark = self.mark.map(|_| Mark::Using);
                    } else if had_one {
                        self.mark = self.mark.map(|_| Mark::Idle);
                    }
                }
            }
        } else if is_first || reply == ReleaseReply::Released {
            self.hint();
        }
        reply
    }

    fn begin_gap(&mut self) {
        self.mark = Some(Mark::Gap);
        self.is_due = false;
    }

    fn advance(&mut self) {
        self.hint();
        if let Some((_, Entry::Token(first))) = self.line.first().copied() {
            self.line.remove(0);
            self.holder = Holder::Token(first);
            self.hint();
        }
    }

    /// The dead in front are found out.
    fn hint(&mut self) {
        while let Some((_, Entry::Dead(_))) = self.line.first() {
            self.line.remove(0);
        }
    }

    fn rank(&self, token: usize) -> Option<usize> {
        self.line.iter().position(|(_, entry)| *entry == Entry::Token(token))
    }

    fn leave(&mut self, token: usize) {
        self.line.retain(|(_, entry)| *entry != Entry::Token(token));
    }
}

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
        // Which gap is the first is a matter of time.
        let url = store.server.url();
        let backends =
            [(); 2].map(|()| build(RedisBackend::builder().url(&url).look_out_for_pollers(false)));
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

    /// Begins anew on the same server.
    fn clear(&mut self) {
        self.store.run::<()>(&["FLUSHALL"]);
        self.model = Model::new();
        self.tokens = [(); TOKENS + 1].map(|()| token());
        self.tickets.clear();
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        self.stop_the_clock();
        match step {
            Step::Ask(token) => self.ask(token).await?,
            Step::Poll(token) => {
                let backend = &self.backends[token % 2];
                let attempt = attempt(backend, "x", self.tokens[token], HOUR).await.unwrap();
                let expected = self.model.ask(token, Place::None, 0);
                let answer = if is_held(&attempt) { Answer::Held } else { Answer::Granted };
                prop_assert_eq!(answer, expected);
            }
            Step::AskAgain => {
                let token = POLLER;
                let request =
                    AcquireRequest::new(key("x"), self.tokens[token], HOUR, Clock::SYSTEM);
                let poller = Arc::clone(&self.poller);
                let attempt = poller.acquire(request.with_queue(None)).await.unwrap();
                let expected = self.model.ask(token, Place::Polls, 0);
                let answer = if is_held(&attempt) { Answer::Held } else { Answer::Granted };
                prop_assert_eq!(answer, expected);
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
            Step::Release(token) => self.release(token, Duration::ZERO).await?,
            Step::Rest(token) => self.release(token, HOUR).await?,
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
        let answer = match self.model.ask(token, Place::Stands, issued.unwrap_or(1 << 51)) {
            Answer::Queued { rank } => {
                prop_assert!(
                    matches!(attempt, AcquireReply::Queued(_)),
                    "{attempt:?}, and not {rank}"
                );
                return Ok(());
            }
            answer => answer,
        };
        prop_assert_eq!(answer, Answer::Granted);
        prop_assert!(matches!(attempt, AcquireReply::Granted(_)), "{attempt:?}");
        Ok(())
    }

    async fn release(&mut self, token: usize, rest: Duration) -> Result<(), TestCaseError> {
        let request = ReleaseRequest::new(key("x"), self.tokens[token], Clock::SYSTEM);
        let backend = &self.backends[token % 2];
        let reply = release_with(backend, request.with_min_hold(rest)).await.unwrap();
        prop_assert_eq!(reply, self.model.release(token, !rest.is_zero()));
        self.tickets.remove(&token);
        Ok(())
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
            Holder::Token(token) => Some(owned_by(self.tokens[token])),
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
            // What is over is over since the step; a gap is longer than a step takes.
            _ if ended > self.step_began + 100_000 => Mark::Gap,
            _ => Mark::Idle,
        });
        prop_assert_eq!(mark, self.model.mark);
        Ok(())
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
                    pair.step(step).await?;
                }
                Ok(())
            })
        })
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}

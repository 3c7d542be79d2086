//! One exchange with each of several members, all at once.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{Either, select};
use lock_core::Result;
use lock_core::backend::{Clock, Instant};

/// One exchange with one member that is under way. It owns what it needs.
pub(crate) type Exchange<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// The exchanges that are under way, each with the number of its member.
///
/// All of them are polled by the task that waits for the answers, so a round costs no task.
/// There are a handful, so each is looked at whenever one of them may have an answer.
pub(crate) struct Round<T> {
    under_way: Vec<(usize, Exchange<T>)>,
    answers: VecDeque<(usize, Result<T>)>,
}

/// What comes next of a round.
pub(crate) enum Next<T> {
    Answer(usize, Result<T>),
    /// There is no answer more, or none in time.
    Silence,
}

/// What is left of a round when its outcome is known, each with the number of its member.
pub(crate) struct Rest<T> {
    /// Answers that are there.
    pub(crate) answers: VecDeque<(usize, Result<T>)>,
    pub(crate) under_way: Vec<(usize, Exchange<T>)>,
}

impl<T> Round<T> {
    pub(crate) fn new(exchanges: impl Iterator<Item = (usize, Exchange<T>)>) -> Self {
        let under_way: Vec<_> = exchanges.collect();
        let answers = VecDeque::with_capacity(under_way.len());
        Self { under_way, answers }
    }

    /// The next answer.
    pub(crate) async fn next(&mut self) -> Next<T> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next answer, if it comes until then.
    pub(crate) async fn next_by(&mut self, clock: Clock, deadline: Option<Instant>) -> Next<T> {
        let Some(deadline) = deadline else { return self.next().await };
        let next = poll_fn(|cx| self.poll(cx));
        match select(next, clock.sleep_until(deadline)).await {
            Either::Left((next, _)) => next,
            Either::Right(_) => Next::Silence,
        }
    }

    /// The members that have not answered yet.
    pub(crate) fn silent(&self) -> impl Iterator<Item = usize> {
        self.under_way.iter().map(|(member, _)| *member)
    }

    /// What nobody has heard.
    pub(crate) fn rest(self) -> Rest<T> {
        Rest { answers: self.answers, under_way: self.under_way }
    }

    /// The answers that are there and were not asked for.
    pub(crate) fn heard(&mut self) -> impl Iterator<Item = (usize, Result<T>)> {
        self.answers.drain(..)
    }

    /// Takes in the answers that have come.
    pub(crate) async fn hear(&mut self) {
        poll_fn(|cx| {
            self.poll_all(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next<T>> {
        if self.answers.is_empty() {
            // All of them, also when the first one answers at once: so each request is sent.
            self.poll_all(cx);
        }
        match self.answers.pop_front() {
            Some((member, answer)) => Poll::Ready(Next::Answer(member, answer)),
            None if self.under_way.is_empty() => Poll::Ready(Next::Silence),
            None => Poll::Pending,
        }
    }
    fn poll_all(&mut self, cx: &mut Context<'_>) {
        let mut place = 0;
        while let Some((member, exchange)) = self.under_way.get_mut(place) {
            match exchange.as_mut().poll(cx) {
                Poll::Ready(answer) => {
                    self.answers.push_back((*member, answer));
                    drop(self.under_way.remove(place));
                }
                Poll::Pending => place += 1,
            }
        }
    }
}

//! What should stand on a server for one lock, and what each step makes of it.

use lock_core::backend::ReleaseReply;
use proptest::prelude::*;

pub(super) const TOKENS: usize = 4;
/// The token that is never queued.
pub(super) const POLLER: usize = TOKENS;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A token asks, to stand in line.
    Ask(usize),
    /// A token asks, and does not want to wait.
    Poll(usize),
    /// As `Poll`, by somebody who has no use for a number.
    PollWithoutNumber(usize),
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

pub(super) fn step() -> impl Strategy<Value = Step> {
    let token = || 0..TOKENS;
    prop_oneof![
        6 => token().prop_map(Step::Ask),
        2 => token().prop_map(Step::Poll),
        2 => token().prop_map(Step::PollWithoutNumber),
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
pub(super) enum Holder {
    Nobody,
    Foreigner,
    Token(usize),
    Resting(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Token(usize),
    Dead(u64),
}

/// What stands before the holder's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Its release has only to delete it.
    Free,
    /// Somebody waits.
    Queue,
    /// Pollers are known.
    Polled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Granted,
    Held,
    Queued,
    Released(ReleaseReply),
}

/// What a request has to do with the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Stands,
    Polls,
    None,
}

/// That there are those who poll, and what is left of the queue's turn beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The queue, or whoever else does not poll, has the lock, as far as anybody has said.
    Using,
    Idle,
    /// The lock is not for the queue.
    Gap,
}

/// What should stand on the server.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) holder: Holder,
    /// Of a token that holds the lock.
    pub(super) word: Word,
    pub(super) mark: Option<Mark>,
    /// The turn is used up.
    pub(super) is_due: bool,
    /// Sorted by ticket.
    pub(super) line: Vec<(u64, Entry)>,
}

impl Model {
    pub(super) fn new() -> Self {
        let (holder, word) = (Holder::Nobody, Word::Free);
        Self { holder, word, mark: None, is_due: false, line: Vec::new() }
    }

    pub(super) fn ask(&mut self, token: usize, place: Place, ticket: u64) -> Answer {
        let stands = place == Place::Stands;
        if self.holder == Holder::Token(token) {
            self.leave(token);
            return Answer::Granted;
        }
        if self.holder == Holder::Nobody && self.line.is_empty() && self.mark.is_none() {
            self.holder = Holder::Token(token);
            self.word = Word::Free;
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
                self.word = Word::Polled;
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
        if place != Place::None {
            // From now on a release has more to do than to delete it.
            self.word = match (self.mark, self.word) {
                (Some(_), _) | (None, Word::Polled) => Word::Polled,
                (None, _) => Word::Queue,
            };
        }
        if stands { Answer::Queued } else { Answer::Held }
    }

    /// By a plain command, which knows neither queue nor mark; `None` if it finds somebody.
    pub(super) fn take(&mut self, token: usize) -> Option<Answer> {
        let is_free = self.holder == Holder::Nobody && self.rank(token).is_none();
        is_free.then(|| {
            self.holder = Holder::Token(token);
            self.word = Word::Free;
            Answer::Granted
        })
    }

    /// By a plain command; `None` if that has no effect.
    pub(super) fn delete(&mut self, token: usize) -> Option<Answer> {
        let is_free = self.holder == Holder::Token(token) && self.word == Word::Free;
        is_free.then(|| {
            self.holder = Holder::Nobody;
            Answer::Released(ReleaseReply::Released)
        })
    }

    pub(super) fn release(&mut self, token: usize, rests: bool, may_stand: bool) -> ReleaseReply {
        let was_beside = !self.line.is_empty() || self.mark.is_some();
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
            return reply;
        }
        if is_first || reply == ReleaseReply::Released {
            self.hint();
        }
        if may_stand && was_beside && self.line.is_empty() && self.word == Word::Queue {
            self.word = Word::Free;
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
            self.word = match self.mark {
                Some(_) => Word::Polled,
                None if self.line.is_empty() => Word::Free,
                None => Word::Queue,
            };
            self.hint();
        }
    }

    /// The dead in front are found out.
    fn hint(&mut self) {
        while let Some((_, Entry::Dead(_))) = self.line.first() {
            self.line.remove(0);
        }
    }

    pub(super) fn rank(&self, token: usize) -> Option<usize> {
        self.line.iter().position(|(_, entry)| *entry == Entry::Token(token))
    }

    fn leave(&mut self, token: usize) {
        self.line.retain(|(_, entry)| *entry != Entry::Token(token));
    }
}

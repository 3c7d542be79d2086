//! What plain commands do: they look at nothing but the lock's value.

use crate::message::{Answer, Number, Request, Token};
use crate::queue::server::{Effects, Owner, Server};
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::Tick;

impl Server {
    /// Runs the first command for a request; or the second one, with what the first one told.
    pub fn run_plain(
        &mut self,
        scenario: &Scenario,
        now: Tick,
        token: Token,
        request: Request,
        rest: Option<Number>,
    ) -> Effects {
        let counts_first = scenario.bug == Some(SeededBug::NumberBeforeSet);
        let mut effects = Effects::default();
        match (request, rest) {
            (Request::Acquire { .. }, None) if counts_first => {
                effects.rest = Some(self.counter.count());
            }
            (Request::Acquire { ttl, wait, .. }, _) if counts_first || rest.is_none() => {
                if self.lease.is_some() {
                    effects.answer = Some(Answer::NotSet);
                } else {
                    self.lease = Some((Owner::Token(token), now + ttl));
                    effects.granted = Some((token, None));
                    effects.in_gap = !wait && now < self.turn.gap_until;
                    effects.rest = Some(0);
                    if !scenario.wants_number(token.client) {
                        (effects.rest, effects.answer) = (None, Some(Answer::Granted(0)));
                    }
                    if let Some(number) = rest {
                        (effects.rest, effects.answer) = (None, Some(Answer::Granted(number)));
                    }
                }
            }
            (Request::Acquire { .. }, _) => {
                let number = self.counter.count();
                let looks_again = scenario.bug != Some(SeededBug::NumberOfLostLock);
                let is_lost = self.owner() != Some(token) && looks_again;
                effects.answer =
                    Some(if is_lost { Answer::NotSet } else { Answer::Granted(number) });
            }
            _ => effects.answer = Some(self.delete_if_equal(scenario, token)),
        }
        effects
    }

    fn delete_if_equal(&mut self, scenario: &Scenario, token: Token) -> Answer {
        let ignores_mark = scenario.bug == Some(SeededBug::PlainReleaseIgnoresMark);
        if self.owner() == Some(token) && (!self.marked || ignores_mark) {
            self.free();
            return Answer::Released;
        }
        Answer::NotEqual
    }
}

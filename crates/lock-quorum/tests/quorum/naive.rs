//! Another quorum, as simple as it can be, with one defect or none.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, Clock, Grant, LockBackend, LockKey, OwnerToken,
    ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockError, LockErrorKind, Result};

use crate::store::{Store, TIMEOUT};

/// What can be wrong with a quorum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Defect {
    None,
    /// Half of the members, rounded down, are a majority.
    HalfIsEnough,
    /// A round that failed gives nothing back.
    KeepsVotes,
    /// What comes after the answer is not looked at.
    ForgetsTheSlow,
    /// A release stops at the first majority.
    ReleasesAtAMajority,
    /// The lease counts from the answer.
    CountsFromTheAnswer,
    /// One member is enough to renew.
    RenewsByOne,
    /// All members are waited for.
    WaitsForAll,
}

impl Defect {
    /// All of them, each with the claim that rejects it.
    pub(crate) const ALL: [(Self, Option<&'static str>); 8] = [
        (Self::None, None),
        (Self::HalfIsEnough, Some("a_minority_of_votes_is_no_lock")),
        (Self::KeepsVotes, Some("a_round_that_failed_gives_its_votes_back")),
        (Self::ForgetsTheSlow, Some("a_vote_that_comes_after_the_release_is_given_back")),
        (Self::ReleasesAtAMajority, Some("a_release_reaches_every_member")),
        (Self::CountsFromTheAnswer, Some("no_lease_outlives_its_votes")),
        (Self::RenewsByOne, Some("a_minority_renews_nothing")),
        (Self::WaitsForAll, Some("a_minority_that_is_down_costs_nothing")),
    ];
}

pub(crate) struct NaiveQuorum {
    stores: Vec<Store>,
    defect: Defect,
}

impl NaiveQuorum {
    pub(crate) fn new(stores: &[Store], defect: Defect) -> Self {
        Self { stores: stores.to_vec(), defect }
    }

    fn needed(&self) -> usize {
        let half = self.stores.len() / 2;
        if self.defect == Defect::HalfIsEnough { half } else { half + 1 }
    }

    /// Releases at this store for as long as a request can be late, and it does not answer.
    fn undo(&self, store: &Store, key: &LockKey, token: OwnerToken, clock: Clock) {
        let request = ReleaseRequest::new(key.clone(), token, clock);
        let (store, end) = (store.clone(), clock.now() + TIMEOUT * 3);
        drop(tokio::spawn(async move {
            while store.release(request.clone()).await.is_err() || clock.now() < end {
                clock.sleep(Duration::from_millis(50)).await;
            }
        }));
    }

    /// Asks all, and stops as soon as it is `enough`. A task of its own asks, so that nothing that
    /// was sent is dropped.
    async fn gather<T: Send + 'static>(
        &self,
        asked: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
        enough: impl Fn(&[(usize, Result<T>)]) -> bool,
    ) -> Vec<(usize, Result<T>)> {
        let mut all: FuturesUnordered<_> = asked
            .enumerate()
            .map(
                |(number, exchange)| async move { (number, tokio::spawn(exchange).await.unwrap()) },
            )
            .collect();
        let mut answers = Vec::new();
        while let Some(answer) = all.next().await {
            answers.push(answer);
            if enough(&answers) && self.defect != Defect::WaitsForAll {
                break;
            }
        }
        answers
    }

    fn no_majority<T>(&self, answers: &[(usize, Result<T>)]) -> LockError {
        let failed = answers.iter().filter_map(|(number, answer)| {
            let error = answer.as_ref().err()?;
            Some(format!("{}: {error}", self.stores[*number].address()))
        });
        let text = failed.collect::<Vec<_>>().join("; ");
        LockError::new(LockErrorKind::Unavailable, text)
    }
}

impl LockBackend for NaiveQuorum {
    fn kind(&self) -> &'static str {
        "naive"
    }

    fn capabilities(&self) -> Capabilities {
        self.stores[0]
            .capabilities()
            .with_fencing(false)
            .with_queueing(false)
            .with_repeatable(false)
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        let needed = self.needed();
        let asked = self.stores.iter().map(|store| {
            let (store, request) = (store.clone(), request.clone());
            async move { store.acquire(request).await }
        });
        let is = |answer: &Result<AcquireReply>, granted: bool| match answer {
            Ok(AcquireReply::Granted(_)) => granted,
            Ok(_) => !granted,
            Err(_) => false,
        };
        let count = |answers: &[(usize, Result<AcquireReply>)], granted| {
            answers.iter().filter(|(_, answer)| is(answer, granted)).count()
        };
        let answers = self
            .gather(asked, |answers| {
                count(answers, true) >= needed || count(answers, false) >= needed
            })
            .await;
        if count(&answers, true) >= needed {
            let late = request.clock.now().saturating_duration_since(request.asked_at);
            return Ok(AcquireReply::granted(match self.defect {
                Defect::CountsFromTheAnswer => Grant::new().with_granted_ttl(request.ttl + late),
                _ => Grant::new(),
            }));
        }
        if self.defect != Defect::KeepsVotes {
            for store in &self.stores {
                self.undo(store, &request.key, request.token, request.clock);
            }
        }
        if count(&answers, true) + count(&answers, false) >= needed {
            return Ok(AcquireReply::held());
        }
        Err(self.no_majority(&answers))
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        let needed = self.needed();
        let reach = match self.defect {
            Defect::ReleasesAtAMajority => needed,
            _ => self.stores.len(),
        };
        let asked = self.stores.iter().take(reach).map(|store| {
            let (store, request) = (store.clone(), request.clone());
            async move { store.release(request).await }
        });
        let count = |answers: &[(usize, Result<ReleaseReply>)], wanted| {
            answers.iter().filter(|(_, answer)| answer.as_ref().ok() == Some(&wanted)).count()
        };
        let all = [ReleaseReply::Released, ReleaseReply::NotHeld, ReleaseReply::HeldByOther];
        let found = |answers: &[(usize, Result<ReleaseReply>)]| {
            all.into_iter().find(|reply| count(answers, *reply) >= needed)
        };
        let answers = self.gather(asked, |answers| found(answers).is_some()).await;
        if self.defect != Defect::ForgetsTheSlow {
            for store in self.stores.iter().take(reach) {
                self.undo(store, &request.key, request.token, request.clock);
            }
        }
        found(&answers).ok_or_else(|| self.no_majority(&answers).or_unknown())
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        let needed = if self.defect == Defect::RenewsByOne { 1 } else { self.needed() };
        let asked = self.stores.iter().map(|store| {
            let (store, batch) = (store.clone(), batch.clone());
            async move { store.renew(batch).await }
        });
        let count = |answers: &[(usize, Result<Vec<RenewReply>>)], place: usize| {
            let renewed = |answer: &Result<Vec<RenewReply>>| {
                answer.as_ref().is_ok_and(|replies| matches!(replies[place], RenewReply::Renewed))
            };
            answers.iter().filter(|(_, answer)| renewed(answer)).count()
        };
        let answers = self
            .gather(asked, |answers| (0..batch.len()).all(|place| count(answers, place) >= needed))
            .await;
        let reply = |place| match count(&answers, place) >= needed {
            true => RenewReply::Renewed,
            false => RenewReply::NotHeld,
        };
        Ok((0..batch.len()).map(reply).collect())
    }
}

//! The quorum backend of `distlock`: locks on a majority of independent stores.
//!
//! ```
//! # use lock_core as distlock;
//! # mod quorum { pub use lock_quorum::*; }
//! use distlock::LockService;
//! use distlock::memory::MemoryBackend;
//! use quorum::QuorumBackend;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> distlock::Result<()> {
//! // In a program, one backend for each server.
//! let backend = QuorumBackend::builder()
//!     .named_member("a", MemoryBackend::new())
//!     .named_member("b", MemoryBackend::new())
//!     .named_member("c", MemoryBackend::new())
//!     .build()?;
//! let locks = LockService::new(backend);
//! assert_eq!(locks.lock("x").execute(async |_lease| 7).await?, Some(7));
//! # Ok(())
//! # }
//! ```
//!
//! A lock is held by the owner that has it at a **majority** of the members: 2 of 3, 3 of 5. Any
//! two majorities have a member in common, which grants the lock only once. On Redis servers this
//! is the algorithm that Redis calls [Redlock].
//!
//! The members must be independent: neither replicas of each other nor nodes of one cluster, and
//! each must be listed once. A server that is listed twice under different names is not detected;
//! it would have two votes.
//!
//! # How it works
//!
//! - **Acquire** asks all members at once, with one token. The lock is held when a majority has
//!   granted it; the lease counts from before the first request was sent. Nobody waits for the
//!   slower members.
//! - What is granted without a majority is **released** everywhere, also at members that have not
//!   answered: the release is repeated in the background until it is certain that no late request
//!   of the same token can follow.
//! - If several clients ask at the same moment and **split the votes**, each releases what it got,
//!   and those that got any ask again after a short random pause, for a second at most. Then they
//!   count as refused; waiters poll.
//! - **Release** goes to all members, and reports what a majority found.
//! - **Renewals** go to all members; a lease is renewed if a majority has renewed it.
//!
//! # What it promises
//!
//! - A minority of members that is down, frozen or slow costs no error and no waiting. Each is
//!   logged once.
//! - Where no majority answers, each operation fails within the members' response timeout, with an
//!   error that names the members and their causes.
//! - Members that answer keep nothing of a request that failed.
//!
//! # What it does not promise
//!
//! - **Fencing tokens.** Each member has its own counter, and the numbers of different majorities
//!   have no common order. Use one server where you need fencing.
//! - **Order.** There is no queue; waiters poll, with jitter.
//! - **Repeated requests**: each round of asking has a fresh token. A release of an earlier round
//!   that arrives late would otherwise take away a vote of the later one.
//! - **Exclusion after a loss of data.** A member that restarts without its data has forgotten its
//!   votes and would vote again. So a server without persistence must stay away, after a crash, for
//!   longer than the longest lease (Redis calls this a delayed restart).
//! - **Exclusion when clocks jump.** Each member measures the lease by its own clock.
//!
//! [Redlock]: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
#![cfg_attr(docsrs, feature(doc_cfg))]

mod absent;
mod ask;
mod backend;
mod builder;
mod failure;
mod health;
mod jobs;
mod list;
mod member;
mod members;
mod revote;
mod round;
mod tell;
mod undo;
mod unsettled;
mod votes;

pub use backend::QuorumBackend;
pub use builder::QuorumBackendBuilder;

/// Compiles and runs the code in the README of this package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

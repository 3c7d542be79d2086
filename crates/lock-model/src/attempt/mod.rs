//! The attempt: one token at a time, polled for.
//!
//! The client's side is the product's own code: [`StoreAttempt`](crate::product::StoreAttempt),
//! driven by [`driver::Driver`] as the core drives it.
//!
//! # What is modelled
//!
//! - **Server** ([`server`]): one key with its owner and expiry, and the fencing counter.
//!   An acquire that runs after its `not_after` is refused, the same token is granted again with
//!   its expiry raised, a release compares the owner, a renewal never shortens.
//! - **Network** ([`network`](crate::network)): every request and every answer is a message of its
//!   own, and all are under way in any order.
//!   A message takes up to [`latency`](settings::Scenario::latency) ticks, a slow one up to
//!   [`slow`](settings::Scenario::slow), and a lost one never arrives.
//!   An answer that comes after the response timeout is dropped by its client; the request may
//!   still run.
//! - **Clients** ([`client`]): one to three, each with one to three attempts, one after the other,
//!   and each attempt with a token of its own.
//!   A caller may drop its acquire, ask again with the same token, release its guard at any
//!   moment, send two renewals with different leases at once, or vanish.
//!   A guard is given up at its deadline, and when a renewal finds the lock gone.
//! - **Time**: ticks of one second; leases are 1 to 6 ticks, the response timeout is 2, drift and the
//!   pauses between releases are shorter than a tick.
//!   A tick passes only when nobody has something overdue, so nobody is late for no reason; a
//!   client that is late is one whose messages are.
//!
//! # What must hold
//!
//! - S1: two clients never both hold the lock.
//! - S2: whoever believes to hold the lock owns it in the store, for at least as long.
//!   No guard is handed out past its deadline.
//!   After a wipe this and S1 are not asked of the attempts that it hit.
//! - S4: a release or a renewal never changes the lease of another token.
//! - S6: when nothing is under way and nobody wants anything, no token of a live client owns the
//!   lock.
//! - S7: nothing waits for ever: no state is a dead end with somebody not done, and as every event
//!   uses something up, every path ends.
//! - S8: each grant's fencing number is above every number before.
//! - R6: no answer shortens what a guard believes to have left.
//! - R8: a release is reported as `Released` only if it freed the lock, and as `AlreadyExpired`
//!   or `HeldByOther` only if no earlier release of the token did.
//!
//! [`seeded_bugs::SEEDED_BUGS`] breaks the modelled server or driver on purpose, once for each way
//! in which these properties are known to break, so that a property which notices nothing is
//! noticed.
//!
//! # What is not modelled
//!
//! - Clocks run exactly alike: drift, steps and suspension are left to the 1 % that the machine
//!   subtracts.
//! - One server that keeps its data, a wipe excepted: no failover, no partial replication.
//! - No `min_hold`, no quorum; waiting in the store's queue is in [`queue`](crate::queue),
//!   hand-overs inside a process in [`handover`](crate::handover).
//! - Which of two connections carries a message: any order is possible anyway.
//! - A client that is frozen and comes back, except in [`queue`](crate::queue) and
//!   [`handover`](crate::handover).

pub mod client;
mod display;
pub mod driver;
mod model;
mod properties;
pub mod scenarios;
pub mod seeded_bugs;
pub mod server;
pub mod settings;
mod steps;
pub mod world;

//! Exhaustive exploration of the lock protocol's state machines.
//!
//! [`StoreAttempt`](lock_core::attempt::StoreAttempt) is the product's own code: the core drives
//! it in production, and [`attempt::driver::Driver`] drives it here, through every order in which
//! requests and answers can arrive, be slow, or be lost.
//! A [`attempt::settings::Scenario`] says how many clients there are and how much trouble they get; a
//! search in breadth visits every state, checks the properties in each, and prints a shortest way
//! to the first that breaks one.
//!
//! Waiting in line, with direct grants and pushes, has a model of its own: [`queue`].
//! The lines inside processes have one on top of that: [`handover`].
//!
//! ```text
//! cargo xtask model           # what every change runs
//! cargo xtask model --full    # every scenario
//! cargo run --release -p lock-model -- --scenario no-not-after
//! ```
//!
//! # How the states stay few
//!
//! Clients are alike, so states that differ by who is who are one.
//! Losing or delaying a message is decided when it is due, as nobody can tell before.
//! A client does what the machine wants at once.
//! When everybody is done, time starts again from zero.

pub mod attempt;
pub mod attempt_driver;
pub mod budget;
pub mod case;
pub mod exchange;
pub mod handover;
pub mod message;
pub mod network;
pub mod product;
pub mod properties;
pub mod queue;
pub mod search;
pub mod time;

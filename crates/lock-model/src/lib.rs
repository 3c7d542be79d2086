//! Exhaustive exploration of the lock protocol's state machines.
//!
//! The state machines are the product's own code ([`product`]): the core drives them in production,
//! and the models drive them here, through every order in which messages can arrive, be slow, or be
//! lost.
//! There are three models, and each builds on the one before:
//!
//! | model | what is explored |
//! |---|---|
//! | [`attempt`] | one token at a time: clients that poll, renew and release |
//! | [`queue`] | the store's queue: clients that wait in it, direct grants, and pushes |
//! | [`handover`] | the local queues inside processes: leases that are passed on between tasks |
//!
//! A scenario says how many clients there are and how much trouble they get; a search in breadth
//! visits every state, checks the properties in each, and prints a shortest way to the first that
//! breaks one.
//!
//! ```text
//! cargo xtask model           # what every change runs
//! cargo xtask model --full    # every scenario
//! cargo run --release -p lock-model -- --scenario no-not-after
//! ```
//!
//! # How a model is laid out
//!
//! | file | subject |
//! |---|---|
//! | `settings` | what a scenario says, and the bugs that may be seeded in one |
//! | `scenarios` | the scenarios that must hold |
//! | `seeded_bugs` | the scenarios with a bug, and the property that must notice it |
//! | `scenarios_plain`, `seeded_bugs_plain` of the queue | the same of plain commands |
//! | `server` | the server; hand-overs have that of the queue |
//! | `scripts`, `plain`, `counter` of the queue | what requests do to the server: scripts and plain commands, and the numbers that they draw |
//! | `client`, in hand-overs `process` | the state of one client, and what of it is on its way |
//! | `driver` | what a client does, by the product's state machines |
//! | `world` | one state of everything, and what can happen in it |
//! | `steps` | what an event does to the world |
//! | `properties` | what must hold in every state |
//! | `display` | how events read in a trace |
//! | `model` | all of it as the search sees it |
//!
//! What all of them have in common is next to this file: messages ([`message`], [`exchange`]), the
//! [`network`] that carries them, [`attempt_driver`], [`budget`], [`time`], [`properties`], and the
//! [`search`].
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
pub mod exchange;
pub mod fingerprint;
pub mod handover;
pub mod message;
pub mod network;
pub mod product;
pub mod properties;
pub mod queue;
pub mod search;
pub mod time;

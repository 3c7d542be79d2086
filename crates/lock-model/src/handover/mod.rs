//! The local queues inside processes: leases that are passed on between the tasks of a process, on
//! top of the queue of the store.
//!
//! The client's side is the product's own code: [`LocalQueue`](crate::product::LocalQueue) decides
//! who leads, which is to deal with the store, and who is next;
//! [`StoreAttempt`](crate::product::StoreAttempt) and [`Waiter`](crate::product::Waiter) decide what
//! is sent and believed; [`Lease`](crate::product::Lease) decides until when a guard is valid, when
//! it is renewed, and what its end leaves to do.
//! `local_queue.rs` carries the decisions of the first from task to task, as the core does;
//! [`driver`] does what the others say.
//! [`held`] keeps a lease beside what only the properties know of it.
//! The server and its queue are those of [`queue`](crate::queue).
//!
//! # What is modelled
//!
//! - **Tasks**: each wants the lock once, for a fixed lease or for one that is renewed, and waits or
//!   does not.
//!   It may give up at any moment: while it waits, with a step under way, told of its turn and not
//!   there to take it, or told to lead just when its time is up.
//!   It may be left unpolled for a while: while it waits, while it leads, with an offer that it has
//!   not taken, and with a guard; then answers and grants lie there until it is polled again, and
//!   only the background and the other tasks go on.
//! - **Local queues**: a leader takes over the token of the one before with the step that is under
//!   way; only the place in the store's queue, if it asks for another lease.
//!   Whoever is replaced goes on for itself.
//! - **The background**: it looks at leases when they are due, at the first tick from then on, and
//!   at offers within the tick, too; it claims what is left of a window or of a lease that was passed
//!   on, and undoes what is left of a lease that was lost and whose guard is not dropped.
//!   A lease that is kept alive is renewed as often as [`Budget::renewed`](crate::budget::Budget)
//!   allows, at any moment.
//!   An answer that comes later than the background waits for it is taken all the same.
//! - **Time, network and trouble**: as in [`queue`](crate::queue).
//!
//! # What must hold
//!
//! Beside S1, S2, S4, S6, S7 and S8 of [the attempt](crate::attempt), over all tasks of all
//! processes, with each guard that is on its way to a task counted as held:
//!
//! - S3: the rest of a lease that was taken is claimed before it ends, if no message is late or
//!   lost.
//! - S7: a task that waits waits for somebody, who leads or holds or is told so; no local queue is
//!   left without; whoever acts in time is not replaced; an offer that nobody takes ends after two
//!   ticks; the lock is not free for longer than the scenario allows while a task that is polled
//!   waits.
//! - S8: a guard that was passed on has a larger number too.
//! - S11: the tasks of a process are told of their turns in the order in which they came.
//!   No process with a place in the store's queue is passed by more than the scenario allows, nor by
//!   more grants inside other processes than as many batches have.
//! - R13: a fixed lease never outlasts what its task asked for; a lease is not passed on while a
//!   renewal is unconfirmed; no two tasks have one term; whoever had a term that is over changes
//!   nothing in the local queue.
//! - R32: a lease is passed on only within the time that the scenario sets.
//!
//! # What is not modelled
//!
//! - `min_hold`, `extend`, the shutdown, local queues that are turned off, and connections that are
//!   lost: the model of the store's queue answers for those.
//! - What a release reports; a lease that was passed on is reported as released.
//! - Tasks that want the lock again, and more than three of them.

mod display;
pub mod driver;
pub mod held;
pub mod leader;
mod local_queue;
mod model;
pub mod process;
mod properties;
pub mod scenarios;
pub mod seeded_bugs;
pub mod settings;
mod steps;
pub mod world;

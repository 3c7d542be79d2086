//! The store's queue: waiters, direct grants, and pushes.
//!
//! The client's side is the product's own code: [`StoreAttempt`](crate::product::StoreAttempt) and
//! [`Waiter`](crate::product::Waiter), driven by [`driver::Driver`] as the core and a backend with
//! a queue drive them.
//! Each client wants the lock one or more times, strictly in order; what is passed on inside a
//! process is in [`handover`](crate::handover).
//!
//! # What is modelled
//!
//! - **Server** ([`server`]): the lock, the queue by ticket, the [`counter`], and the scripts for
//!   acquire, release and renew.
//!   A release grants the lock to the first in the queue whose connection the server counts, for a
//!   window, and tells the next how long; so does whoever asks and finds the lock free, unless it is
//!   the first itself.
//!   Whoever leaves the head of the queue while the lock is held has the next told, too.
//!   Clients that poll get the lock only when the queue is empty; clients of other libraries take
//!   and delete it without looking.
//!   With [`settings::Scenario::gap`] the queue leaves the lock free after each turn, for those who poll;
//!   that there are some is known from the beginning.
//! - **Plain commands**, with [`settings::Scenario::plain`]: an acquire may be a `SET` and then an
//!   `INCR`, between which others' commands run and the connection may end; a release may be a
//!   compare-and-delete.
//!   Whether a request is carried out so is open until it runs, because one process knows a name as
//!   contended and another does not.
//!   The lock's value is marked while somebody stands in the queue: a plain release leaves a marked
//!   value alone, and the script follows.
//!   A plain acquire is never refused for being late; whatever its client sends after giving up on
//!   it kills the connection that may still carry it.
//!   The server may lose the counter, or go back to an older state of it in a failover; a number
//!   that no clock can have shown is not handed out, and until a new connection has had the script
//!   draw a number it uses no plain commands, and has the script lift the counter to the clock.
//!   After the number is drawn, the lock's value is looked at again: it may have been deleted since
//!   it was set, and another may have got a lower number.
//! - **Pushes** ([`Pushed`](crate::message::Pushed)): messages of their own, which arrive in any
//!   order with the answers, late, or never.
//! - **Connections**: the server may stop counting one before its client learns of it, and may go
//!   on counting one whose client has left it or has vanished.
//!   A new connection has a new channel, or with [`settings::Scenario::one_channel`] the same.
//! - **Clients** ([`client`]): each may give up, vanish, or stand still for longer than its lease
//!   and then go on with whatever has come meanwhile.
//!   While a step is under way a pushed grant is kept until its answer, and judged after it.
//!   A token that nobody wants any more is undone in the background while the client goes on.
//! - **Time**: as in the model of the attempt; a window is 1 to 3 ticks.
//!
//! # What must hold
//!
//! Beside what the model of the attempt asks for ([S1 to S8, R6 and R8](crate::attempt)):
//!
//! - S3: a window is claimed before it ends, if no message is late or lost.
//! - S6: no token of a live client is left in the queue either.
//! - S7: the lock is not free for longer than [`settings::Scenario::queue_free`] while somebody
//!   stands in the queue, nor for longer than [`settings::Scenario::free`] while somebody waits whom
//!   the server has lost sight of; and a grant that nobody takes lasts no longer than its window.
//! - S11: nobody who got a place in the queue is passed by more than
//!   [`settings::Scenario::overtaking`] who came later, and did so in no gap; and no poller asks in vain
//!   for more than [`settings::Scenario::in_vain`] ticks.
//! - S12: no script tells the owner of the lock that it does not have it.
//!
//! A fault-free scenario allows none of these ticks but those of gaps.
//! A plain acquire looks at no queue: where a lease ended by itself, whoever comes before the first
//! in the queue asks gets the lock, and so does the next one after a plain release.
//! An answer that is late puts the timer off by its lateness.
//! Only one in the queue is told of each grant: if that push is lost, or whoever got it dies too,
//! the next asks at the end of the lease that it was told of itself, or after ten seconds.
//!
//! # What is not modelled
//!
//! - `min_hold`, a failover that loses locks, a queue that the server forgets by itself, the pauses
//!   between retries, and what a server does when it is full.
//! - The numbers come from a clock that never steps back, and that the clock of a replica agrees with.
//! - A plain acquire that runs when its client has stopped releasing its token: the product does so
//!   a minute after the token's last possible lease.

pub mod client;
pub mod counter;
mod display;
pub mod driver;
mod model;
mod plain;
mod properties;
pub mod scenarios;
pub mod scenarios_plain;
mod scripts;
pub mod seeded_bugs;
pub mod seeded_bugs_plain;
pub mod server;
pub mod settings;
mod steps;
pub mod world;

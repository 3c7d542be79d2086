//! What the author of a backend implements: [`LockBackend`].
//!
//! The trait has short steps. An *effect* (acquire, release, renew) is one exchange with the store,
//! and is always finished by somebody: by the caller, or by the background if the caller is gone.
//! A *wait* ([`Waiting::wake`]) has no effect on the store and can be dropped at any time.
//! The core does everything else once for all backends: names, options, deadlines, polling, leaving
//! the queue, loss, batching, and the retries of a release.
//!
//! A backend for a store that can only set a value if it is absent, and remove it:
//!
//! ```
//! # use lock_core as distlock;
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//!
//! use distlock::backend::*;
//! use distlock::{LockService, Result};
//!
//! #[derive(Default)]
//! struct Board(Mutex<HashMap<LockKey, (OwnerToken, Instant)>>);
//!
//! impl LockBackend for Board {
//!     fn kind(&self) -> &'static str {
//!         "board"
//!     }
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::none()
//!     }
//!     async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
//!         let now = request.clock.now();
//!         let mut board = self.0.lock().unwrap();
//!         if board.get(&request.key).is_some_and(|(_, expiry)| *expiry > now) {
//!             return Ok(AcquireReply::held());
//!         }
//!         board.insert(request.key, (request.token, now + request.ttl));
//!         Ok(AcquireReply::granted(Grant::new()))
//!     }
//!     async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
//!         let mut board = self.0.lock().unwrap();
//!         match board.get(&request.key) {
//!             None => Ok(ReleaseReply::NotHeld),
//!             Some((owner, _)) if *owner != request.token => Ok(ReleaseReply::HeldByOther),
//!             Some(_) => {
//!                 board.remove(&request.key);
//!                 Ok(ReleaseReply::Released)
//!             }
//!         }
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let locks = LockService::new(Board::default());
//! assert_eq!(locks.lock("x").execute(async |_lease| 7).await.unwrap(), Some(7));
//! # });
//! ```
//!
//! Where the backend is chosen at run time, [`AnyBackend`] holds any of them.

pub(crate) mod capabilities;
pub(crate) mod contract;
pub(crate) mod event;
#[doc(hidden)]
pub mod files;
pub(crate) mod reply;
pub(crate) mod request;
mod runtime;
mod support;
pub(crate) mod this_process;
pub(crate) mod token;

pub use capabilities::Capabilities;
pub use contract::{AnyBackend, LockBackend};
pub use reply::{AcquireReply, Grant, ListReply, ReleaseReply, RenewReply, Waiting, Wake};
pub use request::{
    AcquireRequest, EvictRequest, GivenUp, Lane, ListCursor, ListRequest, ReleaseRequest,
    RenewRequest,
};
pub use runtime::{background_runtime, is_background_thread};
pub use support::{in_time, on_system_clock};
#[doc(hidden)]
pub use this_process::name_program;
pub use this_process::{holder_of, this_process};
pub use token::{InstanceId, OwnerToken, Ticket};

pub use crate::time::backoff::Backoff;
pub use crate::time::clock::{Clock, Sleep};
pub use crate::time::instant::Instant;
pub use crate::types::name::LockKey;
#[doc(hidden)]
pub use tracing;

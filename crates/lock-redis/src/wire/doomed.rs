//! Connections that are to be ended by their server before anything else is sent to it.
//!
//! A plain command that got no answer can lie in a buffer, and run whenever the server, the network
//! or the system comes to it.
//! When its connection was ended by the server, nothing of it can run any more: so whatever is sent
//! after that is sent behind everything that the connection carried.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lock_core::{Instant, event};

use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::identity::Identity;

/// The connections that are to be ended before anything else is sent to their server.
#[derive(Default)]
pub(crate) struct Doomed {
    are_any: AtomicBool,
    list: Mutex<Vec<Identity>>,
}

impl Doomed {
    pub(crate) fn add(&self, identity: Identity) {
        let mut list = self.lock();
        if !list.contains(&identity) {
            list.push(identity);
        }
        self.are_any.store(true, Ordering::Release);
    }

    pub(crate) fn are_any(&self) -> bool {
        self.are_any.load(Ordering::Acquire)
    }

    /// Ends all of them over this connection. Fails if it is not known that they ended.
    pub(crate) async fn end_over(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let doomed = self.lock().clone();
        for identity in doomed {
            match connection.identity() {
                Some(here) if here.is_beside(&identity) => {
                    let ended = connection.send(identity.end(), deadline).await;
                    match ended {
                        Err(failure) if failure.forbidden.is_none() => {
                            return Err(failure.not_applied());
                        }
                        Err(failure) => warn(failure.message()),
                        Ok(_) => {}
                    }
                }
                // Where another server answers, theirs is gone, and they with it.
                Some(_) => {}
                None => warn("the server does not allow INFO or CLIENT KILL"),
            }
            let mut list = self.lock();
            list.retain(|other| *other != identity);
            self.are_any.store(!list.is_empty(), Ordering::Release);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Identity>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(cause: &str) {
    event!(
        WARN,
        "connection_not_ended",
        "redis",
        cause,
        "the Redis server does not allow closing a connection on which a request for a lock got no \
         answer: if that request still runs, its lock stays taken without a holder until its lease \
         ends; allow it with +client|kill +info"
    );
}

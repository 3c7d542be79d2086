//! Where a command goes.

use std::sync::Arc;

use lock_core::Instant;

use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::link::Link;

/// Where the commands of one lane go that name keys of one slot.
///
/// Keys of equal routes may be named in one command.
#[derive(Clone, Copy)]
pub(crate) struct Route<'a> {
    link: &'a Link,
    spare: Option<&'a Link>,
}

impl<'a> Route<'a> {
    pub(crate) fn new(link: &'a Link) -> Self {
        Self { link, spare: None }
    }

    /// Adds a link that may carry a release while the first is down.
    pub(crate) fn with_spare(mut self, spare: &'a Link) -> Self {
        self.spare = Some(spare);
        self
    }

    /// The connection, made if it is not there.
    pub(crate) async fn connection(self, deadline: Instant) -> Result<Arc<Connection>, Failure> {
        self.link.connection(deadline).await
    }

    /// As [`connection`](Self::connection), or the spare one if only that is there.
    pub(crate) async fn connection_or_spare(
        self,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Failure> {
        if self.link.up().is_none()
            && let Some(spare) = self.spare.and_then(Link::up)
        {
            return Ok(spare);
        }
        self.connection(deadline).await
    }
}

impl PartialEq for Route<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.link.is_same(other.link)
    }
}

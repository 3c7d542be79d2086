//! How long a server may take, and how many of its replicas are asked.

use std::sync::Arc;
use std::time::Duration;

use crate::wire::confirmer::{Confirmer, Marks};
use crate::wire::link::Connector;

/// How long an answer may take, the time to connect included, and how many replicas have to confirm
/// a lock.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) response_timeout: Duration,
    pub(crate) replicas: u32,
}

impl Reach {
    /// Who asks the replicas of the server that this leads to, if they are to be asked.
    pub(super) fn confirmer(
        self,
        connector: &Arc<dyn Connector>,
        marks: Marks,
    ) -> Option<Confirmer> {
        let Self { response_timeout, replicas } = self;
        // The rest of the time is for the grant before, and for giving it back.
        let bound = response_timeout / 4;
        let confirmer = || Confirmer::new(connector, replicas, bound, response_timeout, marks);
        (replicas > 0).then(confirmer)
    }
}

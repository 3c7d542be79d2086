//! Acquiring several locks, all or none: one after the other in the order of their keys, so that two
//! that want some of the same locks never wait for each other.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{pending, select_all};

use crate::engine::acquire::acquire;
use crate::engine::held::{Held, ServiceContext};
use crate::engine::plan::{self, Plan};
use crate::time::instant::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::name::LockName;
use crate::types::options::{LockOptions, MIN_KEEP_ALIVE_TTL, Renewal, Wait};

/// Several locks and the options of all of them; nothing is asked for yet.
#[derive(Clone, Debug)]
pub(crate) struct SetPlan {
    /// In the order of their keys, each once.
    plans: Arc<[Plan]>,
    pub(crate) options: LockOptions,
}

/// What comes of asking for all of them.
pub(crate) enum Obtained {
    All(HeldSet),
    /// Somebody else held this one when the wait was over, which was from then to then.
    Refused(Arc<Plan>, (Instant, Instant)),
}

/// Locks that are held together; they are dropped in reverse order.
#[derive(Default)]
pub(crate) struct HeldSet(Vec<Held>);

impl SetPlan {
    pub(crate) fn new(
        namespace: &str,
        names: impl IntoIterator<Item = Result<LockName>>,
        options: LockOptions,
    ) -> Self {
        let plan = |name| Plan::new(namespace, name, LockOptions::new());
        let mut plans: Vec<Plan> = names.into_iter().map(plan).collect();
        plans.sort_by(|one, other| one.key().cmp(&other.key()));
        plans.dedup_by(|one, other| one.key().is_some() && one.key() == other.key());
        Self { plans: plans.into(), options }
    }

    /// The names as they were given, each once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.plans.iter().map(Plan::name)
    }

    /// Checks the names, and the options against each other and against what the store can do.
    pub(crate) fn check(&self, context: &ServiceContext) -> Result<()> {
        if self.plans.is_empty() {
            let message = "the set of names is empty; it must have at least one";
            return Err(LockError::new(LockErrorKind::InvalidName, message).not_applied());
        }
        for plan in &*self.plans {
            let checked = plan.check_name(context.store());
            checked.map_err(|error| error.with_name(plan.name()))?;
        }
        plan::check_options(&self.options, context.store())
    }
}

/// Acquires all locks of the set, waiting for them as its options say, or else for `unset_wait`.
pub(crate) async fn acquire_all(
    context: Arc<ServiceContext>,
    set: SetPlan,
    unset_wait: Duration,
    operation: &'static str,
) -> Result<Obtained> {
    // Also between two of them, so that a shutdown waits for the end of it.
    let _counted = context.count();
    set.check(&context).map_err(|error| error.with_operation(operation))?;
    let store = context.store();
    let began = store.now();
    let deadline = match set.options.wait {
        Wait::Unset => began + unset_wait,
        Wait::For(wait) => began + wait,
        Wait::Forever => Instant::FAR_FUTURE,
    };
    let mut held = HeldSet::default();
    for plan in &*set.plans {
        let options = while_acquiring(&set.options, deadline, &context);
        let plan = Arc::new(plan.with_options(options));
        let acquiring = acquire(Arc::clone(&context), Arc::clone(&plan), Duration::ZERO, operation);
        let obtained = tokio::select! {
            biased;
            obtained = acquiring => obtained?,
            // There is no use in waiting for the others.
            error = held.loss() => return Err(error.with_operation(operation)),
        };
        match obtained {
            Some(one) => held.0.push(one),
            None => return Ok(Obtained::Refused(plan, (began, deadline))),
        }
    }
    held.begin(&set, &context).map_err(|error| error.with_operation(operation))?;
    Ok(Obtained::All(held))
}

/// What is asked of each lock until all are held: it is renewed if the store can do that, and what
/// counts from the beginning does not count yet.
fn while_acquiring(
    options: &LockOptions,
    deadline: Instant,
    context: &ServiceContext,
) -> LockOptions {
    let store = context.store();
    let renews = store.capabilities().renew && options.ttl >= MIN_KEEP_ALIVE_TTL;
    LockOptions {
        wait: if deadline == Instant::FAR_FUTURE {
            Wait::Forever
        } else {
            Wait::For(deadline.saturating_duration_since(store.now()))
        },
        renewal: if renews { Renewal::KeepAlive } else { Renewal::Fixed },
        max_hold: None,
        min_hold: Duration::ZERO,
        ..options.clone()
    }
}

impl HeldSet {
    /// Gives the locks out, in the order of their keys.
    pub(crate) fn into_vec(mut self) -> Vec<Held> {
        std::mem::take(&mut self.0)
    }

    /// Ends when one of them is lost.
    async fn loss(&self) -> LockError {
        if self.0.is_empty() {
            return pending().await;
        }
        let ends = self.0.iter().map(|held| Box::pin(held.lease().wait_for_end()));
        let (end, at, _) = select_all(ends).await;
        match self.0.get(at) {
            Some(held) => held.lease().ended_error(end).with_name(held.lease().name()),
            None => LockError::released(),
        }
    }

    /// All are held: from now on on the terms that were asked for.
    fn begin(&self, set: &SetPlan, context: &ServiceContext) -> Result<()> {
        let terms = plan::terms(&set.options, context.store());
        let now = context.store().now();
        for held in &self.0 {
            let lease = held.lease();
            let begun = lease.update(|lease| lease.begin(&terms, now));
            let look_at = begun.map_err(|end| lease.ended_error(end).with_name(lease.name()))?;
            lease.schedule(look_at);
        }
        Ok(())
    }
}

impl Drop for HeldSet {
    fn drop(&mut self) {
        while let Some(last) = self.0.pop() {
            drop(last);
        }
    }
}

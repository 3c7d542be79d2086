//! The product's own code that the models drive, from where `lock-core` keeps it.

pub use lock_core::backend::{Capabilities, ReleaseReply};
pub use lock_core::machine::attempt::{Next as NextRequest, StepAnswer, StoreAttempt, Verdict};
pub use lock_core::machine::lease::{Duty, GivenUp, Lease, LeaseEnd, Renewal, Terms};
pub use lock_core::machine::local_queue::{LocalQueue, Look, Next as NextInQueue, Term};
pub use lock_core::machine::waiter::{Push, Waiter};
pub use lock_core::{Handover, Instant, LossReason, ReleaseOutcome};

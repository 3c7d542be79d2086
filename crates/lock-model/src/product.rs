//! The product's own code that the models drive, from where `lock-core` keeps it.

pub use lock_core::attempt::{Next as NextRequest, StepAnswer, StoreAttempt, Verdict};
pub use lock_core::backend::{Capabilities, ReleaseReply};
pub use lock_core::line::{Line as LocalQueue, Look, Next as NextInQueue};
pub use lock_core::waiter::{Push, Waiter};
pub use lock_core::{Handover, Instant, ReleaseOutcome};

//! What is left of a token at a member.

use lock_core::machine::attempt::StoreAttempt;

/// See the [module's documentation](self).
pub(crate) struct Unsettled {
    pub(crate) attempt: StoreAttempt,
    /// A release that somebody waits for is under way: it mostly settles all.
    pub(crate) is_released: bool,
    /// A job looks after it.
    pub(crate) is_attended: bool,
}

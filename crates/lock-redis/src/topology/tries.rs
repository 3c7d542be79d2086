//! How often one request was sent in vain.

/// How often one request was sent to where its keys were not.
#[derive(Default)]
pub(crate) struct Tries(pub(crate) u32);

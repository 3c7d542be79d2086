//! What stops a run.

/// Whatever went wrong, to be shown.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

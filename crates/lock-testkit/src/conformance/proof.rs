//! What comes of a proof, and how one ends early.

/// What comes of a proof.
pub(super) type Proof = Result<(), Failure>;

/// Why a claim does not hold.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(format!("unexpected error: {error}"))
    }
}

/// Ends the proof with this reason unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err($crate::conformance::proof::Failure(format!($($reason)+)));
        }
    };
}
pub(super) use ensure;

/// Ends the proof with this reason.
macro_rules! fail {
    ($($reason:tt)+) => {
        return Err($crate::conformance::proof::Failure(format!($($reason)+)))
    };
}
pub(super) use fail;

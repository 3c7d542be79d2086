//! The one error type: what happened, to which lock, and whether trying again can help.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::types::loss::{LeaseEnd, LossReason};

/// A result whose error is [`LockError`] unless another is named.
///
/// It has two parameters, so that importing it does not break `Result<T, MyError>`.
pub type Result<T, E = LockError> = std::result::Result<T, E>;

/// What went wrong, as far as a caller would act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockErrorKind {
    /// The lock was not got within the wait. Trying again can help.
    Timeout,
    /// No usable answer came in time. The caller holds nothing; a grant that happened all the
    /// same is being undone. Trying again can help.
    Unavailable,
    /// A request was sent and not answered, so it is not known whether it took effect.
    /// Trying again can help: what reports this can be repeated without harm.
    Unknown,
    /// The lease is over: it was lost, for [`LockError::loss_reason`], or released.
    Lost,
    /// The store refused the credentials, or they lack a permission.
    Denied,
    /// The backend cannot do what the options ask for.
    Unsupported,
    /// The name is not allowed.
    InvalidName,
    /// An option, a URL or a setting is not allowed.
    InvalidConfig,
    /// The service was shut down.
    ShutDown,
    /// The store answered with an error that this library does not know.
    Backend,
}

impl LockErrorKind {
    const fn is_retryable(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Unknown)
    }
}

/// Why a lock operation failed. One pointer wide.
///
/// "Somebody else holds the lock" is not an error: it is `None`.
///
/// ```
/// # use lock_core as distlock;
/// use distlock::{LockErrorKind, LockService};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let error = LockService::memory().lock("").try_acquire().await.unwrap_err();
/// assert_eq!(error.kind(), LockErrorKind::InvalidName);
/// assert!(!error.is_retryable());
/// # });
/// ```
#[derive(Clone)]
pub struct LockError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: LockErrorKind,
    operation: Option<&'static str>,
    name: Option<Arc<str>>,
    loss_reason: Option<LossReason>,
    not_applied: bool,
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl LockError {
    /// An error of this kind. The message is a lower-case fragment that names the cause and,
    /// where there is one, the cure; it must hold no secret.
    #[must_use]
    pub fn new(kind: LockErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: None,
            name: None,
            loss_reason: None,
            not_applied: false,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn ended(end: LeaseEnd) -> Self {
        match end {
            LeaseEnd::Lost(reason) => Self::lost(reason),
            LeaseEnd::Released => Self::new(LockErrorKind::Lost, "the lock was released"),
        }
    }

    pub(crate) fn lost(reason: LossReason) -> Self {
        let mut error = Self::new(LockErrorKind::Lost, format!("the lease was lost: {reason}"));
        error.0.loss_reason = Some(reason);
        error
    }

    pub(crate) fn shut_down() -> Self {
        Self::new(LockErrorKind::ShutDown, "the lock service was shut down").not_applied()
    }

    /// Marks the error as proof that the request had no effect on the store and will have none.
    #[must_use]
    pub fn not_applied(mut self) -> Self {
        self.0.not_applied = true;
        self
    }

    /// Turns [`Unavailable`](LockErrorKind::Unavailable) into [`Unknown`](LockErrorKind::Unknown),
    /// unless it is [proven](Self::not_applied) that nothing happened.
    ///
    /// For backends, in the answer to a release: the request was sent and not answered, so it is not
    /// known to have failed.
    #[must_use]
    pub fn or_unknown(mut self) -> Self {
        if self.0.kind == LockErrorKind::Unavailable && !self.0.not_applied {
            self.0.kind = LockErrorKind::Unknown;
        }
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// Says which operation failed, unless that is known already.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Says which lock it is about, unless that is known already.
    #[must_use]
    pub fn with_name(mut self, name: impl AsRef<str>) -> Self {
        self.0.name.get_or_insert_with(|| name.as_ref().into());
        self
    }

    /// What went wrong, as far as a caller would act differently.
    #[must_use]
    pub fn kind(&self) -> LockErrorKind {
        self.0.kind
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Whether it is proven that the request had no effect on the store and will have none.
    #[must_use]
    pub fn is_not_applied(&self) -> bool {
        self.0.not_applied
    }

    /// The operation that failed, such as `acquire`, if one was under way.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The lock that the operation was about.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Why the lease was lost, if it was.
    #[must_use]
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.0.loss_reason
    }
}

/// For conversions that cannot fail, so that they can stand where others can.
impl From<Infallible> for LockError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// For bodies and functions whose own error is [`io::Error`].
impl From<LockError> for io::Error {
    fn from(error: LockError) -> Self {
        let kind = match error.kind() {
            LockErrorKind::Timeout => io::ErrorKind::TimedOut,
            LockErrorKind::Denied => io::ErrorKind::PermissionDenied,
            LockErrorKind::Unsupported => io::ErrorKind::Unsupported,
            LockErrorKind::InvalidName | LockErrorKind::InvalidConfig => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for LockErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Lost => "lost",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::InvalidName => "invalid name",
            Self::InvalidConfig => "invalid configuration",
            Self::ShutDown => "shut down",
            Self::Backend => "backend error",
        })
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        match (inner.operation, &inner.name) {
            (None, None) => {}
            (None, Some(name)) => write!(f, "lock {name:?}: ")?,
            (Some(operation), None) => write!(f, "{operation}: ")?,
            (Some(operation), Some(name)) => write!(f, "{operation} {name:?}: ")?,
        }
        f.write_str(&inner.message)
    }
}

impl fmt::Debug for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("LockError")
            .field("kind", &inner.kind)
            .field("operation", &inner.operation)
            .field("name", &inner.name)
            .field("message", &inner.message)
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl Error for LockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide_and_crosses_threads() {
        fn crosses_threads<T: Send + Sync + 'static>() {}
        crosses_threads::<LockError>();
        assert_eq!(size_of::<LockError>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn the_text_names_operation_lock_and_cause() {
        let error = LockError::new(LockErrorKind::Timeout, "not got within 5s")
            .with_operation("acquire")
            .with_operation("later wrapping changes nothing")
            .with_name("order:1");
        assert_eq!(error.to_string(), "acquire \"order:1\": not got within 5s");
        assert!(error.is_retryable());
    }

    #[test]
    fn only_what_was_sent_and_not_answered_is_unknown() {
        use LockErrorKind::{Denied, Unavailable, Unknown};
        assert_eq!(LockError::new(Unavailable, "").or_unknown().kind(), Unknown);
        assert_eq!(LockError::new(Unavailable, "").not_applied().or_unknown().kind(), Unavailable);
        assert_eq!(LockError::new(Denied, "").or_unknown().kind(), Denied);
    }

    #[test]
    fn only_waiting_and_missing_answers_are_worth_a_retry() {
        use LockErrorKind as K;
        let retryable = [K::Timeout, K::Unavailable, K::Unknown];
        for kind in retryable {
            assert!(LockError::new(kind, "").is_retryable());
        }
        for kind in [
            K::Lost,
            K::Denied,
            K::Unsupported,
            K::InvalidName,
            K::InvalidConfig,
            K::ShutDown,
            K::Backend,
        ] {
            assert!(!LockError::new(kind, "").is_retryable());
        }
    }
}

//! The error type: what happened, to which lock, and whether trying again can help.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::types::holder::Holder;
use crate::types::loss::LossReason;
use crate::types::message_text::quoted;

/// A `Result` whose error type is [`LockError`], unless another is given.
pub type Result<T, E = LockError> = std::result::Result<T, E>;

/// The kind of an error, as far as a caller can react to it. The `Display` text is for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockErrorKind {
    /// Somebody else held the lock for the whole wait. Trying again can help.
    Timeout,
    /// There was no usable answer in time. The caller holds nothing; if the store granted a lock
    /// all the same, it is released in the background. Trying again can help.
    Unavailable,
    /// A request was sent and not answered, so it is not known whether it took effect. Trying again
    /// can help: the operations that report this can be repeated.
    Unknown,
    /// The lease is over: it was lost, and [`LockError::loss_reason`] says why, or it was released.
    Lost,
    /// The store refused the credentials, or it forbids something that is needed.
    Denied,
    /// The backend cannot do what the options ask for.
    Unsupported,
    /// The name of the lock is not valid.
    InvalidName,
    /// An option, a URL or a setting is not allowed.
    InvalidConfig,
    /// The service was shut down.
    ShutDown,
    /// The library does not understand the store's answer, or the backend panicked.
    Backend,
}

impl LockErrorKind {
    const fn is_retryable(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::Unknown)
    }
}

/// Why an operation on a lock failed.
///
/// That somebody else holds the lock is not an error, except for [`acquire`](crate::Lock::acquire):
/// the other operations return `None` then.
///
/// An error has a [kind](Self::kind), the [operation](Self::operation), the [name](Self::name) of
/// the lock, a text, and a source if that says more than the text. It is one pointer wide and can
/// be cloned. It converts into [`io::Error`].
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
    holder: Option<Box<Holder>>,
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl LockError {
    /// An error of this kind. For backends.
    ///
    /// The message begins in lower case and has no full stop. It says what is wrong and, if
    /// possible, what to do. It must not contain secrets.
    #[must_use]
    pub fn new(kind: LockErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: None,
            name: None,
            loss_reason: None,
            not_applied: false,
            holder: None,
            message: message.into(),
            source: None,
        }))
    }

    pub(crate) fn released() -> Self {
        Self::new(LockErrorKind::Lost, "the lock was released")
    }

    /// The lease was lost; `text` says why, and what to do.
    pub(crate) fn lost(reason: LossReason, text: &str) -> Self {
        let mut error = Self::new(LockErrorKind::Lost, format!("the lease was lost: {text}"));
        error.0.loss_reason = Some(reason);
        error
    }

    pub(crate) fn shut_down() -> Self {
        Self::new(LockErrorKind::ShutDown, "the lock service was shut down").not_applied()
    }

    /// Marks the error as proof that the request had no effect on the store and will have none. For
    /// backends.
    #[must_use]
    pub fn not_applied(mut self) -> Self {
        self.0.not_applied = true;
        self
    }

    /// Turns [`Unavailable`](LockErrorKind::Unavailable) into [`Unknown`](LockErrorKind::Unknown),
    /// unless it is [proven](Self::not_applied) that nothing happened.
    ///
    /// For backends, in the answer to a release: if the request was sent and not answered, it is
    /// not known whether it failed.
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

    /// Adds who holds the lock.
    pub(crate) fn with_holder(mut self, holder: Option<Holder>) -> Self {
        self.0.holder = holder.map(Box::new);
        self
    }

    /// Adds the operation that failed, unless there is one already.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Replaces the operation: for an operation that is carried out by another one.
    #[must_use]
    pub fn as_operation(mut self, operation: &'static str) -> Self {
        self.0.operation = Some(operation);
        self
    }

    /// Adds the name of the lock, unless there is one already.
    #[must_use]
    pub fn with_name(mut self, name: impl AsRef<str>) -> Self {
        self.0.name.get_or_insert_with(|| name.as_ref().into());
        self
    }

    /// The kind of an error, as far as a caller can react to it.
    #[must_use]
    pub fn kind(&self) -> LockErrorKind {
        self.0.kind
    }

    /// Whether the same call can succeed later: `true` for [`Timeout`](LockErrorKind::Timeout),
    /// [`Unavailable`](LockErrorKind::Unavailable) and [`Unknown`](LockErrorKind::Unknown).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// Whether it is proven that the request had no effect on the store and will have none.
    #[must_use]
    pub fn is_not_applied(&self) -> bool {
        self.0.not_applied
    }

    /// The operation that failed, such as `acquire`; `None` if the error is not from an operation.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The name of the lock, if the operation was about one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Why the lease was lost; `None` if it was not.
    #[must_use]
    pub fn loss_reason(&self) -> Option<LossReason> {
        self.0.loss_reason
    }

    /// Who held the lock when the wait was over, if the store knows: of a
    /// [`Timeout`](LockErrorKind::Timeout). The text names it, too.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        self.0.holder.as_deref()
    }
}

/// For the error of conversions that cannot fail, such as that of a name into a name.
impl From<Infallible> for LockError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// For bodies and functions whose error type is [`io::Error`]. The `LockError` is its source.
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
            (None, Some(name)) => write!(f, "lock {}: ", quoted(name))?,
            (Some(operation), None) => write!(f, "{operation}: ")?,
            (Some(operation), Some(name)) => write!(f, "{operation} {}: ", quoted(name))?,
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
    /// The first cause that says more than the text does, which often quotes its cause: so that a
    /// program that prints the whole chain says nothing twice.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let mut cause: &(dyn Error + 'static) = self.0.source.as_deref()?;
        while self.0.message.contains(&cause.to_string()) {
            cause = cause.source()?;
        }
        Some(cause)
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
        let replaced = error.clone().as_operation("execute");
        assert_eq!(replaced.to_string(), "execute \"order:1\": not got within 5s");
        assert!(error.is_retryable());
    }

    #[test]
    fn a_chain_of_causes_says_nothing_twice() {
        let refused = || io::Error::other("connection refused");
        let quoting = |cause: &dyn Error| format!("no connection: {cause}");
        let inner =
            LockError::new(LockErrorKind::Unavailable, quoting(&refused())).with_source(refused());
        let outer = LockError::new(LockErrorKind::Unknown, format!("not confirmed: {inner}"))
            .with_source(inner);
        assert!(outer.source().is_none(), "{:?}", outer.source());
        let unquoted = LockError::new(LockErrorKind::Unavailable, "no connection");
        let source = unquoted.with_source(refused());
        assert_eq!(source.source().unwrap().to_string(), "connection refused");
        let beyond = LockError::new(LockErrorKind::Backend, format!("failed: {source}"));
        let beyond = beyond.with_source(source);
        assert_eq!(beyond.source().unwrap().to_string(), "connection refused");
    }

    #[test]
    fn a_long_name_is_cut_in_the_text_and_whole_in_the_error() {
        let name = "n".repeat(2_000);
        let error = LockError::new(LockErrorKind::InvalidName, "too long").with_name(&name);
        assert_eq!(error.name(), Some(&*name));
        for error in [error.clone(), error.with_operation("acquire")] {
            let text = error.to_string();
            assert!(text.len() < 200 && text.contains("(2000 characters)"), "{text}");
        }
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

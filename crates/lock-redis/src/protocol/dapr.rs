//! Keys as a Dapr sidecar spells them, so that both kinds of programs exclude each other.

use lock_core::message_text::quoted;
use lock_core::{LockError, LockErrorKind, Result};

const SEPARATOR: &str = "||";

/// What the component `lock.redis` of a Dapr sidecar puts before the names of its locks, which its
/// metadata item `keyPrefix` decides.
///
/// See [`dapr_compatible`](crate::RedisBackendBuilder::dapr_compatible).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DaprKeyPrefix {
    /// `appid`, which is Dapr's default: `lock||<app id>||`.
    AppId(String),
    /// `name`: `lock||<name of the component>||`.
    StoreName(String),
    /// `none`: `lock||`.
    None,
    /// Any other word: `lock||<word>||`.
    Custom(String),
}

impl DaprKeyPrefix {
    /// The prefix that this backend has to use.
    pub(crate) fn spelled(self) -> Result<String> {
        let (what, word) = match self {
            Self::None => return Ok(format!("lock{SEPARATOR}")),
            Self::AppId(id) => ("app id", id),
            Self::StoreName(name) => ("store name", name),
            Self::Custom(word) => ("key prefix", word),
        };
        if word.is_empty() || word.contains(SEPARATOR) {
            return Err(LockError::new(
                LockErrorKind::InvalidConfig,
                format!(
                    "Dapr's {what} is {}; it must not be empty and holds no `||`",
                    quoted(&word)
                ),
            )
            .not_applied());
        }
        Ok(format!("lock{SEPARATOR}{word}{SEPARATOR}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_spelled_as_dapr_does() {
        for (prefix, spelled) in [
            (DaprKeyPrefix::AppId("app".into()), "lock||app||"),
            (DaprKeyPrefix::StoreName("lockstore".into()), "lock||lockstore||"),
            (DaprKeyPrefix::None, "lock||"),
            (DaprKeyPrefix::Custom("shop".into()), "lock||shop||"),
        ] {
            assert_eq!(prefix.spelled().unwrap(), spelled);
        }
    }

    #[test]
    fn a_word_that_dapr_refuses_is_refused() {
        for word in ["", "a||b"] {
            let error = DaprKeyPrefix::AppId(word.into()).spelled().unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(error.to_string().contains("app id"), "{error}");
        }
    }
}

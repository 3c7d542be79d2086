//! A lock on its way from one process to another.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::backend::OwnerToken;
use crate::engine::pass_on::PassedOn;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::fencing::FencingToken;

/// A lock on its way to another process: made by [`LockGuard::into_token`], and turned into a guard
/// again by [`Lock::adopt`].
///
/// It is sent as text: [`Display`](fmt::Display) writes it and [`FromStr`] reads it, and with the
/// feature `serde` it is a string. The text has the form
/// `v1.OWNER.MILLISECONDS` or `v1.OWNER.MILLISECONDS.FENCING`, and does not contain the name of the
/// lock, which has to be sent along.
///
/// **Treat it as a secret**: whoever has it can renew and release the lock. [`Debug`](fmt::Debug)
/// shows no part of it that would be enough for that.
///
/// ```
/// # use lock_core as distlock;
/// use distlock::{LockService, LockToken};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// # let locks = LockService::memory();
/// let guard = locks.lock("order:42").acquire().await.unwrap();
/// let text = guard.into_token().await.unwrap().to_string();
///
/// // In another process, with a service on the same store:
/// let token: LockToken = text.parse().unwrap();
/// let guard = locks.lock("order:42").adopt(&token).await.unwrap();
/// assert!(guard.release().await.is_released());
/// # });
/// ```
///
/// [`LockGuard::into_token`]: crate::LockGuard::into_token
/// [`Lock::adopt`]: crate::Lock::adopt
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LockToken(pub(crate) PassedOn);

const VERSION: &str = "v1";

impl LockToken {
    /// The fencing token of the guard that was turned into this; `None` if the backend issues none.
    /// Whoever adopts the lock has a larger one.
    #[must_use]
    pub const fn fencing_token(&self) -> Option<FencingToken> {
        self.0.fencing
    }

    fn parse(text: &str) -> Option<PassedOn> {
        let mut parts = text.split('.');
        if parts.next()? != VERSION {
            return None;
        }
        let owner = OwnerToken::from_hex(parts.next()?)?;
        let stands_for = Duration::from_millis(number(parts.next()?)?);
        let fencing = match parts.next() {
            None => None,
            Some(fencing) => Some(FencingToken::new(number(fencing)?)?),
        };
        parts.next().is_none().then_some(PassedOn { owner, fencing, stands_for })
    }
}

/// A number as it is written here: digits alone.
fn number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

/// The whole token, for whoever is to adopt the lock.
impl fmt::Display for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PassedOn { owner, fencing, stands_for } = self.0;
        // Rounded up: it is an upper bound.
        write!(f, "{VERSION}.{owner}.{}", stands_for.as_nanos().div_ceil(1_000_000))?;
        fencing.map_or(Ok(()), |fencing| write!(f, ".{fencing}"))
    }
}

impl fmt::Debug for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockToken").field("fencing_token", &self.0.fencing).finish_non_exhaustive()
    }
}

/// The error does not quote the text, which may be most of a secret.
impl FromStr for LockToken {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).map(Self).ok_or_else(|| {
            let message = "this is not a lock token: it must be the whole text that into_token \
                           returned, which begins with \"v1.\"";
            LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
        })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for LockToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for LockToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(fencing: Option<u64>) -> LockToken {
        LockToken(PassedOn {
            owner: OwnerToken::from_bytes([0xAB; 16]),
            fencing: fencing.and_then(FencingToken::new),
            stands_for: Duration::from_millis(60_000),
        })
    }

    #[test]
    fn a_token_survives_being_written_and_read() {
        let text = format!("v1.{}.60000", "ab".repeat(16));
        assert_eq!(token(None).to_string(), text);
        assert_eq!(token(Some(4_096)).to_string(), format!("{text}.4096"));
        for token in [token(None), token(Some(4_096))] {
            assert_eq!(token.to_string().parse::<LockToken>().unwrap(), token);
        }
    }

    #[test]
    fn debug_and_errors_do_not_give_the_owner_away() {
        let secret = "ab".repeat(3);
        assert!(!format!("{:?}", token(Some(1))).contains(&secret));
        for text in [
            "",
            "v2.x.1",
            &format!("v1.{}", "ab".repeat(16)),
            "v1.zz.1.1",
            &format!("v1.{}.1.+2", "ab".repeat(16)),
            &format!("v1.{}.1.2.3", "ab".repeat(16)),
        ] {
            let error = text.parse::<LockToken>().unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(!error.to_string().contains(&secret), "{error}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_token_is_a_string_for_serde() {
        let json = serde_json::to_string(&token(Some(7))).unwrap();
        assert_eq!(json, format!("\"{}\"", token(Some(7))));
        assert_eq!(serde_json::from_str::<LockToken>(&json).unwrap(), token(Some(7)));
        assert!(serde_json::from_str::<LockToken>("\"v1\"").is_err());
    }
}

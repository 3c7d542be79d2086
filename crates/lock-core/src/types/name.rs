//! Lock names, as users write them, and lock keys, as backends see them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::types::error::{LockError, LockErrorKind, Result};

/// The longest key (namespace and name together), in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1_024;

/// The name of a lock: what is locked, in the user's words, such as `order:42`.
///
/// Every conversion into a `LockName` succeeds, so that names can be written in line;
/// a name that is not allowed is reported by [`LockName::new`], by
/// [`Lock::check`](crate::Lock::check), and by every operation before it sends anything.
/// A name is allowed when it is not empty, holds no NUL, and is, with the service's namespace,
/// at most [`MAX_KEY_BYTES`] bytes long.
/// Everything else is kept byte for byte.
///
/// ```
/// use lock_core::LockName;
///
/// let order = 42;
/// assert_eq!(LockName::from(format_args!("order:{order}")).as_str(), "order:42");
/// assert!(LockName::new("").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

impl LockName {
    /// Makes a name and checks it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](LockErrorKind::InvalidName) if the name is empty, longer than
    /// [`MAX_KEY_BYTES`] bytes, or holds a NUL.
    pub fn new(name: impl Into<Self>) -> Result<Self> {
        let name = name.into();
        check("lock name", &name.0, name.0.len()).map_err(|e| e.with_name(&name))?;
        Ok(name)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a backend stores a lock under: the service's namespace, then the lock's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockKey(Arc<str>);

impl LockKey {
    /// Joins a namespace and a name, literally: no separator is added.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](LockErrorKind::InvalidName) if the name is empty, either part holds a NUL,
    /// or both together are longer than [`MAX_KEY_BYTES`] bytes.
    pub fn new(namespace: &str, name: &LockName) -> Result<Self> {
        let joined = namespace.len() + name.0.len();
        check("lock name", &name.0, joined).map_err(|e| e.with_name(name))?;
        if namespace.contains('\0') {
            return Err(invalid("namespace holds a NUL character; remove it"));
        }
        if namespace.is_empty() {
            return Ok(Self(Arc::clone(&name.0)));
        }
        let mut key = String::with_capacity(joined);
        key.push_str(namespace);
        key.push_str(&name.0);
        Ok(Self(key.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(what: &str, text: &str, joined_bytes: usize) -> Result<()> {
    if text.is_empty() {
        return Err(invalid(format!("{what} is empty; it must have 1 to {MAX_KEY_BYTES} bytes")));
    }
    if joined_bytes > MAX_KEY_BYTES {
        return Err(invalid(format!(
            "{what} has {joined_bytes} bytes with its namespace; at most {MAX_KEY_BYTES} are allowed"
        )));
    }
    if let Some(at) = text.find('\0') {
        return Err(invalid(format!("{what} holds a NUL character at byte {at}; remove it")));
    }
    Ok(())
}

fn invalid(message: impl Into<Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidName, message).not_applied()
}

macro_rules! text_newtype {
    ($type:ident) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
text_newtype!(LockName);
text_newtype!(LockKey);

impl From<&str> for LockName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}
impl From<String> for LockName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}
impl From<&String> for LockName {
    fn from(name: &String) -> Self {
        Self(name.as_str().into())
    }
}
impl From<Arc<str>> for LockName {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}
impl From<Cow<'_, str>> for LockName {
    fn from(name: Cow<'_, str>) -> Self {
        Self(name.into())
    }
}
impl From<fmt::Arguments<'_>> for LockName {
    fn from(name: fmt::Arguments<'_>) -> Self {
        name.as_str().map_or_else(|| name.to_string().into(), Self::from)
    }
}
impl From<&Self> for LockName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for LockName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for LockName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_are_kept_byte_for_byte() {
        for text in ["a", "order:42", "{tag}:x", "ünï||", "a\nb", " ", &"x".repeat(1_024)] {
            assert_eq!(LockName::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn illegal_names_are_refused_and_named() {
        for (text, cause) in [("", "is empty"), ("a\0b", "NUL character at byte 1")] {
            let error = LockName::new(text).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidName);
            assert!(error.to_string().contains(cause), "{error}");
        }
        let error = LockName::new("x".repeat(1_025)).unwrap_err();
        assert!(error.to_string().contains("1025 bytes"), "{error}");
    }

    #[test]
    fn the_namespace_is_a_literal_prefix_and_counts_towards_the_length() {
        let name = LockName::from("order");
        assert_eq!(LockKey::new("shop:", &name).unwrap().as_str(), "shop:order");
        assert_eq!(LockKey::new("", &name).unwrap().as_str(), "order");
        assert!(LockKey::new(&"n".repeat(1_020), &name).is_err());
        assert!(LockKey::new("a\0", &name).is_err());
    }

    #[test]
    fn without_a_namespace_the_key_shares_the_names_memory() {
        let name = LockName::from("order");
        let key = LockKey::new("", &name).unwrap();
        assert!(Arc::ptr_eq(&name.0, &key.0));
    }
}

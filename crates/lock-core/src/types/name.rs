//! Lock names, as users write them, and lock keys, as backends see them.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::types::error::{LockError, LockErrorKind, Result};

/// The greatest length of namespace and name together, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1_024;

/// The name of a lock, such as `order:42`. It is always valid.
///
/// A name has 1 to [`MAX_KEY_BYTES`] bytes of UTF-8 and no NUL. It is stored byte for byte.
///
/// [`LockService::lock`](crate::LockService::lock) takes anything that can be converted into a
/// name: a `&str`, a `String`, a `Cow<str>`, a `LockName`. Text that is not a valid name is
/// reported by [`Lock::check`](crate::Lock::check) and by every operation, before anything is sent.
///
/// With a namespace, both together have at most [`MAX_KEY_BYTES`] bytes.
/// A backend can refuse further names, such as those that begin with its own prefix.
///
/// ```
/// # use lock_core as distlock;
/// use distlock::LockName;
///
/// let order = 42;
/// let name = LockName::new(format!("order:{order}")).unwrap();
/// assert_eq!(name.as_str(), "order:42");
/// assert!(LockName::new("").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

impl LockName {
    /// Makes a name, and checks it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](LockErrorKind::InvalidName) if the name is empty, longer than
    /// [`MAX_KEY_BYTES`] bytes, or contains a NUL.
    pub fn new<N>(name: N) -> Result<Self>
    where
        N: TryInto<Self, Error: Into<LockError>>,
    {
        name.try_into().map_err(Into::into)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn checked(name: Arc<str>) -> Result<Self> {
        check(&name, name.len()).map_err(|error| error.with_name(&name))?;
        Ok(Self(name))
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
    pub fn new<N>(namespace: &str, name: N) -> Result<Self>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        let name = LockName::new(name)?;
        let bytes = namespace.len() + name.0.len();
        check(&name.0, bytes).map_err(|error| error.with_name(&name))?;
        if namespace.contains('\0') {
            return Err(invalid("namespace contains a NUL character; remove it"));
        }
        if namespace.is_empty() {
            return Ok(Self(name.0));
        }
        let mut key = String::with_capacity(bytes);
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

fn check(name: &str, bytes_with_namespace: usize) -> Result<()> {
    if name.is_empty() {
        return Err(invalid(format!(
            "lock name is empty; it must have 1 to {MAX_KEY_BYTES} bytes"
        )));
    }
    if bytes_with_namespace > MAX_KEY_BYTES {
        return Err(invalid(format!(
            "lock name has {bytes_with_namespace} bytes with its namespace; at most \
             {MAX_KEY_BYTES} are allowed"
        )));
    }
    if let Some(at) = name.find('\0') {
        return Err(invalid(format!("lock name contains a NUL character at byte {at}; remove it")));
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

/// A map whose keys are names can be asked with text.
impl Borrow<str> for LockName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

macro_rules! try_from {
    ($($from:ty: |$name:ident| $text:expr;)*) => {
        $(impl TryFrom<$from> for LockName {
            type Error = LockError;

            fn try_from($name: $from) -> Result<Self> {
                Self::checked($text)
            }
        })*
    };
}
try_from! {
    &str: |name| name.into();
    &&str: |name| (*name).into();
    Box<str>: |name| name.into();
    &Arc<str>: |name| Arc::clone(name);
    &Cow<'_, str>: |name| name.as_ref().into();
    String: |name| name.into();
    &String: |name| name.as_str().into();
    Arc<str>: |name| name;
    Cow<'_, str>: |name| name.into();
    fmt::Arguments<'_>: |name| name.as_str().map_or_else(|| name.to_string().into(), Into::into);
}

impl From<&Self> for LockName {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl FromStr for LockName {
    type Err = LockError;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
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
        let name = LockName::new("order").unwrap();
        assert_eq!(LockKey::new("shop:", &name).unwrap().as_str(), "shop:order");
        assert_eq!(LockKey::new("", &name).unwrap().as_str(), "order");
        assert!(LockKey::new(&"n".repeat(1_020), &name).is_err());
        assert!(LockKey::new("a\0", &name).is_err());
    }

    #[test]
    fn without_a_namespace_the_key_shares_the_names_memory() {
        let name = LockName::new("order").unwrap();
        let key = LockKey::new("", &name).unwrap();
        assert!(Arc::ptr_eq(&name.0, &key.0));
    }
}

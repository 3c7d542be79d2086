//! What stands in a lock's key: the owner's token, so marked that nobody else's value is taken for
//! one of these.

use lock_core::backend::OwnerToken;
use redis::Value;

/// What the value of a lock begins with that nobody waits for; the scripts put `dl+` in its place.
///
/// Other libraries store 32 hexadecimal digits, too, so the digits alone would not tell whose they
/// are. Whoever took the lock otherwise is foreign: nobody learns when it releases.
const MARK: &[u8; 3] = b"dl:";

/// The value of a lock's key: `dl:` and the token.
#[derive(Clone, Copy)]
pub(crate) struct Owner(pub(crate) OwnerToken);

impl Owner {
    /// Appends the value to a command.
    pub(crate) fn write_to(self, command: &mut redis::Cmd) {
        command.arg(&self.value()[..]);
    }

    /// The value of a lock that nobody waits for.
    pub(crate) fn value(self) -> [u8; MARK.len() + 32] {
        let mut value = [0; MARK.len() + 32];
        let (mark, digits) = value.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        digits.copy_from_slice(&self.0.to_hex());
        value
    }

    /// Whether this is what stands in the key of a lock that the token has, whatever mark it bears.
    pub(crate) fn is_in(self, value: &Value) -> bool {
        let Value::BulkString(value) = value else { return false };
        let token = [&b"dl:"[..], b"dl+", b"dl*"].iter().find_map(|mark| value.strip_prefix(*mark));
        token.is_some_and(|token| token == self.0.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_marked_as_one_of_ours() {
        let mut command = redis::cmd("GET");
        Owner(OwnerToken::from_bytes([0xAB; 16])).write_to(&mut command);
        let written = String::from_utf8(command.get_packed_command()).unwrap();
        for (value, is_ours) in [("dl:", true), ("dl+", true), ("dl*", true), ("min:dl:", false)] {
            let value = Value::BulkString(format!("{value}{}", "ab".repeat(16)).into_bytes());
            let owner = Owner(OwnerToken::from_bytes([0xAB; 16]));
            assert_eq!(owner.is_in(&value), is_ours, "{value:?}");
            assert!(!Owner(OwnerToken::from_bytes([0xAC; 16])).is_in(&value));
        }
        assert!(written.ends_with(&format!("$35\r\ndl:{}\r\n", "ab".repeat(16))));
    }
}

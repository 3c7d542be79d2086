//! What stands in a lock's key: the owner's token, so marked that nobody else's value is taken for
//! one of these.

use lock_core::backend::OwnerToken;

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
        let mut value = [0; MARK.len() + 32];
        let (mark, digits) = value.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        digits.copy_from_slice(&self.0.to_hex());
        command.arg(&value[..]);
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
        assert!(written.ends_with(&format!("$35\r\ndl:{}\r\n", "ab".repeat(16))));
    }
}

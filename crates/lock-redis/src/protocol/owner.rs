//! What stands in a lock's key: the owner's token, so marked that nobody else's value is taken for
//! one of these.

use lock_core::backend::OwnerToken;

/// What the value of a lock that a script took begins with.
///
/// Other libraries store 32 hexadecimal digits, too, so the digits alone would not tell whose they
/// are. Whoever took the lock otherwise is foreign: nobody learns when it releases.
const MARK: &[u8; 3] = b"dl:";

/// The value of a lock's key.
#[derive(Clone, Copy)]
pub(crate) enum Owner {
    /// Of a lock that is taken by the acquire script: `dl:` and the token.
    Scripted(OwnerToken),
    /// Of a lock that is taken by `SET NX PX` alone: the token.
    Plain(OwnerToken),
}

impl Owner {
    /// Appends the value to a command.
    pub(crate) fn write_to(self, command: &mut redis::Cmd) {
        match self {
            Self::Scripted(token) => {
                let mut value = [0; MARK.len() + 32];
                let (mark, digits) = value.split_at_mut(MARK.len());
                mark.copy_from_slice(MARK);
                digits.copy_from_slice(&token.to_hex());
                command.arg(&value[..]);
            }
            Self::Plain(token) => {
                command.arg(&token.to_hex()[..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_that_a_script_took_is_marked() {
        let token = OwnerToken::from_bytes([0xAB; 16]);
        let written = |owner: Owner| {
            let mut command = redis::cmd("GET");
            owner.write_to(&mut command);
            String::from_utf8(command.get_packed_command()).unwrap()
        };
        let digits = "ab".repeat(16);
        assert!(written(Owner::Scripted(token)).ends_with(&format!("$35\r\ndl:{digits}\r\n")));
        assert!(written(Owner::Plain(token)).ends_with(&format!("$32\r\n{digits}\r\n")));
    }
}

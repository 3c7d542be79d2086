//! How a token stands in the queue on the server.

use std::time::Duration;

use lock_core::backend::OwnerToken;

use crate::protocol::units::whole_millis;

/// The entry of a token: its version, the token, the channel over which it learns of its grant, and
/// the lease that the grant begins with, in ms.
///
/// Entries are compared byte for byte: whoever leaves removes exactly what it put in.
pub(crate) fn entry(token: OwnerToken, channel: &str, window: Duration) -> String {
    format!("1 {token} {channel} {}", whole_millis(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_its_version_its_token_its_channel_and_its_window() {
        let token = OwnerToken::from_bytes([0xAB; 16]);
        let written = entry(token, "dl:c:7", Duration::from_secs(2));
        assert_eq!(written, format!("1 {} dl:c:7 2000", "ab".repeat(16)));
    }
}

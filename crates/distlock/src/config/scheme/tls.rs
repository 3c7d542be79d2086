//! The words for TLS, which every kind of store has that can use it.

use lock_core::LockError;
use lock_core::backend::files::both_or_none;

use crate::config::settings::Settings;
use crate::config::word::{Kind, Word};

pub(crate) const CA_FILE: Word = Word::new("tls_ca_file", Kind::Text);
pub(crate) const CERT_FILE: Word = Word::new("tls_cert_file", Kind::Text);
pub(crate) const KEY_FILE: Word = Word::new("tls_key_file", Kind::Text);
pub(crate) const SERVER_NAME: Word = Word::new("tls_server_name", Kind::Text);

pub(crate) const WORDS: &[Word] = &[CA_FILE, CERT_FILE, KEY_FILE, SERVER_NAME];

/// Checks what is wrong whichever store is used.
pub(super) fn check(settings: &Settings) -> Result<(), LockError> {
    let pair = both_or_none(settings.text(&CERT_FILE), settings.text(&KEY_FILE));
    pair.map(drop).map_err(|error| error.with_operation("connect"))
}

//! Files that hold what a configuration must not: passwords, certificates, keys.
//!
//! Each function takes the name of the setting that names the file, for its errors. No error shows
//! anything of what a file holds.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::types::error::{LockError, LockErrorKind, Result};

/// A bundle of root certificates has a few hundred kilobytes.
const MAX_BYTES: u64 = 4 * 1_024 * 1_024;

/// Reads a password or a token. Line breaks at the end of the file do not count.
///
/// # Errors
///
/// [`InvalidConfig`](LockErrorKind::InvalidConfig) if the file cannot be read, or is empty, or is
/// not UTF-8.
pub fn secret(setting: &str, path: &Path) -> Result<String> {
    // Whoever writes the secret itself where its file is to be named must not find it in a log.
    if !path.exists() && !is_in_a_directory(path) {
        return Err(invalid(format!(
            "{setting} names no file that this process can find; it takes the path of a file, such \
             as /run/secrets/NAME, and not the secret itself"
        )));
    }
    let mut secret = text(setting, path)?;
    secret.truncate(secret.trim_end_matches(['\r', '\n']).len());
    if secret.is_empty() {
        return Err(invalid(format!("{setting}: the file {} is empty", path.display())));
    }
    Ok(secret)
}

/// Reads certificates in PEM form; there is at least one.
///
/// # Errors
///
/// [`InvalidConfig`](LockErrorKind::InvalidConfig) if the file cannot be read, or holds none.
pub fn certificates(setting: &str, path: &Path) -> Result<String> {
    let pem = text(setting, path)?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(invalid(format!(
            "{setting}: the file {} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
            path.display()
        )));
    }
    Ok(pem)
}

/// Reads a private key in PEM form.
///
/// # Errors
///
/// [`InvalidConfig`](LockErrorKind::InvalidConfig) if the file cannot be read, or holds none that
/// can be used.
pub fn private_key(setting: &str, path: &Path) -> Result<String> {
    let pem = text(setting, path)?;
    if pem.contains("ENCRYPTED") {
        return Err(invalid(format!(
            "{setting}: the private key in the file {} is encrypted, which is not supported; write \
             it without a password, as `openssl pkey` does",
            path.display()
        )));
    }
    if !pem.contains("PRIVATE KEY-----") {
        return Err(invalid(format!(
            "{setting}: the file {} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
            path.display()
        )));
    }
    Ok(pem)
}

/// Checks that a client's certificate comes with its key.
///
/// # Errors
///
/// [`InvalidConfig`](LockErrorKind::InvalidConfig) if only one of the two is there.
pub fn both_or_none<T>(certificate: Option<T>, key: Option<T>) -> Result<Option<(T, T)>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(invalid(
            "tls_cert_file is set and tls_key_file is not; set both: a certificate needs its \
             private key"
                .to_owned(),
        )),
        (None, Some(_)) => Err(invalid(
            "tls_key_file is set and tls_cert_file is not; set both: a private key needs its \
             certificate"
                .to_owned(),
        )),
    }
}

/// Whether a path whose file is missing is one all the same. Neither the root directory nor the
/// current one counts: a secret can begin with a slash, and be a single word.
fn is_in_a_directory(path: &Path) -> bool {
    let directory = path.parent().filter(|directory| directory.parent().is_some());
    directory.is_some_and(|directory| !directory.as_os_str().is_empty() && directory.is_dir())
}

fn text(setting: &str, path: &Path) -> Result<String> {
    let refused = |cause: String| {
        invalid(format!("{setting}: the file {} cannot be used: {cause}", path.display()))
    };
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| refused(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refused("it is larger than 4 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))
}

fn invalid(message: String) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file that is removed at the end.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let name = format!("distlock-files-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, bytes).unwrap();
            Self(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            std::fs::remove_file(&self.0).unwrap();
        }
    }

    #[test]
    fn a_secret_is_the_text_of_its_file_without_the_last_line_breaks() {
        for (text, expected) in [("p w", "p w"), ("pw\n", "pw"), ("p\nw\r\n\n", "p\nw")] {
            let file = Temporary::new("secret", text.as_bytes());
            assert_eq!(secret("password_file", &file.0).unwrap(), expected);
        }
        for (bytes, cause) in [(&b""[..], "is empty"), (b"\n", "is empty"), (b"\xFF", "UTF-8")] {
            let file = Temporary::new("secret", bytes);
            let error = secret("password_file", &file.0).unwrap_err().to_string();
            let path = file.0.display().to_string();
            assert!(error.starts_with("password_file: the file "), "{error}");
            assert!(error.contains(cause) && error.contains(&path), "{error}");
        }
    }

    #[test]
    fn a_secret_in_the_place_of_its_file_is_not_shown() {
        for path in ["s3cret", "/s3cret", "s3cret/with/slashes", "/s3cret/x", ""] {
            let error = secret("password_file", Path::new(path)).unwrap_err();
            assert!(error.to_string().contains("not the secret itself"), "{path}: {error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        let missing = std::env::temp_dir().join("distlock-files-missing");
        let error = secret("password_file", &missing).unwrap_err().to_string();
        assert!(error.contains("distlock-files-missing cannot be used: "), "{error}");
    }

    #[test]
    fn a_secret_may_stand_in_a_file_of_any_directory() {
        // Tests run in the directory of their package.
        assert!(secret("password_file", Path::new("Cargo.toml")).unwrap().contains("lock-core"));
        for directory in ["/", "..", "src"] {
            let error = secret("password_file", Path::new(directory)).unwrap_err().to_string();
            let begin = format!("password_file: the file {directory} cannot be used: ");
            assert!(error.starts_with(&begin), "{error}");
        }
    }

    #[test]
    fn a_file_of_another_kind_is_refused_by_its_name() {
        let key = Temporary::new("key", b"-----BEGIN PRIVATE KEY-----\nczNjcmV0\n");
        let locked = Temporary::new("locked", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nczNjcmV0\n");
        let certificate = Temporary::new("cert", b"-----BEGIN CERTIFICATE-----\nczNjcmV0\n");
        certificates("tls_ca_file", &certificate.0).unwrap();
        private_key("tls_key_file", &key.0).unwrap();
        for (read, file, cause) in [
            (certificates("tls_ca_file", &key.0), &key, "holds no certificate"),
            (private_key("tls_key_file", &certificate.0), &certificate, "holds no private key"),
            (private_key("tls_key_file", &locked.0), &locked, "encrypted"),
        ] {
            let error = read.unwrap_err().to_string();
            assert!(error.contains(cause) && !error.contains("czNj"), "{error}");
            assert!(error.contains(&file.0.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        assert_eq!(both_or_none(Some(1), Some(2)).unwrap(), Some((1, 2)));
        assert_eq!(both_or_none::<u8>(None, None).unwrap(), None);
        let error = both_or_none(Some(1), None).unwrap_err().to_string();
        assert!(error.contains("tls_key_file is not; set both"), "{error}");
        let error = both_or_none(None, Some(1)).unwrap_err().to_string();
        assert!(error.contains("tls_cert_file is not; set both"), "{error}");
    }
}

//! The configuration in the environment: the words of the URL's query behind `DISTLOCK_`.

use std::ffi::OsString;

use lock_core::LockError;

use super::settings::Settings;
use super::text::{clip, invalid, is_quoted};
use super::{others, words};

const PREFIX: &str = "DISTLOCK_";
const URL: &str = "url";

/// What the environment says.
#[derive(Default)]
pub(super) struct Environment {
    pub(super) url: Option<String>,
    pub(super) settings: Settings,
}

impl Environment {
    /// Reads the variables that are ours.
    ///
    /// One that has our prefix and is not known is refused: a namespace that is misspelt and
    /// therefore ignored would let two services in that are to exclude each other.
    pub(super) fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, LockError> {
        let mut found = Self::default();
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(word) = name.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
                continue;
            };
            let setting = words::find(&word);
            let is_ours = word == URL || setting.is_some();
            if !is_ours || name != variable(&word) {
                if others::belongs_to_others(name, &value) {
                    continue;
                }
                return Err(unknown(name, &word));
            }
            let value = value
                .into_string()
                .map_err(|_| invalid(format!("the environment variable {name} is not UTF-8")))?;
            if is_quoted(&value) {
                return Err(invalid(format!(
                    "the environment variable {name} is in quotes, which are part of its value; \
                     remove them (a shell removes them, Docker's --env-file does not)"
                )));
            }
            match setting {
                Some(word) => {
                    let place = format!("the environment variable {name}");
                    found.settings.read(word, &value, &place)?;
                }
                None => found.url = Some(value),
            }
        }
        Ok(found)
    }
}

fn variable(word: &str) -> String {
    format!("{PREFIX}{}", word.to_ascii_uppercase())
}

fn unknown(name: &str, word: &str) -> LockError {
    let known = || words::names().iter().copied().chain([URL]);
    let name = clip(name);
    invalid(match words::guess(word, known(), variable, &variable(URL)) {
        Some(guess) => format!("the environment variable {name} is not known; {guess}"),
        None => {
            let known: Vec<String> = known().map(variable).collect();
            let known = known.join(", ");
            format!(
                "the environment variable {name} is not known; remove it, or give it a name that \
                 does not begin with {PREFIX}; known are {known}"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, LockError> {
        Environment::read(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn every_word_is_a_variable() {
        let found = read(&[
            ("DISTLOCK_URL", "memory:"),
            ("DISTLOCK_NAMESPACE", "shop:"),
            ("DISTLOCK_KEY_PREFIX", ""),
            ("DISTLOCK_TTL", "30s"),
            ("DISTLOCK_WAIT", "forever"),
            ("DISTLOCK_KEEP_ALIVE", "true"),
            ("DISTLOCK_MAX_HOLD", "5m"),
            ("DISTLOCK_MIN_HOLD", "1s"),
            ("DISTLOCK_ON_LOST", "continue"),
            ("DISTLOCK_REQUIRE_FENCING", "false"),
            ("DISTLOCK_RESPONSE_TIMEOUT", "500ms"),
            ("DISTLOCK_LAZY", "true"),
            ("DISTLOCK_ENDPOINT", "dns:a:1"),
            ("DISTLOCK_HANDOVER_GRANTS", "0"),
            ("DISTLOCK_HANDOVER_TIME", "20ms"),
            ("DISTLOCK_PROGRAM", "worker"),
            ("DISTLOCK_PROGRAM_VERSION", "1.2"),
            ("DISTLOCK_PROGRAM_HOST", "node-7"),
            ("DISTLOCK_TLS_CA_FILE", "/a"),
            ("DISTLOCK_TLS_CERT_FILE", "/b"),
            ("DISTLOCK_TLS_KEY_FILE", "/c"),
            ("DISTLOCK_TLS_SERVER_NAME", "a.example"),
            ("DISTLOCK_PASSWORD_FILE", "/d"),
            ("DISTLOCK_SENTINEL_PASSWORD_FILE", "/f"),
            ("DISTLOCK_REPLICAS", "1"),
            ("DISTLOCK_API_TOKEN_FILE", "/e"),
            ("DISTLOCK_TEST_SERVERS", "of others"),
            ("URL", "of others"),
        ])
        .unwrap();
        assert_eq!(found.url.as_deref(), Some("memory:"));
        let mut expected = Settings::default();
        for (word, value) in [
            ("namespace", "shop:"),
            ("key_prefix", ""),
            ("ttl", "30s"),
            ("wait", "forever"),
            ("keep_alive", "true"),
            ("max_hold", "5m"),
            ("min_hold", "1s"),
            ("on_lost", "continue"),
            ("require_fencing", "false"),
            ("response_timeout", "500ms"),
            ("lazy", "true"),
            ("endpoint", "dns:a:1"),
            ("handover_grants", "0"),
            ("handover_time", "20ms"),
            ("program", "worker"),
            ("program_version", "1.2"),
            ("program_host", "node-7"),
            ("tls_ca_file", "/a"),
            ("tls_cert_file", "/b"),
            ("tls_key_file", "/c"),
            ("tls_server_name", "a.example"),
            ("password_file", "/d"),
            ("sentinel_password_file", "/f"),
            ("replicas", "1"),
            ("api_token_file", "/e"),
        ] {
            expected.read(words::find(word).unwrap(), value, word).unwrap();
        }
        assert_eq!(found.settings, expected);
        assert_eq!(expected.len(), words::names().len(), "a word is missing here");
    }

    #[test]
    fn bad_values_and_misspelt_names_are_refused_by_name() {
        for (name, value, cause) in [
            ("DISTLOCK_TTL", "30", "DISTLOCK_TTL is \"30\": it has no unit; write \"30s\""),
            ("DISTLOCK_RESPONSE_TIMEOUT", "500", "it has no unit; write \"500ms\" or \"500s\""),
            ("DISTLOCK_TTL", "", "DISTLOCK_TTL is \"\": it is not a duration"),
            ("DISTLOCK_LAZY", "yes", "DISTLOCK_LAZY is \"yes\": write `true` or `false`"),
            ("DISTLOCK_WAIT", "ever", "DISTLOCK_WAIT is \"ever\": it is not a duration"),
            ("DISTLOCK_ON_LOST", "stop", "\"stop\": write `cancel` or `continue`"),
            ("DISTLOCK_MAXHOLD", "1s", "did you mean DISTLOCK_MAX_HOLD?"),
            ("DISTLOCK_NAMESPCE", "x", "did you mean DISTLOCK_NAMESPACE?"),
            ("DISTLOCK_FOO", "x", "DISTLOCK_FOO is not known; remove it"),
            ("DISTLOCK_FOO", "x", "known are DISTLOCK_NAMESPACE, DISTLOCK_RESPONSE_TIMEOUT,"),
            (
                "DISTLOCK_PASSWORD",
                "s3cret",
                "DISTLOCK_PASSWORD is not known; did you mean DISTLOCK_PASSWORD_FILE? or write it \
                 into DISTLOCK_URL, as in redis://USER:PASSWORD@",
            ),
            (
                "DISTLOCK_PORT",
                "6379",
                "DISTLOCK_PORT is not known; write it into DISTLOCK_URL, as in redis://USER",
            ),
            ("DISTLOCK_DB", "1", "DISTLOCK_DB is not known; write it into DISTLOCK_URL"),
            ("DISTLOCK_PREFIX", "a", "did you mean DISTLOCK_NAMESPACE or DISTLOCK_KEY_PREFIX?"),
            ("DISTLOCK_TIMEOUT", "1s", "did you mean DISTLOCK_WAIT or DISTLOCK_RESPONSE_TIMEOUT?"),
            ("DISTLOCK_", "x", "DISTLOCK_ is not known"),
            ("DISTLOCK_ttl", "30s", "did you mean DISTLOCK_TTL?"),
            ("DISTLOCK_NAMESPACE", "\"shop:\"", "DISTLOCK_NAMESPACE is in quotes"),
            ("DISTLOCK_URL", "'redis://u:s3cret@h'", "DISTLOCK_URL is in quotes"),
        ] {
            let error = read(&[(name, value)]).err().unwrap();
            assert!(error.to_string().contains(cause), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf_8_is_refused_by_name() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(vec![0xFF]);
        let error = Environment::read([("DISTLOCK_URL".into(), value)]).err().unwrap();
        assert!(error.to_string().contains("DISTLOCK_URL is not UTF-8"), "{error}");
    }
}

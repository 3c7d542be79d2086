//! No text holds a secret, wherever it was written.

use std::error::Error;
use std::fmt::Write;

use distlock::LockConfig;
use proptest::prelude::*;

/// How URLs go wrong around a user name and a password.
const SHAPES: [&str; 46] = [
    "redis://user:SECRET@h:6379/0",
    "redis://:SECRET@h",
    "redis://SECRET@h",
    "rediss://user:SECRET@h",
    "redis://user:SECRET@h:port",
    "redis://user:SECRET@h/x",
    "redis://user:SECRET@h?x=y",
    "redis://user:SECRET@h?ttl=30",
    "redis://user:SECRET@h#x",
    "redis://user:SECRET@",
    "redis://user:SECRET@:6379",
    "redis://user:SECRET@h:99999",
    "redis:/user:SECRET@h",
    "redis:user:SECRET@h",
    "redsi://user:SECRET@h",
    "user:SECRET@h:6379",
    ":SECRET@h:6379",
    "redis+unix:///s?pass=SECRET",
    "redis+unix:///s?pass=SECRET&ttl=30",
    "memory:user:SECRET@h",
    "valkey://user:SECRET@h:6379/0",
    "valkeys://SECRET@h",
    "valkey+unix:///s?pass=SECRET",
    "unix:///s?user=SECRET",
    "unix:///s?user=SECRET&pass=SECRET&lazy=1",
    "\"redis://user:SECRET@h\"",
    "redis://h?password_file=SECRET",
    "redis://user@h?password_file=SECRET",
    "dapr://lockstore?api_token_file=SECRET",
    "redis+sentinel://user:SECRET@a:1,b:2/main",
    "redis+sentinel://a:1,user:SECRET@b:2/main",
    "redis+sentinel://user:SECRET@a:1,b:2",
    "redis+sentinel://a/main?sentinel_user=SECRET&sentinel_pass=SECRET",
    "redis+sentinel://a/main?sentinel_user=SECRET",
    "redis+sentinel://a/main?sentinel_password_file=SECRET",
    "redis+cluster://:SECRET@a",
    "redis+cluster://user:SECRET@a:1,b:2",
    "redis+cluster://a:1,user:SECRET@b:2",
    "redis+cluster://a?password_file=SECRET",
    "redis-cluster://:SECRET@a",
    "redis://user:SECRET@a:1,b:2",
    "redis+tls://user:SECRET@h",
    "redis://user:SECRET,@h",
    "redis://a:1,user:SECRET@h",
    "dapr://user:SECRET@lockstore",
    "dapr://lockstore?endpoint=http://user:SECRET@h:1",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn no_text_holds_any_part_of_a_secret(
        // What follows the first delimiter would be taken for another part of the URL.
        secret in r"[A-Z0-9]{0,5}[/?#@:%&=+é \[\]\\-][A-Z0-9]{6,9}[A-Z0-9/?#@:%&=+é \[\]\\-]{0,9}",
        is_encoded: bool,
        shape in 0..SHAPES.len(),
    ) {
        // A parameter of a query can only be a secret as a whole if it is encoded.
        let is_encoded = is_encoded || SHAPES[shape].contains("=SECRET");
        let written = if is_encoded { percent_encode(&secret) } else { secret.clone() };
        let url = SHAPES[shape].replace("SECRET", &written);
        let texts = texts_about(&url).to_uppercase();
        for part in [secret, written] {
            let characters: Vec<char> = part.to_uppercase().chars().collect();
            for window in characters.windows(6) {
                let window = String::from_iter(window);
                prop_assert!(!texts.contains(&window), "{url:?}: {window:?} is in {texts}");
            }
        }
    }
}

/// Everything that can be printed about this URL.
fn texts_about(url: &str) -> String {
    let mut texts = String::new();
    #[cfg(feature = "serde")]
    write!(texts, "{}", texts_about_file(url)).unwrap();
    let mut error = match LockConfig::from_url(url) {
        Err(error) => Some(error),
        Ok(config) => {
            write!(texts, "{config} {config:?} ").unwrap();
            config.check().err()
        }
    };
    if let Some(error) = error.take() {
        write!(texts, "{error} {error:?} {error:#?}").unwrap();
        let mut source = error.source();
        while let Some(cause) = source {
            write!(texts, "{cause} {cause:?}").unwrap();
            source = cause.source();
        }
    }
    texts
}

/// Everything that can be printed about a file with this URL, and this secret where it is a mistake.
#[cfg(feature = "serde")]
fn texts_about_file(url: &str) -> String {
    use serde::Deserialize;

    let mut texts = String::new();
    for word in ["url", "password_file", "sentinel_password_file", "api_token_file"] {
        let mut file = toml::Table::new();
        file.insert("url".to_owned(), "redis://u@h".into());
        file.insert(word.to_owned(), url.into());
        let config = LockConfig::deserialize(file).unwrap();
        write!(texts, "{config} {config:?} {:?} ", config.check()).unwrap();
    }
    texts
}

fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

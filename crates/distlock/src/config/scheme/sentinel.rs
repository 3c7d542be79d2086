//! `redis+sentinel://`, and the same over TLS and with `valkey`: the master that Sentinels name.

use lock_core::LockError;
use lock_core::backend::AnyBackend;

use super::definition::{Feature, Located, Open, Parameter, Scheme, Spelling, accept_all};
use super::redis::{REDIS, TLS, check_database, check_host, check_login, query};
use crate::config::settings::Settings;
use crate::config::text::{decode, invalid};
use crate::config::word::{Kind, Word};

pub(crate) const PASSWORD_FILE: Word = Word::new("sentinel_password_file", Kind::SecretFile);

pub(super) const SCHEME: Scheme = Scheme {
    spellings: &[
        sentinels("redis+sentinel", &[REDIS]),
        sentinels("rediss+sentinel", &[REDIS, TLS]),
        sentinels("valkey+sentinel", &[REDIS]),
        sentinels("valkeys+sentinel", &[REDIS, TLS]),
    ],
    example: "redis+sentinel://host1:26379,host2:26379/mymaster",
    has_host: true,
    words: &[PASSWORD_FILE],
    check: accept_all,
    read,
};

const fn sentinels(name: &'static str, features: &'static [Feature]) -> Spelling {
    Spelling { name, features, parameters: &["sentinel_user", "sentinel_pass"], takes_hosts: true }
}

fn read(at: &Located, parameters: &[Parameter]) -> Result<Open, LockError> {
    let url = &at.url;
    at.hosts().try_for_each(check_host)?;
    check_login(url)?;
    let path = url.path().strip_prefix('/').unwrap_or_default();
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    if decode(master, "name of the master")?.is_empty() {
        return Err(invalid(format!(
            "the URL names no master; write {}://{}/MASTER, with the name under which the Sentinels \
             watch it, such as mymaster",
            url.scheme(),
            at.authority(),
        )));
    }
    if !database.is_empty() {
        check_database(database)?;
    }
    let login = at.login();
    let query = query(parameters).map(|query| format!("?{query}")).unwrap_or_default();
    let text = format!("{}://{login}{}/{path}{query}", url.scheme(), at.authority());
    Ok(Box::new(move |settings| open(&text, settings)))
}

#[cfg(feature = "redis")]
fn open(url: &str, settings: &Settings) -> Result<AnyBackend, LockError> {
    let mut builder = super::redis::builder(url, settings)?;
    if let Some(path) = settings.text(&PASSWORD_FILE) {
        builder = builder.sentinel_password_file(path);
    }
    super::redis::backend(builder)
}

/// Such a URL is refused before it is read, because its feature is off.
#[cfg(not(feature = "redis"))]
fn open(url: &str, settings: &Settings) -> Result<AnyBackend, LockError> {
    super::redis::open(url, settings)
}

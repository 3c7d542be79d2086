//! `redis+cluster://`, and the same over TLS and with `valkey`: a cluster, by some of its nodes.

use lock_core::LockError;

use super::definition::{Feature, Located, Open, Parameter, Scheme, Spelling, accept_all};
use super::redis::{REDIS, TLS, check_host, check_login, open};
use crate::config::text::{clip, invalid};

pub(super) const SCHEME: Scheme = Scheme {
    spellings: &[
        nodes("redis+cluster", &[REDIS]),
        nodes("rediss+cluster", &[REDIS, TLS]),
        nodes("valkey+cluster", &[REDIS]),
        nodes("valkeys+cluster", &[REDIS, TLS]),
    ],
    example: "redis+cluster://host1:7000,host2:7000",
    has_host: true,
    words: &[],
    check: accept_all,
    read,
};

const fn nodes(name: &'static str, features: &'static [Feature]) -> Spelling {
    Spelling { name, features, parameters: &[], takes_hosts: true }
}

fn read(at: &Located, _: &[Parameter]) -> Result<Open, LockError> {
    let url = &at.url;
    at.hosts().try_for_each(check_host)?;
    check_login(url)?;
    let database = url.path().strip_prefix('/').unwrap_or_default();
    if !matches!(database, "" | "0") {
        return Err(invalid(format!(
            "the URL's database is {:?}; a cluster has no other than 0: leave it out",
            clip(database),
        )));
    }
    let text = format!("{}://{}{}", url.scheme(), at.login(), at.authority());
    Ok(Box::new(move |settings| open(&text, settings)))
}

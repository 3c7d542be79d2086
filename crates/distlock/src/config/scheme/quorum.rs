//! `redis+quorum://`, and the same with TLS and with `valkey`: a majority of independent servers; and
//! several URLs with spaces between them.

use std::collections::BTreeSet;

use lock_core::LockError;
use url::Url;

use super::definition::{self, Feature, Located, Open, Parameter, Scheme, Spelling, accept_all};
use super::redis::{self, REDIS, TLS};
use crate::config::settings::Settings;
use crate::config::text::{clip, invalid};

pub(super) const SCHEME: Scheme = Scheme {
    spellings: &[
        several("redis+quorum", &[REDIS, QUORUM]),
        several("rediss+quorum", &[REDIS, TLS, QUORUM]),
        several("valkey+quorum", &[REDIS, QUORUM]),
        several("valkeys+quorum", &[REDIS, TLS, QUORUM]),
    ],
    example: "",
    has_host: true,
    words: &[],
    check: accept_all,
    read,
};

/// What the schemes of a quorum end with.
pub(super) const SUFFIX: &str = "+quorum";

const QUORUM: Feature = Feature { name: "quorum", is_on: cfg!(feature = "quorum") };

const fn several(name: &'static str, features: &'static [Feature]) -> Spelling {
    Spelling { name, features, parameters: &[], takes_hosts: true }
}

/// A member of a quorum, as a URL names it.
pub(crate) struct Member {
    /// Host and port, if its URL has a host: the databases of one server are no two members.
    server: Option<String>,
    open: Open,
}

impl Member {
    pub(crate) fn new(url: &Url, open: Open) -> Self {
        // The host of another one is a Sentinel, or the name of a component.
        let is_server = url.scheme() != "dapr" && !url.scheme().ends_with("+sentinel");
        let host = url.host_str().filter(|host| !host.is_empty() && is_server);
        let port = url.port().unwrap_or(6_379);
        let server = host.map(|host| format!("{}:{port}", host.to_ascii_lowercase()));
        Self { server, open }
    }
}

/// Refuses several URLs where the feature is off.
pub(crate) fn check_features() -> Result<(), LockError> {
    definition::check_features("several URLs are a quorum, which", &[QUORUM])
}

fn read(at: &Located, parameters: &[Parameter]) -> Result<Open, LockError> {
    let url = &at.url;
    let scheme = url.scheme().trim_end_matches(SUFFIX);
    if at.authority().is_empty() {
        let text = format!("the URL has no hosts; write {scheme}{SUFFIX}://A:PORT,B:PORT,C:PORT");
        return Err(invalid(text));
    }
    let (login, path) = (at.login(), url.path());
    let mut members = Vec::new();
    for host in at.hosts() {
        let host = definition::host_and_port(host);
        let malformed = |cause: &str| {
            let host = clip(&host);
            invalid(format!("the host `{host}` of the URL is malformed: {cause}"))
        };
        if host.trim().is_empty() {
            return Err(malformed("it is empty; remove the comma"));
        }
        let url = Url::parse(&format!("{scheme}://{login}{host}{path}"))
            .map_err(|error| malformed(&error.to_string()))?;
        let member = Located { url, more: Vec::new() };
        let open = (redis::SCHEME.read)(&member, parameters)?;
        members.push(Member::new(&member.url, open));
    }
    open(members)
}

/// Checks the members together, and says how they are opened.
pub(crate) fn open(members: Vec<Member>) -> Result<Open, LockError> {
    let mut servers = BTreeSet::new();
    let twice = members.iter().filter_map(|member| member.server.as_ref());
    if let Some(twice) = twice.into_iter().find(|server| !servers.insert(server.to_owned())) {
        return Err(invalid(format!(
            "the quorum names the server {} twice; one server must not have two votes, not even \
             with two databases",
            clip(twice)
        )));
    }
    Ok(Box::new(move |settings| open_all(members, settings)))
}

#[cfg(feature = "quorum")]
fn open_all(
    members: Vec<Member>,
    settings: &Settings,
) -> Result<lock_core::backend::AnyBackend, LockError> {
    use lock_core::backend::AnyBackend;

    let mut builder = lock_quorum::QuorumBackend::builder();
    for member in members {
        builder = builder.member((member.open)(settings)?);
    }
    let backend = builder.build().map_err(|error| error.with_operation("connect"))?;
    Ok(AnyBackend::new(backend))
}

/// Such a URL is refused before it is read, because its feature is off.
#[cfg(not(feature = "quorum"))]
fn open_all(
    members: Vec<Member>,
    settings: &Settings,
) -> Result<lock_core::backend::AnyBackend, LockError> {
    let opened = members.into_iter().next().map(|member| (member.open)(settings));
    drop(opened);
    Err(invalid("the feature `quorum` of distlock is off"))
}

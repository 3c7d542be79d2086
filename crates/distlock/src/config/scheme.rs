//! The kinds of stores that a URL can name: one file for each, and one line in [`ALL`].

mod cluster;
pub(crate) mod dapr;
mod definition;
mod memory;
pub(super) mod quorum;
pub(crate) mod redis;
pub(crate) mod sentinel;
pub(crate) mod tls;

use lock_core::LockError;
use url::Url;

use super::settings::Settings;
use super::text::{clip, either, invalid, nearest};
use super::word::Word;
pub(super) use definition::{Located, Open, Parameter};
use definition::{Scheme, Spelling, check_features};

const ALL: &[&Scheme] = &[
    &memory::SCHEME,
    &redis::SCHEME,
    &sentinel::SCHEME,
    &cluster::SCHEME,
    &quorum::SCHEME,
    &dapr::SCHEME,
];

/// The kind of store that a URL names, and the way in which it does.
pub(super) struct Named {
    scheme: &'static Scheme,
    spelling: &'static Spelling,
}

/// Finds the kind of store that this URL names; refused if it is not known or its feature is off.
pub(super) fn of(url: &Url) -> Result<Named, LockError> {
    let named = by_name(url.scheme()).ok_or_else(|| unknown(url))?;
    check_features(&format!("{}:", named.spelling.name), named.spelling.features)?;
    Ok(named)
}

/// Refuses what a URL asks for that other libraries know and this one does not. The text is not
/// parsed yet, because the parser would find another fault in it.
pub(super) fn refuse_unsupported(text: &str) -> Result<(), LockError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(()) };
    let scheme = scheme.to_ascii_lowercase();
    let reason = redis::unsupported(&scheme).or_else(|| {
        let named = by_name(&scheme)?;
        let has_several = split_hosts(rest).is_some_and(|(_, hosts, _)| hosts.contains(','));
        let takes_one = named.scheme.has_host && !named.spelling.takes_hosts;
        (takes_one && has_several).then_some(redis::ONE_SERVER)
    });
    reason.map_or(Ok(()), |reason| Err(invalid(reason)))
}

/// The same URL with the first of its hosts alone, and the others as URLs of their own, where its
/// kind of store may have several.
pub(super) fn first_host(text: &str) -> Option<(String, Vec<String>)> {
    let (scheme, rest) = text.split_once("://")?;
    let named = by_name(&scheme.to_ascii_lowercase())?;
    let (login, hosts, behind) = split_hosts(rest).filter(|_| named.spelling.takes_hosts)?;
    let mut hosts = hosts.split(',');
    let first = format!("{scheme}://{login}{}{behind}", hosts.next().unwrap_or_default());
    Some((first, hosts.map(|host| format!("{scheme}://{host}")).collect()))
}

/// User and password, hosts, and what follows them.
fn split_hosts(rest: &str) -> Option<(&str, &str, &str)> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    // An `@` behind the hosts is the mistake of a password that is not encoded.
    (!behind.contains('@')).then_some((login, hosts, behind))
}

/// The words of all kinds of stores.
pub(super) fn words() -> impl Iterator<Item = &'static Word> {
    tls::WORDS.iter().chain(ALL.iter().flat_map(|scheme| scheme.words))
}

/// Checks the words of all kinds, so that the same settings are good for every URL or for none.
pub(super) fn check(settings: &Settings) -> Result<(), LockError> {
    tls::check(settings)?;
    ALL.iter().try_for_each(|scheme| (scheme.check)(settings))
}

/// A URL of each kind, for messages.
pub(super) fn examples() -> String {
    let examples = ALL.iter().map(|scheme| scheme.example);
    either(&examples.filter(|example| !example.is_empty()).collect::<Vec<_>>())
}

/// Whether a URL begins with a scheme that is known.
pub(super) fn is_known(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| by_name(&scheme).is_some())
}

impl Named {
    /// Whether it is a quorum.
    pub(super) fn is_quorum(&self) -> bool {
        self.spelling.name.ends_with(quorum::SUFFIX)
    }

    /// The parameters that such a URL may have beside the words.
    pub(super) fn parameters(&self) -> &'static [&'static str] {
        self.spelling.parameters
    }

    /// Whether such a store is in the memory of its process.
    pub(super) fn is_in_memory(&self) -> bool {
        self.spelling.name == memory::NAME
    }

    /// Checks the URL, and says how its store is opened.
    pub(super) fn read(&self, at: &Located, parameters: &[Parameter]) -> Result<Open, LockError> {
        (self.scheme.read)(at, parameters)
    }
}

fn by_name(name: &str) -> Option<Named> {
    spellings().find(|named| named.spelling.name == name)
}

fn spellings() -> impl Iterator<Item = Named> {
    let of = |&scheme: &&'static Scheme| {
        scheme.spellings.iter().map(move |spelling| Named { scheme, spelling })
    };
    ALL.iter().flat_map(of)
}

fn unknown(url: &Url) -> LockError {
    let scheme = url.scheme();
    let known: Vec<&str> = spellings().map(|named| named.spelling.name).collect();
    let with_host = spellings().find(|named| named.scheme.has_host);
    let guess = match (nearest(scheme, known.iter().copied()), with_host) {
        (Some(near), _) => format!("did you mean `{near}`? "),
        // `localhost:6379` is a URL, of the scheme `localhost`.
        (None, Some(named)) if url.cannot_be_a_base() => {
            format!("a host needs `{}://` in front; ", named.spelling.name)
        }
        _ => String::new(),
    };
    let (scheme, accepted) = (clip(scheme), known.join(", "));
    invalid(format!("the URL's scheme `{scheme}` is not known; {guess}accepted are {accepted}"))
}

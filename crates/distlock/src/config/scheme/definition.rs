//! What a kind of store says of itself: how its URLs begin, its words, and how it is opened.

use lock_core::LockError;
use lock_core::backend::AnyBackend;
use url::Url;

use crate::config::settings::Settings;
use crate::config::text::invalid;
use crate::config::word::Word;

/// A kind of store.
pub(crate) struct Scheme {
    /// How its URLs may begin.
    pub(crate) spellings: &'static [Spelling],
    /// A URL of it, for messages; empty where others are better examples.
    pub(crate) example: &'static str,
    /// Its URLs name a server by host and port.
    pub(crate) has_host: bool,
    /// The settings that only it understands. The other kinds ignore them.
    pub(crate) words: &'static [Word],
    /// Checks the values of its words. It is called whichever kind of store the URL names.
    pub(crate) check: fn(&Settings) -> Result<(), LockError>,
    /// Checks a URL of one of its spellings, without I/O.
    ///
    /// Gets the parameters of the query that its spelling names.
    pub(crate) read: fn(&Located, &[Parameter]) -> Result<Open, LockError>,
}

/// One way in which a URL of a kind of store may begin.
pub(crate) struct Spelling {
    /// What stands before the colon.
    pub(crate) name: &'static str,
    /// What must be on for it.
    pub(crate) features: &'static [Feature],
    /// The parameters that its query may have beside the words.
    pub(crate) parameters: &'static [&'static str],
    /// It may name several hosts, with commas between them.
    pub(crate) takes_hosts: bool,
}

/// A URL, which may name several hosts.
pub(crate) struct Located {
    /// The URL, with the first of its hosts.
    pub(crate) url: Url,
    /// The others, each as a URL that has nothing else.
    pub(crate) more: Vec<Url>,
}

impl Located {
    /// The hosts and the ports, each with that of the first.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Url> {
        std::iter::once(&self.url).chain(&self.more)
    }

    /// The hosts and the ports, as they are written.
    pub(crate) fn authority(&self) -> String {
        self.hosts().map(host_and_port).collect::<Vec<_>>().join(",")
    }

    /// User and password with what separates them from a host, as they are written: still encoded.
    pub(crate) fn login(&self) -> String {
        match (self.url.username(), self.url.password()) {
            ("", None) => String::new(),
            (user, None) => format!("{user}@"),
            (user, Some(password)) => format!("{user}:{password}@"),
        }
    }
}

/// Host and port of a URL, as they are written.
pub(crate) fn host_and_port(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// A cargo feature of this crate.
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    pub(crate) is_on: bool,
}

/// Name and value of a parameter of a query, decoded.
pub(crate) type Parameter = (String, String);

/// Makes the store of a URL, with these settings and without I/O.
pub(crate) type Open = Box<dyn FnOnce(&Settings) -> Result<AnyBackend, LockError>>;

/// Refuses what needs features of which one is off.
pub(crate) fn check_features(what: &str, features: &[Feature]) -> Result<(), LockError> {
    let Some(missing) = features.iter().find(|feature| !feature.is_on) else { return Ok(()) };
    let needed: Vec<&str> = features.iter().map(|feature| feature.name).collect();
    Err(invalid(format!(
        "{what} needs the feature `{}` of distlock, which is off; write into Cargo.toml: \
         distlock = {{ version = \"{}.{}\", features = {needed:?} }}",
        missing.name,
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
    )))
}

/// For kinds without words whose values could be wrong.
pub(crate) fn accept_all(_: &Settings) -> Result<(), LockError> {
    Ok(())
}

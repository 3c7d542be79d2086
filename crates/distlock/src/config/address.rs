//! Reads the URL of a store.
//!
//! No error and no text of this module holds anything that may be part of a user name or a
//! password, also when the URL is malformed in a way that puts a part of them elsewhere.

use std::fmt;

use lock_core::LockError;
use url::Url;

use super::scheme::{self, Located, Named, Open, Parameter};
use super::settings::Settings;
use super::text::{clip, decode, invalid, is_quoted, nearest};
use super::words;

const ESCAPES: &str =
    "in a user name or a password write `/` as %2F, `?` as %3F, `#` as %23 and `@` as %40";

/// What a URL says.
pub(super) struct Address {
    /// Makes the store that it names.
    pub(super) open: Open,
    pub(super) settings: Settings,
    is_in_memory: bool,
    shown: String,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, LockError> {
        let urls: Vec<&str> = text.split_whitespace().collect();
        if urls.len() > 1 && urls.iter().all(|url| scheme::is_known(url)) {
            return Self::parse_several(&urls);
        }
        let located = read(text)?;
        let url = &located.url;
        let named = scheme::of(url)?;
        let (settings, parameters) = sort(query(url)?, &named)?;
        let open = named.read(&located, &parameters)?;
        Ok(Self { open, settings, is_in_memory: named.is_in_memory(), shown: shown(&located) })
    }

    /// The stores of a quorum.
    fn parse_several(urls: &[&str]) -> Result<Self, LockError> {
        scheme::quorum::check_features()?;
        let (mut members, mut shown_all, mut is_in_memory) = (Vec::new(), Vec::new(), true);
        for text in urls {
            let located = read(text)?;
            let url = &located.url;
            let named = scheme::of(url)?;
            if named.is_quorum() {
                return Err(invalid("a member of a quorum is a quorum itself; name its servers"));
            }
            let (settings, parameters) = sort(query(url)?, &named)?;
            if let Some(word) = settings.first_word() {
                return Err(invalid(format!(
                    "one of several URLs has the parameter `{word}`, which is a setting of them all; \
                     set it in the configuration or as DISTLOCK_{}",
                    word.to_ascii_uppercase()
                )));
            }
            is_in_memory &= named.is_in_memory();
            let open = named.read(&located, &parameters)?;
            shown_all.push(shown(&located));
            members.push(scheme::quorum::Member::new(url, shown(&located), open));
        }
        let (open, settings) = (scheme::quorum::open(members)?, Settings::default());
        Ok(Self { open, settings, is_in_memory, shown: shown_all.join(" ") })
    }

    /// Whether the store is this process's own.
    pub(super) fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn read(text: &str) -> Result<Located, LockError> {
    let text = text.trim();
    if text.is_empty() {
        let examples = scheme::examples();
        return Err(invalid(format!("the URL is empty; write one such as {examples}")));
    }
    // The parser would take them out and go on with another password.
    if text.contains(char::is_control) {
        return Err(invalid("the URL contains a line break or another control character"));
    }
    if is_quoted(text) {
        return Err(invalid(
            "the URL is in quotes, which are part of it here; remove them (a shell removes them, \
             Docker's --env-file does not)",
        ));
    }
    scheme::refuse_unsupported(text)?;
    let without_scheme = || {
        let examples = scheme::examples();
        invalid(format!("the URL has no scheme; write one such as {examples}"))
    };
    if text.contains('@') && !text.contains("://") {
        // What stands before the first colon is then perhaps a user name.
        return Err(without_scheme());
    }
    let parsed = |text: &str| {
        Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => without_scheme(),
            // A slash, a question mark or a hash ends the host, also one of a password.
            error if text.contains('@') => {
                invalid(format!("the URL is malformed: {error}; {ESCAPES}"))
            }
            error => invalid(format!("the URL is malformed: {error}")),
        })
    };
    let (first, more) = scheme::first_host(text).unwrap_or((text.to_owned(), Vec::new()));
    let url = parsed(&first)?;
    let another = |text: &String| {
        Url::parse(text).map_err(|error| {
            let host = clip(text.split_once("://").map_or("", |(_, host)| host));
            invalid(format!("the host `{host}` of the URL is malformed: {error}"))
        })
    };
    let more = more.iter().map(another).collect::<Result<_, _>>()?;
    let behind_host = [Some(url.path()), url.query(), url.fragment()];
    if behind_host.into_iter().flatten().any(|part| part.contains('@')) {
        return Err(invalid(format!("the URL has an `@` after its host; {ESCAPES}")));
    }
    if url.fragment().is_some() {
        return Err(invalid(
            "the URL has a fragment, which has no meaning here; write `#` as %23 if it is a part",
        ));
    }
    Ok(Located { url, more })
}

/// Tells the words from what only URLs of this kind have in their query.
fn sort(query: Vec<Parameter>, named: &Named) -> Result<(Settings, Vec<Parameter>), LockError> {
    let (mut settings, mut parameters) = (Settings::default(), Vec::new());
    for (name, value) in query {
        if let Some(word) = words::find(&name) {
            settings.read(word, &value, &format!("the URL's parameter `{name}`"))?;
        } else if named.parameters().contains(&name.as_str()) {
            parameters.push((name, value));
        } else {
            return Err(unknown_parameter(&name, named));
        }
    }
    Ok((settings, parameters))
}

fn unknown_parameter(name: &str, named: &Named) -> LockError {
    let known: Vec<&str> = words::names().iter().chain(named.parameters()).copied().collect();
    let guess = nearest(name, known.iter().copied());
    let guess = guess.map(|word| format!("did you mean `{word}`? ")).unwrap_or_default();
    let accepted = known.join(", ");
    let name = clip(name);
    invalid(format!("the URL has an unknown parameter `{name}`; {guess}accepted are {accepted}"))
}

/// The parameters. A plus sign is itself, as everywhere else in a URL.
fn query(url: &Url) -> Result<Vec<Parameter>, LockError> {
    let mut found: Vec<Parameter> = Vec::new();
    let written = url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
    for part in written {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decode(name, "query")?;
        let value = decode(value, "query")?;
        if found.iter().any(|(earlier, _)| *earlier == name) {
            let name = clip(&name);
            return Err(invalid(format!("the URL has the parameter `{name}` twice; remove one")));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// The URL without its query, and without user name and password.
fn shown(located: &Located) -> String {
    let url = &located.url;
    let (scheme, path) = (url.scheme(), url.path());
    if url.cannot_be_a_base() {
        return format!("{scheme}:{path}");
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    let user = if has_user { "***@" } else { "" };
    format!("{scheme}://{user}{}{path}", located.authority())
}

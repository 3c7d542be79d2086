//! What a server means when it refuses: from its words to what a caller can act on.
//!
//! The words themselves are not shown as they are.
//! A server that does not know a command quotes its arguments, among them owner tokens and
//! passwords, and a proxy may quote anything.

use std::borrow::Cow;

use lock_core::LockErrorKind;
use lock_core::LockErrorKind::{Backend, Denied, InvalidConfig, Unavailable};

use lock_core::message_text::{about_server_certificate, client_certificate};
use redis::{ErrorKind, RedisError};

use crate::wire::failure::{Elsewhere, Failure, Forbidden, OfCluster};

/// Longer texts of others are cut to this length in our messages.
const MAX_SPOKEN_CHARS: usize = 160;
/// As many hexadecimal digits in a row may be a part of an owner token.
const MAX_DIGITS: usize = 15;
const NO_PASSWORD: &str = "the server requires a password; write it into the URL \
                           (redis://:PASSWORD@HOST:PORT), or into a file that password_file names";

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            // Never the source of a failure: the server's words may quote what was sent.
            ErrorKind::Server(_) | ErrorKind::Extension => {
                refusal(error.code().unwrap_or("ERR"), error.detail().unwrap_or_default())
            }
            ErrorKind::AuthenticationFailed => wrong_password(),
            ErrorKind::RESP3NotSupported => no_resp3(),
            ErrorKind::InvalidClientConfig => Self::new(
                InvalidConfig,
                format!("the connection's settings are not allowed: {error}"),
            )
            .not_applied()
            .with_source(error),
            ErrorKind::Parse => {
                Self::unavailable("the server's answer is not Redis's protocol; is it a TLS port?")
                    .breaking_connection()
            }
            _ => from_transport(&error).with_source(error),
        }
    }
}

fn from_transport(error: &RedisError) -> Failure {
    let text = error.to_string();
    if let Some(message) = client_certificate(&text, "server", None) {
        return Failure::new(Denied, message).breaking_connection();
    }
    if text.contains("certificate") {
        let cure = about_server_certificate(&text);
        let message = format!("the server's TLS certificate was not accepted: {text}; {cure}");
        return Failure::new(Denied, message).breaking_connection();
    }
    Failure::unavailable(format!("the connection failed: {text}")).breaking_connection()
}

/// What an error of the server means, by its first word and the rest.
pub(crate) fn refusal(code: &str, detail: &str) -> Failure {
    let (kind, message): (LockErrorKind, Cow<'static, str>) = match inner_code(code, detail) {
        "NOSCRIPT" => {
            let mut missing = Failure::unavailable("the server forgot a script").not_applied();
            missing.script_is_missing = true;
            return missing;
        }
        "WRONGPASS" => return wrong_password(),
        "NOPROTO" => return no_resp3(),
        "NOAUTH" => (Denied, NO_PASSWORD.into()),
        "DENIED" => {
            let message = format!(
                "the server refuses connections from this machine: {}; give the server a password \
                 and use it, or connect from the server's own machine",
                spoken(first_sentence(detail))
            );
            (Denied, message.into())
        }
        "READONLY" => return of_replica(),
        // This is said to whoever waits for its replicas when it becomes one itself, and after that.
        "UNBLOCKED" if detail.contains("instance state changed") => return of_replica(),
        "ERR" if detail.contains("WAIT cannot be used with replica") => return of_replica(),
        "OOM" => (
            Unavailable,
            "the server has no memory left for new locks; raise its maxmemory or remove keys \
             (locks can still be renewed and released)"
                .into(),
        ),
        "NOREPLICAS" => (
            Unavailable,
            "the server refuses writes because too few of its replicas keep up \
             (min-replicas-to-write); check the replicas"
                .into(),
        ),
        "MISCONF" => (
            Unavailable,
            "the server refuses writes because it cannot save its data (MISCONF); check its log, \
             and the space and the permissions on its disk"
                .into(),
        ),
        "WRONGTYPE" => (
            Backend,
            "a key of the lock holds a value of another type, which another program has stored; take \
             another name or namespace for the lock, or delete the key if nothing needs it"
                .into(),
        ),
        "LOADING" => (Unavailable, "the server is loading its data".into()),
        "BUSY" => (Unavailable, "the server is busy with a long-running script".into()),
        "MASTERDOWN" => (Unavailable, "the server is a replica that lost its master".into()),
        code @ ("TRYAGAIN" | "CLUSTERDOWN" | "MOVED" | "ASK") => return of_cluster(code, detail),
        // Some of a script may have run.
        "ERR" if detail.contains("non local key") => {
            let message = "the cluster began to move the slot of the key while a script ran";
            return Failure::unavailable(message);
        }
        "CROSSSLOT" => (Backend, "the keys of a lock are not in one slot of the cluster".into()),
        "ERR" if detail.contains("max number of clients") => (
            Unavailable,
            "the server has no room for another client (max number of clients reached); raise its \
             maxclients, or close unused connections"
                .into(),
        ),
        "ERR" if detail.contains("DB index") => {
            (InvalidConfig, "the server does not have the database that the URL names".into())
        }
        code => match forbidden(detail) {
            Some(what) => return refused(code, detail, what),
            None if code == "NOPERM" => {
                let said = spoken(detail);
                (Denied, format!("the server's access rules forbid it: {said}").into())
            }
            // This says nothing about what ran before.
            None => {
                let said = spoken(detail);
                let code = if is_code(code) { code } else { "an error:" };
                return Failure::new(Backend, format!("the server answered {code} {said}"));
            }
        },
    };
    Failure::new(kind, message).not_applied()
}

/// The server is not a master, or not any more.
fn of_replica() -> Failure {
    // Its address may soon lead to the new master.
    let message = "the server is a read-only replica; connect to its master";
    let mut failure = Failure::unavailable(message).not_applied().breaking_connection();
    failure.is_of_replica = true;
    failure
}

/// What a node of a cluster means that does not serve a key, or not now. Nothing has run.
fn of_cluster(code: &str, detail: &str) -> Failure {
    let says = match (code, Elsewhere::read(detail)) {
        ("MOVED", Some(at)) => OfCluster::Moved(at),
        ("ASK", Some(at)) => OfCluster::Ask(at),
        ("CLUSTERDOWN", _) => OfCluster::Down,
        _ => OfCluster::TryAgain,
    };
    let message: Cow<'static, str> = match &says {
        OfCluster::Moved(_) => "another node of the cluster has the key".into(),
        OfCluster::Ask(_) | OfCluster::TryAgain => {
            "the cluster is moving the slot of the key to another node".into()
        }
        OfCluster::Down => {
            format!("the cluster cannot serve the key now: {}", spoken(detail)).into()
        }
    };
    Failure::unavailable(message).not_applied().of_cluster(says)
}

/// What a text of the server's says about commands, keys and channels that may not be used.
pub(crate) fn forbidden(text: &str) -> Option<Forbidden> {
    let says = |words: &str| text.contains(words);
    if let Some((_, behind)) = text.split_once("permissions to run the ") {
        return Some(Forbidden::Command(command_of(behind)));
    }
    if says("can't run this command") {
        return Some(Forbidden::Command(None));
    }
    if let Some((_, behind)) = text.split_once("unknown command ") {
        return Some(Forbidden::Unknown(command_of(behind)));
    }
    // `Unknown Redis command called from Lua script`, and the like.
    if says("nknown") && says("command called from") {
        return Some(Forbidden::Unknown(None));
    }
    if says("access one of the keys") || says("at least one of the keys") || says("access a key") {
        return Some(Forbidden::Key);
    }
    let of_channels = ["one of the channels", "access a channel", "publish to the channel"];
    of_channels.into_iter().any(says).then_some(Forbidden::Channel)
}

/// The failure of a request because of what may not be used.
fn refused(code: &str, detail: &str, what: Forbidden) -> Failure {
    let message: Cow<'static, str> = match &what {
        Forbidden::Command(Some(command)) => lacking(&[command]).into(),
        Forbidden::Unknown(Some(command)) => unknown(&[command]).into(),
        Forbidden::Command(None) => {
            "the server's access rules forbid a command that a script needs; allow all that the \
             guide lists"
                .into()
        }
        Forbidden::Unknown(None) => {
            "the server does not know a command that a script needs; undo its rename-command".into()
        }
        Forbidden::Key => {
            "the server's access rules forbid a key; allow the keys of the locks, and ~dl:*".into()
        }
        Forbidden::Channel => {
            "the server's access rules forbid a channel; allow it with &dl:c:*".into()
        }
    };
    let mut failure = Failure::new(Denied, message);
    let is_in_script =
        detail.contains("script") && !detail.contains("'script") && !detail.contains("`script");
    // At the door nothing has run; inside a script something may have run before.
    failure.not_applied =
        code == "NOPERM" && !is_in_script || detail.starts_with("unknown command");
    failure.forbidden = Some(what);
    failure
}

/// The access rules do not allow these commands.
pub(crate) fn lacking(commands: &[impl AsRef<str>]) -> String {
    let (named, it) = listed(commands);
    let rules: Vec<String> = commands.iter().map(|name| format!("+{}", name.as_ref())).collect();
    let rules = rules.join(" ");
    format!("the server's access rules forbid {named}; allow {it} with {rules}")
}

/// The server has no commands of these names.
pub(crate) fn unknown(commands: &[impl AsRef<str>]) -> String {
    let (named, it) = listed(commands);
    format!(
        "the server does not know {named}: either its rename-command removed {it}, or a proxy in \
         front of it does not forward {it}; allow {it}, or connect to another server"
    )
}

/// The server does not take `HELLO 3`, or is no Redis at all.
pub(crate) fn no_resp3() -> Failure {
    let message = "the server refuses the command HELLO 3, with which a client asks for RESP3; \
                   Redis 6.2 or later, or Valkey, is needed: allow HELLO if it was renamed, and \
                   bypass a proxy that only speaks RESP2";
    Failure::new(InvalidConfig, message).not_applied()
}

pub(crate) fn wrong_password() -> Failure {
    Failure::new(Denied, "the server refused the user name or the password").not_applied()
}

/// Redis up to 6.2 reports an error inside a script as `ERR … -CODE text`.
fn inner_code<'a>(code: &'a str, detail: &'a str) -> &'a str {
    const INSIDE: [&str; 10] = [
        "READONLY",
        "OOM",
        "NOREPLICAS",
        "MISCONF",
        "WRONGTYPE",
        "NOPERM",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "MASTERDOWN",
        "LOADING",
    ];
    let is_whole = |code: &&&str| detail.split([' ', '-']).any(|word| word == **code);
    // An error that a script returns has its place in the script for a code (`@user_script:`).
    if code == "ERR" || code.starts_with('@') {
        return INSIDE.iter().find(is_whole).copied().unwrap_or(code);
    }
    code
}

/// The command that a text names next, in quotes. What is none is not repeated.
fn command_of(text: &str) -> Option<Box<str>> {
    let mut parts = text.split(['\'', '`']);
    let (before, name) = (parts.next()?, parts.next()?);
    let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '|' | '_' | '-' | '.');
    let is_name = (1..=24).contains(&name.len()) && name.chars().all(is_letter);
    (before.is_empty() && is_name).then(|| name.to_ascii_lowercase().into())
}

/// Commands as a part of a sentence, and the word that takes their place in the next.
fn listed(commands: &[impl AsRef<str>]) -> (String, &'static str) {
    let names: Vec<&str> = commands.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [one] => (format!("the command {one}"), "it"),
        names => (format!("the commands {}", names.join(", ")), "them"),
    }
}

fn is_code(word: &str) -> bool {
    word.len() <= 20 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

/// The beginning of a server's text, as far as it can be shown: nothing that it quotes, and nothing
/// that could be a part of an owner token.
fn spoken(text: &str) -> String {
    let end = text.find(['\'', '`', '"']).unwrap_or(text.len());
    let mut said = String::new();
    for word in text[..end].split_whitespace() {
        // What follows may be a password.
        if word.eq_ignore_ascii_case("auth") {
            break;
        }
        let is_digit = |c: char| c.is_ascii_hexdigit();
        let longest = word.split(|c| !is_digit(c)).map(str::len).max().unwrap_or(0);
        let shown = if longest > MAX_DIGITS { "…" } else { word };
        if said.chars().count() + shown.chars().count() >= MAX_SPOKEN_CHARS {
            said.push_str(" …");
            break;
        }
        if !said.is_empty() {
            said.push(' ');
        }
        said.extend(shown.chars().filter(|c| !c.is_control()));
    }
    said
}

#[cfg(test)]
mod tests {
    use lock_core::LockError;
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn an_error_inside_a_script_of_redis_6_is_known_by_its_own_code() {
        let at = "Error running script (call to f_0a): @user_script:9: @user_script: 9: ";
        for (text, cause) in [
            ("-READONLY You can't write against a read only replica.", "replica"),
            ("-NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"),
            ("-MISCONF Redis is configured to save RDB snapshots, but", "cannot save"),
            ("-OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
        ] {
            for failure in [
                refusal("ERR", &format!("{at}{text}")),
                refusal("ERR", &format!("@user_script: 4: {text}")),
                refusal("@user_script:", &format!("4: {text}")),
            ] {
                assert_eq!(failure.kind, Unavailable);
                assert!(failure.not_applied && failure.message().contains(cause), "{failure:?}");
            }
        }
    }

    #[test]
    fn every_refusal_that_passes_by_itself_was_not_applied_and_may_be_repeated() {
        for code in [
            "NOREPLICAS",
            "MISCONF",
            "LOADING",
            "BUSY",
            "TRYAGAIN",
            "CLUSTERDOWN",
            "MASTERDOWN",
            "OOM",
            "READONLY",
            "MOVED",
            "ASK",
        ] {
            let failure = refusal(code, "for a while");
            assert!(failure.kind == Unavailable && failure.not_applied, "{code}: {failure:?}");
        }
        let failure = refusal("ERR", "max number of clients reached");
        assert!(failure.kind == Unavailable && failure.not_applied, "{failure:?}");
        assert!(failure.message().contains("max number of clients reached"));
    }

    #[test]
    fn a_server_that_became_a_replica_says_so_to_whoever_waits_for_its_replicas() {
        let unblocked =
            "force unblock from blocking operation, instance state changed (master -> replica?)";
        let refused = "WAIT cannot be used with replica instances. Please also note that since \
                       Redis 4.0 if a replica is configured to be writable (which is not the \
                       default) writes to replicas are just local and are not propagated.";
        for (code, detail) in [("UNBLOCKED", unblocked), ("ERR", refused)] {
            let failure = refusal(code, detail);
            assert!(failure.kind == Unavailable && failure.is_of_replica, "{code}: {failure:?}");
        }
    }

    #[test]
    fn what_is_forbidden_is_read_from_the_words_of_every_version() {
        let command = |name: &str| Some(Forbidden::Command(Some(name.into())));
        let unknown = |name: &str| Some(Forbidden::Unknown(Some(name.into())));
        for (text, what) in [
            (
                "this user has no permissions to run the 'get' command or its subcommand",
                command("get"),
            ),
            (
                "this user has no permissions to run the 'script|load' command",
                command("script|load"),
            ),
            ("User app has no permissions to run the 'set' command", command("set")),
            (
                "ACL failure in script: User app has no permissions to run the 'pubsub|numsub' \
                 command script: 0a, on @user_script:86.",
                command("pubsub|numsub"),
            ),
            (
                "@user_script: 14: The user executing the script can't run this command or \
                 subcommand",
                Some(Forbidden::Command(None)),
            ),
            ("unknown command `EVALSHA`, with args beginning with: `0a`, ", unknown("evalsha")),
            ("unknown command 'HELLO', with args beginning with: '3' ", unknown("hello")),
            ("unknown command '<SECRET>', with", Some(Forbidden::Unknown(None))),
            ("Unknown Redis command called from Lua script", Some(Forbidden::Unknown(None))),
            ("Unknown command called from script", Some(Forbidden::Unknown(None))),
            (
                "this user has no permissions to access one of the keys used as arguments",
                Some(Forbidden::Key),
            ),
            ("ACL failure in script: No permissions to access a key", Some(Forbidden::Key)),
            (
                "The user executing the script can't access at least one of the keys mentioned in \
                 the command arguments",
                Some(Forbidden::Key),
            ),
            (
                "this user has no permissions to access one of the channels used as arguments",
                Some(Forbidden::Channel),
            ),
            ("No permissions to access a channel", Some(Forbidden::Channel)),
            ("can't publish to the channel mentioned in the command", Some(Forbidden::Channel)),
            ("value is not an integer or out of range", None),
        ] {
            assert_eq!(forbidden(text), what, "{text}");
        }
    }

    #[test]
    fn a_refusal_says_whether_anything_may_have_run() {
        let at_the_door = "this user has no permissions to run the 'script|load' command";
        let inside = "ACL failure in script: User app has no permissions to run the 'set' command";
        assert!(refusal("NOPERM", at_the_door).not_applied);
        assert!(refusal("ERR", "unknown command 'EVALSHA', with args").not_applied);
        assert!(!refusal("ERR", inside).not_applied);
        assert!(!refusal("NOPERM", inside).not_applied);
        assert!(!refusal("ERR", "something new").not_applied);
    }

    #[test]
    fn a_missing_permission_is_named_with_the_rule_that_gives_it() {
        let text = refusal("NOPERM", "User app has no permissions to run the 'zadd' command");
        assert!(text.message().contains("the command zadd; allow it with +zadd"), "{text:?}");
        assert!(lacking(&["zadd", "zrem"]).contains("the commands zadd, zrem"));
        assert!(lacking(&["zadd", "zrem"]).contains("allow them with +zadd +zrem"));
    }

    #[test]
    fn no_text_repeats_what_the_server_quotes() {
        for (code, detail) in [
            ("ERR", format!("unknown command 'EVALSHA', with args beginning with: '{TOKEN}' ")),
            ("ERR", format!("unknown command `HELLO`, with args beginning with: `{TOKEN}`, ")),
            ("ERR", format!("invalid request: SET lock:x {TOKEN} NX")),
            ("ERR", format!("invalid value dl:{TOKEN}")),
            ("ERR", "invalid request: AUTH default 0123456789".to_owned()),
            ("ERR", format!("bad password \"{TOKEN}\"")),
            (TOKEN, TOKEN.to_owned()),
            ("NOPERM", format!("no: {TOKEN}")),
            ("DENIED", format!("no: {TOKEN}")),
            ("CLUSTERDOWN", format!("no: {TOKEN}")),
        ] {
            let text = format!("{:?}", refusal(code, &detail));
            assert!(!text.contains(&TOKEN[..8]), "{text}");
        }
    }

    #[test]
    fn no_part_of_an_error_repeats_what_the_server_quotes() {
        let detail = "unknown command 'EVALSHA', with args beginning with: '0123abcd' ";
        let said = redis::make_extension_error("ERR".into(), Some(detail.into()));
        let error: LockError = Failure::from(said).into_error();
        assert!(error.to_string().contains("evalsha"), "{error}");
        assert!(!format!("{error:?} {error:#?} {error}").contains("0123abcd"), "{error:?}");
    }

    proptest! {
        #[test]
        fn whatever_the_server_says_is_cut(before in ".{0,200}", after in ".{0,200}") {
            let said = spoken(&format!("{before}{TOKEN}{after}"));
            prop_assert!(said.chars().count() <= MAX_SPOKEN_CHARS + 2);
            prop_assert!(!said.contains(TOKEN));
            refusal(&before, &after);
        }
    }
}

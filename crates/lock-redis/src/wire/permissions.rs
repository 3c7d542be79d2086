//! Asks a server whether it lets us use what is needed, and names what it does not.
//!
//! Inside a script no version but the newest says which command it refuses, and none says which
//! key.
//! So each command is tried with arguments that change nothing.

use lock_core::{Instant, LockErrorKind};
use redis::{Cmd, Pipeline, Value};

use crate::wire::connection::Connection;
use crate::wire::failure::{Failure, Forbidden};
use crate::wire::hello::Dialect;
use crate::wire::refusal::{forbidden, lacking, unknown};

const TRY_EACH: &str = include_str!("permissions.lua");
/// The name of no script.
const NO_SCRIPT: &str = "0000000000000000000000000000000000000000";
const NOT_WITHOUT: &str = "no lock can be taken without it";

/// The commands that scripts use, each as words that change nothing. Of a command that has parts,
/// `|` is before the part, as in access rules.
#[derive(Clone, Copy)]
pub(crate) struct Needs {
    /// By every backend.
    pub(crate) always: &'static [&'static str],
    /// By whoever gives a lock to the next in a queue; who cannot does not queue.
    pub(crate) for_pushes: fn(Dialect) -> &'static [&'static str],
}

impl Needs {
    /// Commands whose answers [`check`](Self::check) reads.
    pub(crate) fn ask(&self) -> [Cmd; 2] {
        let mut by_name = Cmd::new();
        by_name.arg("EVALSHA").arg(NO_SCRIPT).arg(0);
        [by_name, self.try_each()]
    }

    /// Fails if something that is needed may not be used, and names it. A server that cannot tell
    /// now tells it to whoever needs it.
    pub(crate) fn check(&self, answers: [Result<Value, Failure>; 2]) -> Result<(), Failure> {
        self.check_with(answers, &[])
    }

    /// As [`check`](Self::check), where these commands were tried as well.
    fn check_with(
        &self,
        answers: [Result<Value, Failure>; 2],
        for_pushes: &[&str],
    ) -> Result<(), Failure> {
        let [by_name, tried] = answers;
        if let Err(failure) = by_name
            && failure.forbidden.is_some()
        {
            return Err(failure.with_hint(NOT_WITHOUT));
        }
        match tried {
            Ok(Value::Array(said)) => self.check_each(&said, for_pushes),
            Err(failure) if failure.forbidden.is_some() => Err(failure.with_hint(NOT_WITHOUT)),
            _ => Ok(()),
        }
    }

    fn try_each(&self) -> Cmd {
        let mut try_each = Cmd::new();
        try_each.arg("EVAL").arg(TRY_EACH).arg(0).arg(self.always);
        try_each
    }

    fn check_each(&self, said: &[Value], for_pushes: &[&str]) -> Result<(), Failure> {
        let (mut denied, mut unknown_ones) = (Vec::new(), Vec::new());
        let words = self.always.iter().chain(for_pushes);
        for (words, said) in words.zip(said) {
            let Value::BulkString(said) = said else { continue };
            let missing = match forbidden(&String::from_utf8_lossy(said)) {
                Some(Forbidden::Command(_)) => &mut denied,
                Some(Forbidden::Unknown(_)) => &mut unknown_ones,
                _ => continue,
            };
            missing.push(words.split(' ').next().unwrap_or_default().to_ascii_lowercase());
        }
        let (message, what) = match (denied.as_slice(), unknown_ones.as_slice()) {
            ([], []) => return Ok(()),
            (denied, []) => (lacking(denied), Forbidden::Command(None)),
            ([], missing) => (unknown(missing), Forbidden::Unknown(None)),
            (denied, missing) => {
                (format!("{}; {}", lacking(denied), unknown(missing)), Forbidden::Unknown(None))
            }
        };
        let mut failure = Failure::new(LockErrorKind::Denied, message).not_applied();
        failure.forbidden = Some(what);
        Err(failure)
    }
}

/// The failure of a request that named these keys, with the name of what was forbidden if the
/// server did not say it. `rule` is the rule that gives a key.
pub(crate) async fn named(
    failure: Failure,
    connection: &Connection,
    needs: Needs,
    (keys, rule): (&[&str], impl Fn(&str) -> String),
    deadline: Instant,
) -> Failure {
    let found = match &failure.forbidden {
        Some(Forbidden::Command(None) | Forbidden::Unknown(None)) => {
            missing_commands(connection, needs, deadline).await
        }
        Some(Forbidden::Key) => missing_keys(connection, keys, rule, deadline).await,
        _ => None,
    };
    match found {
        Some(message) => failure.with_message(message),
        None => failure,
    }
}

async fn missing_commands(
    connection: &Connection,
    needs: Needs,
    deadline: Instant,
) -> Option<String> {
    let mut asking = needs.try_each();
    let for_pushes = (needs.for_pushes)(connection.dialect());
    for words in for_pushes {
        asking.arg(words.replace('|', " "));
    }
    let tried = connection.send(asking, deadline).await;
    let missing = needs.check_with([Ok(Value::Nil), tried], for_pushes).err()?;
    Some(missing.message().to_owned())
}

async fn missing_keys(
    connection: &Connection,
    keys: &[&str],
    rule: impl Fn(&str) -> String,
    deadline: Instant,
) -> Option<String> {
    let mut asking = Pipeline::new();
    for key in keys {
        // It counts as a write, and changes nothing.
        asking.cmd("GETEX").arg(*key);
    }
    let answers = connection.send_all(&asking, deadline).await.ok()?;
    let is_forbidden = |answer: &Result<Value, Failure>| matches!(answer, Err(failure) if failure.forbidden == Some(Forbidden::Key));
    let missing = keys.iter().zip(&answers).filter(|(_, answer)| is_forbidden(answer));
    let (mut named, mut rules) = (Vec::new(), Vec::new());
    for (key, _) in missing {
        named.push(format!("{key:?}"));
        let rule = rule(key);
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    (!named.is_empty()).then(|| {
        let (key, it) = if named.len() == 1 { ("key", "it") } else { ("keys", "them") };
        let (named, rules) = (named.join(", "), rules.join(" "));
        format!("the server's access rules forbid the {key} {named}; allow {it} with {rules}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs {
        always: &["GETEX dl:?", "DEL dl:?", "TIME", "ZADD dl:? XX 0 -"],
        for_pushes: |_| &[],
    };

    fn checked(said: [&str; 4]) -> Result<(), Failure> {
        let said = said.map(|text| Value::BulkString(text.into())).into();
        NEEDS.check([Ok(Value::Nil), Ok(Value::Array(said))])
    }

    #[test]
    fn what_is_missing_is_named_with_its_rule() {
        checked(["", "READONLY You can't write", "", ""]).unwrap();
        let key = "ERR ACL failure in script: No permissions to access a key";
        checked([key, key, "", key]).unwrap();

        let denied = "@user_script: 8: The user executing the script can't run this command or";
        let text = checked(["", denied, "", denied]).unwrap_err();
        assert!(text.message().contains("the commands del, zadd"), "{text:?}");
        assert!(text.message().contains("+del +zadd"), "{text:?}");
        let text = checked(["", "", denied, ""]).unwrap_err();
        assert!(text.message().contains("+time"), "{text:?}");
        let text = checked(["ERR Unknown command called from script", denied, "", ""]).unwrap_err();
        assert!(text.message().contains("does not know the command getex"), "{text:?}");
        assert!(text.message().contains("+del"), "{text:?}");
    }

    #[test]
    fn a_server_that_cannot_tell_now_is_no_failure() {
        let loading = || Err(Failure::unavailable("the server is loading its data"));
        NEEDS.check([loading(), loading()]).unwrap();
        NEEDS.check([Ok(Value::Nil), Ok(Value::Int(7))]).unwrap();
    }
}

//! The Lua scripts that run on the server, in the dialect of its version.
//!
//! From Redis 7.0 on a script says in its first line what it may do: release and renewal are
//! allowed on a server that is out of memory, and no script may touch keys of two cluster slots.
//! Redis 6.2 takes that line for a syntax error.
//! From 7.0 on channels belong to a slot, and have commands of their own; the files are written with
//! the words of 6.2.

use std::sync::LazyLock;

use lock_core::Instant;
use lock_core::backend::GivenUp;
use redis::{Cmd, Value};

use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::hello::Dialect;

/// A script and its name on the server.
pub(crate) struct Script {
    pub(crate) text: String,
    sha1: String,
}

/// The scripts in one dialect.
pub(crate) struct Scripts {
    pub(crate) acquire: Script,
    pub(crate) release: Script,
    pub(crate) renew: Script,
    /// Compares and deletes, where the server has no command for that.
    pub(crate) delete: Script,
}

/// The common case comes first in each text; what the queue needs is defined behind it, since Lua
/// creates its functions in each run.
macro_rules! acquire {
    ($first_line:literal) => {
        concat!(
            $first_line,
            include_str!("scripts/draw.lua"),
            include_str!("scripts/acquire.lua"),
            include_str!("scripts/queue.lua"),
            include_str!("scripts/gap.lua"),
            include_str!("scripts/acquire_queued.lua"),
        )
    };
}

macro_rules! release {
    ($first_line:literal) => {
        concat!(
            $first_line,
            include_str!("scripts/draw.lua"),
            include_str!("scripts/release.lua"),
            include_str!("scripts/queue.lua"),
            include_str!("scripts/gap.lua"),
            include_str!("scripts/release_queued.lua"),
        )
    };
}

/// For Redis 7.0 and later, and for Valkey.
static REDIS_7: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    acquire: Script::new(Dialect::Redis7, acquire!("#!lua\n")),
    release: Script::new(Dialect::Redis7, release!("#!lua flags=allow-oom\n")),
    renew: Script::new(
        Dialect::Redis7,
        concat!("#!lua flags=allow-oom\n", include_str!("scripts/renew.lua")),
    ),
    delete: Script::new(
        Dialect::Redis7,
        concat!("#!lua flags=allow-oom\n", include_str!("scripts/delete.lua")),
    ),
});

/// For Redis 6.2.
///
/// There a script whose first write is harmless passes on a server that is out of memory, which
/// release and renewal use: their `GETEX` counts as a write.
static REDIS_6: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    acquire: Script::new(Dialect::Redis6, acquire!("")),
    release: Script::new(Dialect::Redis6, release!("")),
    renew: Script::new(Dialect::Redis6, include_str!("scripts/renew.lua")),
    delete: Script::new(Dialect::Redis6, include_str!("scripts/delete.lua")),
});

impl Scripts {
    /// The scripts as a server of this dialect takes them.
    pub(crate) fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Redis6 => &REDIS_6,
            Dialect::Redis7 => &REDIS_7,
        }
    }

    pub(crate) fn all(&self) -> [&Script; 4] {
        [&self.acquire, &self.release, &self.renew, &self.delete]
    }
}

impl Script {
    /// A script whose text is written with the words of 6.2, in this dialect.
    fn new(dialect: Dialect, text: &str) -> Self {
        let (from, to) = (Dialect::Redis6.channels(), dialect.channels());
        let quoted = |word: &str| format!("'{word}'");
        let text = text
            .replace(&quoted(from.publish), &quoted(to.publish))
            .replace(&quoted(from.count), &quoted(to.count));
        Self { sha1: redis::Script::new(&text).get_hash().to_owned(), text }
    }

    /// Runs the script by its name, or by its text if the server does not know the name.
    pub(crate) async fn run(
        &self,
        connection: &Connection,
        arguments: impl Fn(&mut Cmd) + Send + Sync,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        self.run_unless(None, connection, arguments, deadline).await
    }

    /// As [`run`](Self::run), for a request that need not be sent once it was given up.
    pub(crate) async fn run_unless(
        &self,
        given_up: Option<&GivenUp>,
        connection: &Connection,
        arguments: impl Fn(&mut Cmd) + Send + Sync,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let mut by_name = Cmd::with_capacity(8, 256);
        by_name.arg("EVALSHA").arg(self.sha1.as_str());
        arguments(&mut by_name);
        match connection.send_unless(given_up, by_name, deadline).await {
            Err(failure) if failure.script_is_missing => {
                let mut by_text = Cmd::new();
                by_text.arg("EVAL").arg(&self.text);
                arguments(&mut by_text);
                // The server remembers it from now on. In a place of its own, because it is rare.
                Box::pin(connection.send_unless(given_up, by_text, deadline)).await
            }
            result => result,
        }
    }

    /// The command that makes the server remember the script.
    fn load(&self) -> Cmd {
        let mut command = Cmd::new();
        command.arg("SCRIPT").arg("LOAD").arg(&self.text);
        command
    }
}

/// Commands that make a server of this dialect remember all scripts.
pub(crate) fn load_all(dialect: Dialect) -> Vec<Cmd> {
    Scripts::of(dialect).all().map(Script::load).into()
}

/// A command that changes nothing, if nobody uses this key, and that a server refuses when it refuses
/// writes.
pub(crate) fn try_writing(key: &str) -> Cmd {
    let mut command = redis::cmd("DEL");
    command.arg(key);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialects_differ_by_their_first_line_and_the_words_for_channels_only() {
        for (with_flags, without) in REDIS_7.all().into_iter().zip(REDIS_6.all()) {
            let (first, rest) = with_flags.text.split_once('\n').unwrap();
            assert!(first.starts_with("#!lua"));
            let plain = rest.replace("SPUBLISH", "PUBLISH").replace("SHARDNUMSUB", "NUMSUB");
            assert_eq!(plain, without.text);
            assert_ne!(with_flags.sha1, without.sha1);
            let pushes =
                |text: &str, words: [&str; 2]| words.map(|word| text.matches(word).count());
            let of_7 = pushes(rest, ["'SPUBLISH'", "'SHARDNUMSUB'"]);
            assert_eq!(of_7, pushes(&without.text, ["'PUBLISH'", "'NUMSUB'"]));
            assert_eq!(pushes(rest, ["'PUBLISH'", "'NUMSUB'"]), [0, 0]);
        }
        assert!(REDIS_7.acquire.text.contains("'SPUBLISH'"));
    }

    #[test]
    fn scripts_hold_no_tables_with_holes_nor_numbers_that_become_strings() {
        // A number of this size that is joined to a string loses digits (`1.7954e+15`): so only
        // what is text is joined.
        const TEXT: [&str; 12] = [
            "'min:' .. ARGV[1]",
            "'dl+' .. sub(owner, 4)",
            "'dl:' .. sub(owner, 4)",
            "(is_polled and 'dl*' or 'dl+') .. sub(owner, 4)",
            "'dl+' .. token",
            "'dl*' .. token",
            "(next and 'dl+' or 'dl:') .. first",
            "mark_of(turn, next) .. first.token",
            "'h ' .. next .. ' ' .. window",
            "'h ' .. next.token .. ' ' .. first.window",
            "'g ' .. first .. ' ' .. string.format('%d', number) .. ' ' .. window",
            "'g ' .. first.token .. ' ' .. number .. ' ' .. first.window",
        ];
        for script in REDIS_6.all() {
            for line in script.text.lines().filter(|line| line.contains(" .. ")) {
                let is_text = TEXT.iter().any(|text| line.contains(text));
                assert!(is_text || line.contains("grant .. ' ' .. next"), "{line}");
            }
        }
    }
}

//! What the scripts need of a server; each command as words that change nothing.

use crate::wire::hello::Dialect;
use crate::wire::permissions::Needs;

/// With a queue or without.
pub(crate) const ALL: Needs = Needs {
    always: &[
        "SET dl:? - XX PX 1",
        "GET dl:?",
        "GETEX dl:?",
        "DEL dl:?",
        "PTTL dl:?",
        "PEXPIRE dl:? 1",
        "TIME",
        "EXISTS dl:?",
        "ZADD dl:? XX 0 -",
        "ZREM dl:? -",
        "ZRANGE dl:? 0 0",
        "ZRANK dl:? -",
        "ZSCORE dl:? -",
    ],
    for_pushes: |dialect| match dialect {
        // Its access rules know no part of `PUBSUB` by name.
        Dialect::Redis6 => &["PUBSUB NUMSUB dl:?"],
        Dialect::Redis7 => &["PUBSUB|SHARDNUMSUB dl:?"],
    },
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::protocol::scripts::Scripts;

    fn first_words(needs: &[&'static str]) -> BTreeSet<&'static str> {
        needs.iter().map(|words| words.split(' ').next().unwrap()).collect()
    }

    /// The commands of a script's text, but for those that it can do without: those of pushes, and the
    /// cheaper way to draw a number.
    fn used_by(text: &str) -> BTreeSet<&str> {
        let calls = text.split("call('").skip(1);
        let names = calls.map(|behind| behind.split_once('\'').unwrap().0);
        names.filter(|name| !["PUBSUB", "SPUBLISH", "INCR"].contains(name)).collect()
    }

    #[test]
    fn every_command_of_the_scripts_is_asked_for_and_no_other() {
        let scripts = Scripts::of(Dialect::Redis7).all();
        let used: BTreeSet<&str> =
            scripts.iter().flat_map(|script| used_by(&script.text)).collect();
        assert_eq!(first_words(ALL.always), used);
    }
}

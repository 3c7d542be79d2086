//! What the scripts need of a server; each command as words that change nothing.

use crate::wire::hello::Dialect;
use crate::wire::permissions::Needs;

/// With a queue or without.
pub(crate) const OF_SCRIPTS: Needs = Needs {
    always: OF_PLAIN.always,
    unless_plain: &[
        "GET dl:?",
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

/// Locks that are taken by `SET NX` are released and renewed by scripts as well.
pub(crate) const OF_PLAIN: Needs = Needs {
    always: &[
        "SET dl:? - XX PX 1",
        "GETEX dl:?",
        "DEL dl:?",
        "PTTL dl:?",
        "PEXPIRE dl:? 1",
        "TIME",
    ],
    unless_plain: &[],
    for_pushes: |_| &[],
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::protocol::scripts::Scripts;

    fn first_words(needs: &[&'static str]) -> BTreeSet<&'static str> {
        needs.iter().map(|words| words.split(' ').next().unwrap()).collect()
    }

    /// The commands of a script's text, but for those of pushes, which it can do without.
    fn used_by(text: &str) -> BTreeSet<&str> {
        let calls = text.split("call('").skip(1);
        let names = calls.map(|behind| behind.split_once('\'').unwrap().0);
        names.filter(|name| !["PUBSUB", "SPUBLISH"].contains(name)).collect()
    }

    #[test]
    fn every_command_of_the_scripts_is_asked_for_and_no_other() {
        let scripts = Scripts::of(Dialect::Redis7).all();
        let used: BTreeSet<&str> =
            scripts.iter().flat_map(|script| used_by(&script.text)).collect();
        let asked = first_words(OF_SCRIPTS.always);
        assert_eq!(&asked | &first_words(OF_SCRIPTS.unless_plain), used);
    }

    #[test]
    fn the_plain_mode_asks_for_less() {
        // `EXISTS` asks for the queue, which no plain lock has.
        let scripts = Scripts::of(Dialect::Redis7);
        let renewal = used_by(&scripts.renew.text);
        assert!(first_words(OF_PLAIN.always).is_superset(&renewal));
        assert!(first_words(OF_SCRIPTS.always).is_superset(&first_words(OF_PLAIN.always)));
    }
}

//! Parts of a measurement that need processes of their own; the program runs itself for them.

pub(crate) mod child;
pub(crate) mod contest;
pub(crate) mod holder;
pub(crate) mod kept_alive;

use crate::failure::Failure;

/// Does what the words say if they are not a user's but those of a process that runs this program.
pub(crate) fn run(words: &[String]) -> Option<Result<(), Failure>> {
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [contest::CONTEND, party] => Some(contest::run(party)),
        [kept_alive::KEEP_ALIVE, order] => Some(kept_alive::run(order)),
        [holder::HOLD, url, name] => Some(holder::run(url, name)),
        _ => None,
    }
}

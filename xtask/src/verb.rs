//! What the verbs have in common: how they end, and what they say to arguments that they do not know.

/// How a verb ends if it does not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A check failed; the verb has said all there is to say.
    Reported,
    /// The work could not be done, for the reason given.
    Error(String),
    /// The arguments are wrong, for the reason given.
    Usage(String),
}

pub(crate) type Outcome = Result<(), Failure>;

/// Refuses arguments that a verb does not know.
pub(crate) fn no_more(arguments: &[String]) -> Outcome {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(Failure::Usage(format!("unexpected argument `{argument}`"))),
    }
}

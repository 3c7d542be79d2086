//! Turns the errors of tonic and of the sidecar into errors that a caller can act on.

use std::borrow::Cow;
use std::error::Error;

use lock_core::{LockError, LockErrorKind, message_text};
use tonic::{Code, ConnectError, Status};

/// Longer texts of others are cut to this length in our messages.
const MAX_QUOTED_CHARS: usize = 300;

/// As many hexadecimal digits in a row may be a part of an owner.
const MAX_DIGITS: usize = 15;

/// The beginnings of the sidecar's messages about its store.
const STORE_FAILED: [&str; 2] = ["failed to try acquiring lock", "failed to release lock"];
/// What a Redis behind the sidecar says of what it will not do later either.
const STORE_REFUSED: [&str; 6] = [
    "NOPERM",
    "NOAUTH",
    "WRONGPASS",
    "ACL failure in script",
    "can't run this command",
    "unknown command",
];

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct Failure {
    error: LockError,
    /// The channel cannot be used any more.
    pub(crate) breaks_channel: bool,
    /// The sidecar does not know the name of the store.
    is_about_store: bool,
}

impl Failure {
    pub(crate) fn new(kind: LockErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let error = LockError::new(kind, message);
        Self { error, breaks_channel: false, is_about_store: false }
    }

    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(LockErrorKind::Unavailable, message)
    }

    /// There was no answer before the deadline.
    pub(crate) fn no_answer(address: &str) -> Self {
        let message = format!("the sidecar at {address} did not answer in time");
        Self { breaks_channel: true, ..Self::unavailable(message) }
    }

    /// Marks it as proof that the store was not asked.
    pub(crate) fn not_applied(self) -> Self {
        Self { error: self.error.not_applied(), ..self }
    }

    pub(crate) fn into_error(self) -> LockError {
        self.error
    }

    pub(crate) fn is_not_applied(&self) -> bool {
        self.error.is_not_applied()
    }

    /// The same for an operation whose earlier requests may have had an effect, with a text in front
    /// that says what was being done.
    pub(crate) fn after_others(self, context: &str) -> Self {
        let message = format!("{context}: {}", self.error);
        Self { error: LockError::new(self.error.kind(), message).with_source(self.error), ..self }
    }

    /// Names the store in the message if the sidecar does not know it.
    pub(crate) fn about_store(self, store: &str) -> Self {
        if !self.is_about_store {
            return self;
        }
        let message = format!(
            "the sidecar has no lock store {}; add a component of type lock.redis with that \
             metadata.name, or correct the store's name",
            message_text::quoted(store)
        );
        let error = LockError::new(self.error.kind(), message).with_source(self.error);
        Self { error: error.not_applied(), ..self }
    }

    /// What a status means. The sidecar checks everything else before it asks its store, so most
    /// codes prove that the store was not asked.
    pub(crate) fn from_status(status: Status, address: &str) -> Self {
        // A status from the sidecar has no source; one that tonic makes for a broken connection does.
        let is_local = status.source().is_some() || status.code() == Code::Unknown;
        let refused =
            message_text::client_certificate(&innermost(&status), "sidecar", Some(address));
        let failure = if let Some(message) = refused {
            Failure::new(LockErrorKind::Denied, message).not_applied()
        } else if is_connect_error(&status) {
            not_connected(&innermost(&status), address).not_applied()
        } else if is_local && !is_refusal(status.code()) {
            let cause = innermost(&status);
            // The alert that says so can be lost when the sidecar closes the connection behind it.
            let perhaps = if address.starts_with("https://") {
                "; a sidecar that does not accept its clients' TLS certificates does that, too: see \
                 tls_cert_file"
            } else {
                ""
            };
            Self::unavailable(format!(
                "the connection to the sidecar at {address} failed: {cause}{perhaps}"
            ))
        } else {
            // Not as a source as well: what the store said may quote the owner.
            let failure = Self::said_by_sidecar(&status, address);
            return Self { breaks_channel: is_local, ..failure };
        };
        // A status says in its own words what our text quotes of it.
        let says_more = !failure.error.to_string().contains(&*innermost(&status));
        let error = if says_more { failure.error.with_source(status) } else { failure.error };
        Self { error, breaks_channel: is_local, ..failure }
    }

    fn said_by_sidecar(status: &Status, address: &str) -> Self {
        use LockErrorKind::{Denied, InvalidConfig, Unsupported};

        let said = quoted(status.message());
        match status.code() {
            Code::Unauthenticated => Self::new(
                Denied,
                "the sidecar refused the API token; set DAPR_API_TOKEN, or the builder's \
                 api_token, to the sidecar's own",
            )
            .not_applied(),
            Code::PermissionDenied => {
                let message = format!("the sidecar's access rules forbid it: {said}");
                Self::new(Denied, message).not_applied()
            }
            Code::FailedPrecondition => Self::new(
                InvalidConfig,
                "no lock store is configured in the sidecar: add a component of type lock.redis \
                 to its resources and restart it",
            )
            .not_applied(),
            Code::InvalidArgument => {
                let is_about_store = said.contains("lock store") && said.contains("not found");
                let message = format!("the sidecar refused the request: {said}");
                Self { is_about_store, ..Self::new(InvalidConfig, message).not_applied() }
            }
            Code::Unimplemented => Self::new(
                Unsupported,
                "the sidecar offers no locks here: allow the APIs lock.v1alpha1 and \
                 unlock.v1alpha1 if its configuration has an allow list, use Dapr 1.8 or later, \
                 and name its gRPC port",
            )
            .not_applied(),
            Code::Internal
                if STORE_FAILED.iter().any(|begin| said.starts_with(begin))
                    && STORE_REFUSED.iter().any(|words| said.contains(words)) =>
            {
                let message = format!(
                    "the sidecar's lock store is refused by its server: {said}; correct \
                     redisUsername and redisPassword in the component, or allow that user its \
                     keys and +set +get +del +eval"
                );
                Self::new(Denied, message)
            }
            Code::Internal if STORE_FAILED.iter().any(|begin| said.starts_with(begin)) => {
                Self::unavailable(format!("the sidecar's lock store failed: {said}"))
            }
            // Tonic reports this for every answer that it cannot read, whoever sent it.
            Code::Internal => Self::unavailable(format!(
                "the answer did not come from a sidecar: {said}; is {address} its gRPC port?"
            )),
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Aborted
            | Code::ResourceExhausted => {
                Self::unavailable(format!("the sidecar could not serve the request: {said}"))
            }
            code => {
                let message = format!("the sidecar answered {code:?}: {said}");
                Self::new(LockErrorKind::Backend, message)
            }
        }
    }
}

/// The sidecar's alerts about what this client showed, in the words of rustls.
fn not_connected(cause: &str, address: &str) -> Failure {
    if cause.contains("certificate") {
        return Failure::new(
            LockErrorKind::Denied,
            format!(
                "the TLS certificate of the sidecar at {address} was not accepted: {cause}; {}",
                message_text::about_server_certificate(cause)
            ),
        );
    }
    Failure::unavailable(format!(
        "no sidecar could be reached at {address}: {cause}; is it running, and is that its gRPC port?"
    ))
}

/// Codes that tonic also uses for an HTTP answer without a gRPC status.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented)
}

fn is_connect_error(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<ConnectError>())
}

/// The last cause, which is the most specific: "connection refused" and not "transport error".
fn innermost(status: &Status) -> Cow<'_, str> {
    match causes(status).last() {
        Some(cause) => quoted(&cause.to_string()).into_owned().into(),
        None => quoted(status.message()),
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    type Cause<'a> = &'a (dyn Error + 'static);

    fn behind<'a>(cause: &Cause<'a>) -> Option<Cause<'a>> {
        (*cause).source()
    }
    std::iter::successors(status.source(), behind)
}

/// What another said, as far as it can be shown: a server that does not know a command quotes its
/// arguments.
fn quoted(text: &str) -> Cow<'_, str> {
    let text = text.split(", with args").next().unwrap_or_default();
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let may_be_owner = |word: &str| word.split(|c| !is_digit(c)).any(|run| run.len() > MAX_DIGITS);
    if text.split(' ').any(may_be_owner) {
        let shown = text.split(' ').map(|word| if may_be_owner(word) { "…" } else { word });
        return cut(&shown.collect::<Vec<_>>().join(" ")).into_owned().into();
    }
    cut(text)
}

fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        None => text.into(),
        Some((end, _)) => format!("{} …", &text[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(code: Code, message: &str) -> Failure {
        Failure::from_status(Status::new(code, message), "127.0.0.1:1").about_store("lockstore")
    }

    #[test]
    fn the_message_says_what_to_do() {
        for (code, message, cure) in [
            (Code::InvalidArgument, "lock store x not found", "\"lockstore\"; add a component"),
            (Code::FailedPrecondition, "lock store is not configured", "type lock.redis"),
            (Code::Unauthenticated, "", "DAPR_API_TOKEN"),
            (Code::Unimplemented, "", "lock.v1alpha1"),
            (Code::Internal, "failed to try acquiring lock: EOF", "lock store failed: failed to"),
            (
                Code::Internal,
                "failed to release lock: NOPERM no 'eval'",
                "allow that user its keys",
            ),
            (Code::Internal, "failed to release lock: WRONGPASS invalid", "correct redisUsername"),
            (Code::Internal, "protocol error: what?", "is 127.0.0.1:1 its gRPC port?"),
            (Code::InvalidArgument, "LockOwner is empty", "refused the request: LockOwner"),
        ] {
            let message = from(code, message).error.to_string();
            assert!(message.contains(cure), "{message}");
        }
    }

    #[test]
    fn a_status_whose_text_is_quoted_is_not_told_again() {
        let quoted = from(Code::Internal, "failed to release lock: EOF").error;
        assert!(quoted.source().is_none(), "{quoted:?}");
    }

    #[test]
    fn an_owner_is_never_quoted() {
        let owner = "0123456789abcdef0123456789abcdef";
        for said in [
            format!("ERR unknown command 'set', with args beginning with: 'x' '{owner}' 'nx'"),
            format!("ERR cannot set x to '{owner}'"),
        ] {
            let failure = from(Code::Internal, &format!("failed to try acquiring lock: {said}"));
            let shown = format!("{:?} {}", failure.error, failure.error);
            assert!(shown.contains("lock store") && !shown.contains("0123"), "{shown}");
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let text = "ü".repeat(MAX_QUOTED_CHARS + 1);
        assert_eq!(quoted(&text).chars().count(), MAX_QUOTED_CHARS + 2);
        assert_eq!(quoted("short"), "short");
    }
}

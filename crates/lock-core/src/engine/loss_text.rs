//! Why a lease was lost, and what to do about it, for people.

use crate::machine::lease::Lease;
use crate::types::duration_text::exact;
use crate::types::loss::LossReason;

pub(crate) fn loss_text(reason: LossReason, lease: &Lease) -> String {
    match reason {
        LossReason::Expired => expired(lease),
        LossReason::HeldByOther => format!(
            "{reason}; its lease had ended in the store, or a program that does not ask for the \
             owner took it"
        ),
        LossReason::Removed => {
            format!("{reason}: it was deleted, or the store lost its data or evicted it")
        }
        LossReason::MaxHold => {
            format!("{reason}; raise max_hold if the work may take longer")
        }
        LossReason::ShutDown | LossReason::PassedOn => reason.to_string(),
    }
}

fn expired(lease: &Lease) -> String {
    let ttl = exact(lease.ttl());
    if lease.is_window() {
        // The store sets less than the ttl at first.
        "the store granted it for a short time at first, and did not confirm the rest of the ttl in \
         time"
            .to_owned()
    } else if lease.keeps_alive() {
        format!(
            "no renewal was confirmed within its ttl of {ttl}; if the store was unavailable for \
             that long, raise the ttl"
        )
    } else {
        format!(
            "its ttl of {ttl} ran out before it was released; raise the ttl above the longest time \
             that the work can take, or use keep_alive"
        )
    }
}

//! Asking several servers the same at once.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lock_core::Instant;
use lock_core::backend::{Clock, in_time};

use crate::wire::failure::Failure;

/// When enough have answered, the others are not waited for any longer: one of them may be gone, and
/// one may be the first to know of a failover.
const GRACE: Duration = Duration::from_millis(100);

/// What each of them answers by then, or why it said nothing. `enough` says of how many how many
/// answers are enough to wait no longer than a moment for the others.
pub(crate) async fn gather<T>(
    asking: impl IntoIterator<Item = impl Future<Output = Result<T, Failure>>>,
    enough: impl FnOnce(usize) -> usize,
    by: Instant,
) -> Vec<Result<T, Failure>> {
    let numbered = asking.into_iter().enumerate();
    let mut asking: FuturesUnordered<_> =
        numbered.map(|(place, asking)| async move { (place, asking.await) }).collect();
    let count = asking.len();
    let enough = enough(count);
    let mut said: Vec<Option<Result<T, Failure>>> = Vec::new();
    said.resize_with(count, || None);
    let (mut until, mut answered) = (by, 0);
    while let Some(Some((place, answer))) = in_time(until, asking.next()).await {
        answered += usize::from(answer.is_ok());
        said[place] = Some(answer);
        if answered >= enough {
            until = until.min(Clock::SYSTEM.now() + GRACE);
        }
    }
    let silent = || Err(Failure::unavailable("it did not answer in time"));
    said.into_iter().map(|answer| answer.unwrap_or_else(silent)).collect()
}

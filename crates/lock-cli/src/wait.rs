//! `distlock wait`: until a lock is free.

use std::time::{Duration, Instant};

use distlock::backend::Backoff;
use distlock::{LockOptions, LockStatus};

use crate::arguments::{self, WaitTime};
use crate::exit::{self, Ending, Failure};
use crate::output::Span;
use crate::store;

/// The pauses between two questions: a lock that is held for long is asked for once a second.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

pub(crate) async fn wait(arguments: &arguments::Wait) -> Result<Ending, Failure> {
    let began = Instant::now();
    let store = store::connect(&arguments.store, LockOptions::new()).await?;
    store.warn_if_private();
    let locks = store.locks;
    let lock = locks.lock(&*arguments.name);
    let mut asked = 0;
    while let Some(status) = lock.status().await? {
        let left = match arguments.wait {
            WaitTime::Forever => Duration::MAX,
            WaitTime::For(wait) => wait.saturating_sub(began.elapsed()),
        };
        if left.is_zero() {
            return Err(still_held(&arguments.name, &status, began.elapsed()));
        }
        tokio::time::sleep(PAUSES.jittered(asked).min(left)).await;
        asked += 1;
    }
    Ok(Ending::Code(exit::SUCCESS))
}

fn still_held(name: &str, status: &LockStatus, waited: Duration) -> Failure {
    let ends = match status.remaining {
        Some(remaining) => {
            format!("its lease ends in {}, unless it is renewed", Span(remaining))
        }
        None => "it has no expiry, so it must be released or deleted".to_owned(),
    };
    let waited = Span(waited);
    let by = match &status.holder {
        Some(holder) if !holder.has_released => format!(" by {holder}"),
        _ => String::new(),
    };
    let message = format!("lock {name:?} is still held after {waited}{by}; {ends}");
    Failure::new(exit::NOT_ACQUIRED, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_at_least_once_a_second() {
        for asked in 0..100 {
            assert!(PAUSES.jittered(asked) <= Duration::from_secs(1));
        }
    }
}

//! Waiting in tests: for an event and not for a time, and with an end.

use std::time::{Duration, Instant};

/// Far above what anything in a test takes, and still an end.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Whether something takes less than the limit, which is far from what it takes.
///
/// # Panics
///
/// If it takes longer; it is not waited for after four times the limit.
pub async fn soon<T>(limit: Duration, what: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let output = tokio::time::timeout(limit * 4, what).await;
    let took = begin.elapsed();
    match output {
        Ok(output) if took < limit => output,
        _ => panic!("it took {took:?}, and may take {limit:?}"),
    }
}

/// Asks until the answer is yes.
///
/// # Panics
///
/// If it is still no after twice the [`LIMIT`].
pub async fn until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT * 2, "in vain for {:?}", begin.elapsed());
        tokio::task::yield_now().await;
    }
}

//! A queue delivers the same order three times, and the customer is charged once.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use distlock::{FencingToken, LockConfig, LockService};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_env()?.default_url("memory:")?.connect().await?;
    let orders = Orders::default();

    // Twice at the same time, and once more later, as it happens with real queues.
    let (first, second) = tokio::join!(
        process(&locks, &orders, "prevent_duplicates:42"),
        process(&locks, &orders, "prevent_duplicates:42"),
    );
    let later = process(&locks, &orders, "prevent_duplicates:42").await?;

    let mut deliveries = [first?, second?];
    // Either of the two may have been first.
    deliveries.sort_unstable();
    println!("two deliveries at once: one was {}, one was {}", deliveries[0], deliveries[1]);
    println!("a delivery afterwards: {later}");
    println!("charges: {}", orders.charges());
    Ok(())
}

/// The lock prevents that two deliveries are processed at the same time. The record that is checked
/// under the lock prevents that they are processed one after the other. Both are needed.
async fn process(
    locks: &LockService,
    orders: &Orders,
    order: &str,
) -> Result<&'static str, Box<dyn Error>> {
    let outcome = locks
        .lock(order)
        .ttl(Duration::from_secs(30))
        .execute(async |lease| {
            if orders.is_charged(order) {
                return Ok("turned away");
            }
            // Stands for a call of the payment provider.
            tokio::task::yield_now().await;
            // If this process was paused for longer than its lease, it stops here and does not
            // charge again.
            lease.ensure_held()?;
            Ok(if orders.charge(order, lease.fencing_token()) { "charged" } else { "turned away" })
        })
        .await?;
    // `None`: another delivery is being processed. A real worker would put the message back.
    outcome.unwrap_or(Ok("turned away"))
}

/// Stands for a table of a database.
#[derive(Default)]
struct Orders(Mutex<HashMap<String, Option<FencingToken>>>);

impl Orders {
    fn is_charged(&self, order: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(order)
    }

    /// The table itself is the last protection: it refuses a write with an older fencing token.
    fn charge(&self, order: &str, token: Option<FencingToken>) -> bool {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.get(order).is_some_and(|newest| *newest >= token) {
            return false;
        }
        orders.insert(order.to_owned(), token);
        true
    }

    fn charges(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

//! A queue delivers the same order three times; the customer is charged once.

#![expect(clippy::print_stdout, reason = "an example tells its story on the terminal")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use distlock::{FencingToken, LockConfig, LockService};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_url("memory:")?.with_env()?.connect().await?;
    let orders = Orders::default();

    // Twice at the same time, and once more later, as queues do.
    let (first, second) = tokio::join!(
        process(&locks, &orders, "prevent_duplicates:42"),
        process(&locks, &orders, "prevent_duplicates:42"),
    );
    let later = process(&locks, &orders, "prevent_duplicates:42").await?;

    let mut deliveries = [first?, second?];
    // Which of the two came first is chance.
    deliveries.sort_unstable();
    println!("two deliveries at once: one was {}, one was {}", deliveries[0], deliveries[1]);
    println!("a delivery afterwards: {later}");
    println!("charges: {}", orders.charges());
    Ok(())
}

/// The lock keeps two deliveries from being processed at the same time; the record under the lock
/// keeps them from being processed one after the other. It takes both.
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
            // The payment provider is asked here; whatever happens meanwhile, the record tells.
            tokio::task::yield_now().await;
            // A holder that was paused past its lease stops here, and does not charge again.
            lease.ensure_held()?;
            Ok(if orders.charge(order, lease.fencing_token()) { "charged" } else { "turned away" })
        })
        .await?;
    // `None`: another delivery is in progress. A worker of a real queue puts the message back.
    outcome.unwrap_or(Ok("turned away"))
}

/// Stands for a table of a database.
#[derive(Default)]
struct Orders(Mutex<HashMap<String, Option<FencingToken>>>);

impl Orders {
    fn is_charged(&self, order: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(order)
    }

    /// The last line of defence is in the resource: it refuses a write with an older token.
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

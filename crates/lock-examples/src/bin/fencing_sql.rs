//! A writer that has lost its lock without noticing is refused by the database.
//!
//! No lease can keep a process from writing after it was stopped for longer than its lease: by a
//! pause of its machine, for example. The database can: it remembers the fencing token of the newest
//! write, and refuses an older one.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::time::Duration;

use distlock::{FencingToken, LockConfig};
use rusqlite::{Connection, params};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_env()?.default_url("memory:")?.connect().await?;
    let database = Connection::open_in_memory()?;
    database.execute_batch(
        "CREATE TABLE reports (
             name TEXT PRIMARY KEY,
             body TEXT NOT NULL,
             -- The fencing token of the newest write.
             token INTEGER NOT NULL
         )",
    )?;
    let lock = locks.lock("fencing_sql:report").wait(Duration::from_secs(10));

    // The first writer gets the lock, and is then stopped for longer than its lease.
    let first = lock.clone().ttl(Duration::from_millis(200)).acquire().await?;
    let old = first.fencing_token().ok_or("this store gives no fencing tokens")?;
    // The store lets the next one have the lock when the lease is over, and not before.
    let second = lock.ttl(Duration::from_secs(30)).acquire().await?;
    let new = second.fencing_token().ok_or("this store gives no fencing tokens")?;
    println!("the second writer writes: {}", write(&database, "by the second", new)?);

    // The first writer goes on where it was, without another look at its lease.
    println!("the first writer writes: {}", write(&database, "by the first", old)?);
    let body: String = database.query_row("SELECT body FROM reports", [], |row| row.get(0))?;
    println!("what stands there: {body}");
    second.release().await;
    Ok(())
}

/// Writes the report unless a newer holder of the lock has written it; whether it was written.
fn write(database: &Connection, body: &str, token: FencingToken) -> rusqlite::Result<bool> {
    // One statement, so that nothing comes between the comparison and the write. Equal tokens pass:
    // one holder may write more than once.
    let written = database.execute(
        "INSERT INTO reports (name, body, token) VALUES ('nightly', ?1, ?2)
         ON CONFLICT (name) DO UPDATE SET body = excluded.body, token = excluded.token
             WHERE excluded.token >= reports.token",
        params![body, token.get().cast_signed()],
    )?;
    Ok(written == 1)
}

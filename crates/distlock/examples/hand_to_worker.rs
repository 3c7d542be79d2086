//! A web handler takes the lock of an order, and a worker in another process finishes the work and
//! releases the lock. The handler learns that it does not hold it any more.
//!
//! The store must be one that both processes share: `DISTLOCK_URL`, or a Redis server on this machine.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use distlock::{Lock, LockConfig, LockToken};

/// Stands for the message that a queue carries from the handler to the worker.
struct Message {
    order: u32,
    lock: LockToken,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("worker") { worker().await } else { web().await }
}

/// The lock of an order. Both processes give it the same name; each has its own options.
async fn lock(order: u32) -> distlock::Result<Lock> {
    let config = LockConfig::from_url("redis://127.0.0.1:6379")?.with_env()?;
    let locks = config.connect().await?;
    Ok(locks.lock(format!("hand_to_worker:order:{order}")).ttl(Duration::from_secs(30)))
}

/// Answers a request, and leaves the work to the worker.
async fn web() -> Result<(), Box<dyn Error>> {
    let lock = lock(42).await?;
    let Some(guard) = lock.try_acquire().await? else {
        println!("web: the order is being worked on already");
        return Ok(());
    };
    println!("web: the order is mine");
    let (lease, fence) = (guard.lease(), guard.fencing_token());

    // From here on, whoever has the token has the lock.
    let message = Message { order: 42, lock: guard.into_token().await? };
    println!("web: do I still hold it? {}", outcome(lease.ensure_held()));
    println!("web: does the next request get it? {}", lock.try_acquire().await?.is_some());
    let worker_fence = tokio::task::spawn_blocking(move || send(&message)).await??;

    println!("web: is the worker's fencing token larger? {}", worker_fence > fence.map(u64::from));
    println!("web: do I hold it again? {}", outcome(lease.verify().await));
    println!("web: does the next request get it? {}", lock.try_acquire().await?.is_some());
    Ok(())
}

/// Does the work that another process was asked for.
async fn worker() -> Result<(), Box<dyn Error>> {
    let message = receive()?;
    // If the lease has run out meanwhile, this is an error: a lock that is free is not taken.
    let guard = lock(message.order).await?.keep_alive().adopt(&message.lock).await?;
    println!("worker: the order is mine");
    // … the work, fenced by this number …
    println!("worker: fencing token {}", guard.fencing_token().map_or(0, u64::from));
    println!("worker: done, and {}", guard.release().await);
    Ok(())
}

fn outcome(held: distlock::Result<()>) -> String {
    match held {
        Ok(()) => "yes".to_owned(),
        Err(error) => error.loss_reason().map_or("no".to_owned(), |reason| format!("no, {reason}")),
    }
}

/// Starts a worker and gives it the message by its standard input: arguments and environment are seen
/// by others, and the token is a secret. Returns the fencing token that the worker tells.
fn send(message: &Message) -> Result<Option<u64>, std::io::Error> {
    let mut worker = Command::new(std::env::current_exe()?)
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = worker.stdin.take() {
        write!(input, "{} {}", message.order, message.lock)?;
    }
    let output = worker.wait_with_output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let (fences, story): (Vec<&str>, Vec<&str>) =
        told.lines().partition(|line| line.contains("fencing token"));
    println!("{}", story.join("\n"));
    Ok(fences.first().and_then(|line| line.rsplit(' ').next()?.parse().ok()))
}

fn receive() -> Result<Message, Box<dyn Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let (order, lock) = text.trim().split_once(' ').ok_or("no message")?;
    Ok(Message { order: order.parse()?, lock: lock.parse()? })
}

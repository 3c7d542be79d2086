//! An HTTP service in which an order is charged once, however often and wherever it is posted, and
//! that ends without leaving a lock behind.
//!
//! `POST /orders/{id}/charge` may reach two instances at once, because a client, a proxy or a queue
//! has repeated it. The lock keeps the two apart; the record that is looked at under the lock keeps
//! the later one from doing the work again.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use distlock::{LockConfig, LockErrorKind, LockService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct App {
    locks: LockService,
    /// Stands for a table of a database that all instances share: the receipts of the charges.
    receipts: Arc<Mutex<HashMap<String, usize>>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let locks = LockConfig::from_env()?.default_url("memory:")?.connect().await?;
    let app = App { locks: locks.clone(), receipts: Arc::default() };

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let routes = Router::new().route("/orders/{id}/charge", post(charge)).with_state(app);
    let server = axum::serve(listener, routes)
        .with_graceful_shutdown(async move { stopped.cancelled().await });
    let server = tokio::spawn(async move { server.await });

    // The same order twice at once, and once more later. A real program would wait for a signal here.
    let (one, two) = tokio::join!(client(address), client(address));
    let (mut answers, later) = ([one?, two?], client(address).await?);
    answers.sort();
    println!("two requests at once: {} and {}", answers[0], answers[1]);
    println!("a request afterwards: {later}");

    // First the server, whose requests may still need their locks; then the locks.
    stop.cancel();
    server.await??;
    let report = locks.shutdown(Duration::from_secs(5)).await;
    println!("locks left behind: {}", report.unknown);
    Ok(())
}

async fn charge(State(app): State<App>, Path(id): Path<String>) -> (StatusCode, String) {
    let charged = app
        .locks
        .lock(format!("axum_service:order:{id}"))
        .ttl(Duration::from_secs(30))
        // The other request gets the same answer as soon as the first is done.
        .wait(Duration::from_secs(5))
        .execute(async |_lease| {
            if let Some(receipt) = app.receipt(&id) {
                return (StatusCode::OK, format!("receipt {receipt}, charged before"));
            }
            // Stands for a call of the payment provider.
            tokio::time::sleep(Duration::from_millis(50)).await;
            (StatusCode::CREATED, format!("receipt {}", app.enter(&id)))
        })
        .await;
    match charged {
        Ok(Some(answer)) => answer,
        // It is still being charged: the client may ask again.
        Ok(None) => (StatusCode::CONFLICT, "this order is being charged".to_owned()),
        // The lease was lost while it was charged, so nobody knows: the record will tell.
        Err(error) if error.kind() == LockErrorKind::Lost => {
            (StatusCode::GATEWAY_TIMEOUT, error.to_string())
        }
        // No lock, no charge: to charge without the lock would be worse than not to charge.
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

impl App {
    fn receipt(&self, id: &str) -> Option<usize> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    fn enter(&self, id: &str) -> usize {
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = receipts.len() + 1;
        receipts.insert(id.to_owned(), number);
        number
    }
}

/// Posts the order, and returns the status and the text of the answer.
async fn client(address: SocketAddr) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = "POST /orders/7/charge HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                   Connection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).unwrap_or("no status");
    let text = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    Ok(format!("{status} {text}"))
}

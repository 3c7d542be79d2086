//! Metrics for Prometheus, on an endpoint `/metrics`.
//!
//! With an address it works and serves until it is stopped, to be scraped by a Prometheus server:
//! `cargo run -p lock-examples --bin prometheus 127.0.0.1:9000`.
//! Without one it works for a moment, asks itself, and prints what it is told.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use distlock::{LockConfig, LockService};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Without buckets, the exporter computes quantiles itself, which cannot be summed over instances.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1_800.0];
const RATIOS: [f64; 7] = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The exporter first: a service asks for its metrics when it is first used.
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_ratio".to_owned()), &RATIOS)?
        .install_recorder()?;
    let locks = LockConfig::from_env()?
        .default_url("memory:")?
        // `order:42` and `order:43` are both counted as `order`.
        .metrics_label(|name| name.as_str().split(':').next().unwrap_or_default())
        .connect()
        .await?;

    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    let here = listener.local_addr()?;
    let app = Router::new().route("/metrics", get(async move || metrics.render()));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });

    if address.is_some() {
        println!("http://{here}/metrics");
        loop {
            // Also in an outage: that is when one looks at the metrics.
            if let Err(error) = work(&locks).await {
                println!("{error}");
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
    work(&locks).await?;
    for line in scrape(here).await?.lines().filter(|line| line.starts_with("distlock_")) {
        println!("{line}");
    }
    serving.abort();
    Ok(())
}

/// Something to see: orders that two want at once, a report, and a lock that is refused.
async fn work(locks: &LockService) -> distlock::Result<()> {
    let order = async |number: u32, takes: u64| {
        let lock = locks.lock(format!("order:{number}")).wait(Duration::from_secs(5));
        lock.execute(async |_lease| sleep(Duration::from_millis(takes)).await).await
    };
    let report = locks.lock("report").ttl(Duration::from_secs(3)).keep_alive();
    let report = report.execute(async |_lease| {
        let refused = locks.lock("report").try_acquire().await?;
        // Long enough for a renewal.
        sleep(Duration::from_millis(1_200)).await;
        Ok::<_, distlock::LockError>(refused.is_none())
    });
    tokio::try_join!(order(1, 30), order(1, 60), order(2, 10), order(2, 90), report)?;
    Ok(())
}

/// What a Prometheus server does.
async fn scrape(from: std::net::SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(from).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

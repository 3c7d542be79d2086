//! Traces for OpenTelemetry: a request, the acquisition of its lock, and the body under it.
//!
//! A program would export them to a collector, with `opentelemetry-otlp`; this one keeps them in memory
//! and prints them as a tree.

#![expect(clippy::print_stdout, reason = "an example prints what happens")]

use std::error::Error;

use distlock::LockConfig;
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, info_span};
use tracing_subscriber::layer::{Layer, SubscriberExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("shop"))
        // The library's spans have the level DEBUG.
        .with_filter(
            tracing_subscriber::filter::Targets::new()
                .with_target("distlock", LevelFilter::DEBUG)
                .with_default(LevelFilter::INFO),
        );
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(traces))?;

    let locks = LockConfig::from_env()?.default_url("memory:")?.connect().await?;
    let request = async {
        let lock = locks.lock("order:42");
        lock.execute(async |_lease| charge().await).await
    };
    let receipt = request.instrument(info_span!("POST /orders/42/payment")).await?;
    println!("receipt: {receipt:?}");

    provider.force_flush()?;
    print_below(&exporter.get_finished_spans()?, SpanId::INVALID, 0);
    Ok(())
}

/// Stands for what the body does, with a span of its own.
async fn charge() -> &'static str {
    async { "charged" }.instrument(info_span!("charge")).await
}

/// Prints the spans that are inside `parent`, with what they say of the lock.
fn print_below(spans: &[SpanData], parent: SpanId, depth: usize) {
    let mut inside: Vec<_> = spans.iter().filter(|span| span.parent_span_id == parent).collect();
    inside.sort_by_key(|span| span.start_time);
    for span in inside {
        let says = span.attributes.iter().filter_map(|said| match said.key.as_str() {
            key @ ("lock" | "outcome") => Some(format!(" {key}={}", said.value)),
            "fencing_token" => Some(" fencing_token=…".to_owned()),
            _ => None,
        });
        println!("{}{}{}", "  ".repeat(depth), span.name, says.collect::<String>());
        print_below(spans, span.span_context.span_id(), depth + 1);
    }
}

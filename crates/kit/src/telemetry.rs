//! Logs on stderr, filtered by `RUST_LOG`; traces by OTLP where an endpoint is configured.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Keeps the exporter; flushes when dropped.
#[derive(Debug, Default)]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::debug!(%error, "traces were not flushed");
        }
    }
}

/// What a service logs unless `RUST_LOG` says otherwise.
pub const SERVICE: &str = "info,async_nats=warn";
/// What a person's command logs unless `RUST_LOG` says otherwise.
pub const COMMAND: &str = "error,async_nats=off";

/// Starts logs, and traces when an endpoint is given. Call it once, inside the runtime.
///
/// # Errors
/// When the endpoint is no URL.
pub fn init(
    service: &'static str,
    filter: &str,
    endpoint: Option<&str>,
) -> Result<Guard, opentelemetry_otlp::ExporterBuildError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let logs = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(filter);
    let provider = endpoint.map(|endpoint| exporter(service, endpoint)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(service))
            .with_filter(EnvFilter::new("off,regreen::trace=debug"))
    });
    // Somebody has set a subscriber before: a test, most likely. Its choice stands.
    let _ = tracing_subscriber::registry().with(traces).with(logs).try_init();
    Ok(Guard { provider })
}

fn exporter(
    service: &'static str,
    endpoint: &str,
) -> Result<SdkTracerProvider, opentelemetry_otlp::ExporterBuildError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    let resource = opentelemetry_sdk::Resource::builder().with_service_name(service).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

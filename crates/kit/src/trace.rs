//! Spans that belong together across processes: a W3C `traceparent` travels from the webhook through the log to the
//! command. Without an OTLP endpoint a span costs nothing, and what came in is passed on as it is.

use std::{collections::HashMap, sync::Arc};

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Header of <https://www.w3.org/TR/trace-context/>.
pub const HEADER: &str = "traceparent";

/// A span of the work that `parent` is part of; it ends when it is dropped.
#[must_use]
pub fn span(name: &str, parent: Option<&str>) -> Span {
    let span = tracing::debug_span!(target: "regreen::trace", "work", otel.name = name);
    if let Some(parent) = parent.filter(|_| !span.is_disabled()) {
        let carrier = HashMap::from([(HEADER.to_owned(), parent.to_owned())]);
        // A parent that is no trace context starts a trace of its own.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
    }
    span
}

/// The context that work caused by this span gets; `parent` where nothing is traced here.
#[must_use]
pub fn context(span: &Span, parent: Option<&Arc<str>>) -> Option<Arc<str>> {
    let mut carrier = HashMap::new();
    if !span.is_disabled() {
        TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    }
    carrier.remove(HEADER).map(Arc::from).or_else(|| parent.cloned())
}

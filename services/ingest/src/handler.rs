//! `POST /webhooks/alertmanager`: stored before 200; 503 when it can't be.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use regreen_bus::{
    Bus, publish,
    writer::{NotStored, Writer},
};
use regreen_kit::{health::Health, trace};
use regreen_schemas::WIRE_VERSION;
use serde_json::json;

use crate::{
    auth::Auth,
    payload,
    payload::Parsed,
    rest::Rest,
    room::{self, Room},
};

/// Largest part of a bad alert that is kept for people.
const DEAD_BYTES_MAX: usize = 64 * 1024;

/// Why a request or an alert is refused.
const REASONS: [&str; 7] =
    ["credentials", "full", "too_large", "unreadable", "malformed", "not_stored", "bad_alert"];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// What the handler needs.
#[derive(Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

struct Inner {
    bus: Bus,
    auth: Auth,
    rest: Rest,
    room: Room,
    writers: HashMap<String, Writer>,
    received: Counter,
    refused: Family<Reason, Counter>,
}

impl Ingest {
    pub fn new(
        bus: &Bus,
        auth: Auth,
        rest: Rest,
        room: Room,
        writers: HashMap<String, Writer>,
        health: &Health,
    ) -> Self {
        let (received, refused) = (Counter::default(), Family::default());
        health.metrics(|registry| {
            registry.register("alerts_received", "Alerts stored", received.clone());
            registry.register("alerts_refused", "Requests and alerts refused, by reason", refused.clone());
        });
        for reason in REASONS {
            drop(refused.get_or_create(&Reason { reason }));
        }
        Self { inner: Arc::new(Inner { bus: bus.clone(), auth, rest, room, writers, received, refused }) }
    }

    fn refuse(&self, status: StatusCode, reason: &'static str, message: &str) -> Response {
        self.inner.refused.get_or_create(&Reason { reason }).inc();
        (status, format!("{message}\n")).into_response()
    }

    /// Stores a payload's alerts. What Alertmanager cut off is fetched where that is configured, once what is here is
    /// safe; what is missing even then is said in the fact, and told.
    async fn store(&self, writer: &Writer, parsed: &mut Parsed) -> Result<usize, NotStored> {
        let fetch = parsed.truncated() > 0 && self.inner.rest.configured();
        let missing = if fetch { 0 } else { parsed.truncated() };
        let mut stored = 0;
        for item in parsed.items(missing) {
            writer.store(&item).await?;
            stored += item.alerts.len();
        }
        if fetch {
            let found = self.inner.rest.fetch(parsed.receiver(), &parsed.group_labels).await;
            for item in parsed.rest(found) {
                writer.store(&item).await?;
                stored += item.alerts.len();
            }
        }
        if parsed.truncated() > 0 {
            tracing::warn!(
                truncated = parsed.truncated(),
                fetch,
                "Alertmanager cut alerts off: raise max_alerts of its receiver"
            );
        }
        Ok(stored)
    }

    /// Puts bad alerts where people find them. The answer is 200 all the same: Alertmanager would never send the
    /// good ones again.
    async fn dead(&self, bad: Vec<(String, String)>) -> Result<(), publish::Error> {
        for (text, why) in bad {
            self.inner.refused.get_or_create(&Reason { reason: "bad_alert" }).inc();
            let cut = &text[..text.floor_char_boundary(DEAD_BYTES_MAX)];
            let letter = json!({"v": WIRE_VERSION, "reason": why, "payload": cut}).to_string();
            let subject = self.inner.bus.names.dead_letter("ingest");
            self.inner.bus.port.publish(subject, publish::Headers::new(), letter.into()).await?;
        }
        Ok(())
    }
}

/// Takes a payload of Alertmanager in.
pub async fn alertmanager(
    State(ingest): State<Ingest>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(source) = ingest.inner.auth.who(&headers) else {
        let mut response = ingest.refuse(StatusCode::UNAUTHORIZED, "credentials", "wrong or no credentials");
        response.headers_mut().insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
        return response;
    };
    if ingest.inner.room.is_full() {
        return ingest.refuse(StatusCode::SERVICE_UNAVAILABLE, "full", room::FULL);
    }
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return ingest.refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "a body of more than 4 MB: set max_alerts",
            );
        }
        Err(error) => return ingest.refuse(error.status(), "unreadable", "the body can't be read"),
    };
    let parent: Option<Arc<str>> =
        headers.get(trace::HEADER).and_then(|value| value.to_str().ok()).map(Arc::from);
    let span = trace::span("webhook", parent.as_deref());
    let trace = trace::context(&span, parent.as_ref());
    let mut parsed = match payload::parse(&body, trace) {
        Ok(parsed) => parsed,
        Err(why) => return ingest.refuse(StatusCode::BAD_REQUEST, "malformed", &why),
    };
    let Some(writer) = ingest.inner.writers.get(source) else {
        return ingest.refuse(StatusCode::UNAUTHORIZED, "credentials", "wrong or no credentials");
    };
    let alerts = match ingest.store(writer, &mut parsed).await {
        Ok(alerts) => alerts,
        Err(NotStored::TooLarge { .. }) => {
            let message = "its alerts are too large together";
            return ingest.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message);
        }
        Err(error) => {
            tracing::warn!(%error, "a payload is not stored; Alertmanager is asked to come again");
            return ingest.refuse(StatusCode::SERVICE_UNAVAILABLE, "not_stored", "not stored: try again");
        }
    };
    if let Err(error) = ingest.dead(parsed.bad).await {
        tracing::warn!(%error, "bad alerts are not put aside yet");
        return ingest.refuse(StatusCode::SERVICE_UNAVAILABLE, "not_stored", "not stored: try again");
    }
    ingest.inner.received.inc_by(u64::try_from(alerts).unwrap_or(u64::MAX));
    StatusCode::OK.into_response()
}

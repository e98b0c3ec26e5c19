//! `POST /v1/events/{path}`: what playbooks' `webhook` triggers start on. Stored before 200; 503 when it can't be. Who has no
//! secret learns nothing; who has it learns what is wrong with the event.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
    routing::post,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use regreen_bus::{Bus, writer::Writer};
use regreen_kit::{health::Health, trace};
use regreen_schemas::{fact::Event, subject::FactKind};

use crate::{
    cloudevent::{self, Posted, Why},
    proof::Door,
    room::{self, Room},
};

/// Largest body that is read: data of 16 KB, however it is laid out, and what CloudEvents put around it.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long an event may wait for its place on disk before the sender is asked to come again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for all of it, below the ten seconds that GitHub waits.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// When whoever was refused for now may come again, in seconds.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What the handler needs.
struct Events {
    doors: BTreeMap<Arc<str>, (Door, Writer)>,
    room: Room,
    events: Family<Outcome, Counter>,
}

/// Why an event is not stored.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not found")]
    Path,
    #[error("wrong or no secret")]
    Secret { bearer: bool },
    #[error("{}", room::FULL)]
    Full,
    #[error("a body of more than {BODY_BYTES_MAX} bytes")]
    Large,
    #[error("the body can't be read")]
    Unreadable(StatusCode),
    #[error(transparent)]
    Event(#[from] Why),
    #[error("not stored: try again")]
    NotStored,
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Secret { .. } => StatusCode::UNAUTHORIZED,
            Self::Full | Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
            Self::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreadable(status) => *status,
            Self::Event(why) => why.status(),
        }
    }

    /// Its name among metrics.
    const fn word(&self) -> &'static str {
        match self {
            Self::Path => "unknown_path",
            Self::Secret { .. } => "secret",
            Self::Full => "full",
            Self::Large => "too_large",
            Self::Unreadable(_) => "unreadable",
            Self::Event(why) => why.word(),
            Self::NotStored => "not_stored",
        }
    }

    fn response(&self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        match self {
            Self::Secret { bearer: true } => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Full | Self::NotStored => {
                response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
            }
            _ => {}
        }
        response
    }
}

/// The route that takes events, at these doors.
pub fn router(bus: &Bus, doors: BTreeMap<Arc<str>, Door>, room: Room, health: &Health) -> Router {
    let events = Family::default();
    health.metrics(|registry| {
        registry.register("events", "Events from outside, by what became of them", events.clone());
    });
    let with_writer = |(path, door): (Arc<str>, Door)| {
        let writer = Writer::start(bus, FactKind::Event, &path, PATIENCE);
        (path, (door, writer))
    };
    let doors = doors.into_iter().map(with_writer).collect();
    Router::new()
        .route("/v1/events/{path}", post(take))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Events { doors, room, events }))
}

/// Takes an event.
async fn take(
    State(events): State<Arc<Events>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let parent = headers.get(trace::HEADER).and_then(|value| value.to_str().ok());
    let _span = trace::span("event", parent);
    let path = path.map(|Path(path)| path).unwrap_or_default();
    let outcome = events.store(&path, &headers, body).await;
    let word = outcome.as_ref().map_or_else(Refusal::word, |()| "stored");
    events.events.get_or_create(&Outcome { outcome: word }).inc();
    match outcome {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.response(),
    }
}

impl Events {
    /// Nothing is read of a body whose sender has not the secret.
    async fn store(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<(), Refusal> {
        let (path, (door, writer)) = self.doors.get_key_value(path).ok_or(Refusal::Path)?;
        if !door.opens(headers, body.as_deref().ok()) {
            // What can't be read can't be judged either: its size is all that is told.
            return Err(match body {
                Err(error) if !door.is_bearer() => unreadable(&error),
                _ => Refusal::Secret { bearer: door.is_bearer() },
            });
        }
        if self.room.is_full() {
            return Err(Refusal::Full);
        }
        let body = body.map_err(|error| unreadable(&error))?;
        let Posted { id, kind, source, data } = cloudevent::read(headers, &body).inspect_err(|why| {
            // Only what a sender of ours sent is worth a line.
            tracing::warn!(path = &**path, %why, "an event is not taken");
        })?;
        let event = Event { path: path.clone(), secret: door.secret.clone(), id, kind, source, data };
        let why: String = match tokio::time::timeout(ANSWER_MAX, writer.store(&event)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        tracing::warn!(path = &**path, why, "an event is not stored; its sender is asked to come again");
        Err(Refusal::NotStored)
    }
}

fn unreadable(error: &BytesRejection) -> Refusal {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::Large,
        status => Refusal::Unreadable(status),
    }
}

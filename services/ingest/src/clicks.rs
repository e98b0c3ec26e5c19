//! `POST /v1/slack/actions`: a click on Approve or Deny becomes an operator fact of source `slack`. Slack waits three
//! seconds: 200 when it is stored, else 503, and the person clicks again.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use regreen_bus::{Bus, rights::CLICKS, writer::Writer};
use regreen_kit::{clock, health::Health};
use regreen_schemas::{fact::Operator, subject::FactKind};
use secrecy::{ExposeSecret as _, SecretString};

use crate::slack::{self, Click, Why};

/// Largest body that is read.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long the server may take to store it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest wait for all of it, below the three seconds that Slack waits.
const ANSWER_MAX: Duration = Duration::from_millis(2500);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What the handler needs.
struct Clicks {
    secret: SecretString,
    writer: Writer,
    clicks: Family<Outcome, Counter>,
}

/// The route that takes clicks, for those signed with this secret.
pub fn router(bus: &Bus, secret: SecretString, health: &Health) -> Router {
    let clicks = Family::default();
    health.metrics(|registry| {
        registry.register(
            "slack_clicks",
            "Clicks on Slack's buttons, by what became of them",
            clicks.clone(),
        );
    });
    let writer = Writer::start(bus, FactKind::Operator, CLICKS, PATIENCE);
    Router::new()
        .route("/v1/slack/actions", post(take))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Clicks { secret, writer, clicks }))
}

/// What a person did, as it is stored.
fn fact(click: &Click) -> Operator {
    let Click { user, approve, run, instance, plan_hash } = click.clone();
    let user = Some(user.into());
    if approve {
        Operator::Approve { run, instance, plan_hash, user }
    } else {
        Operator::Deny { run, instance, plan_hash, reason: "".into(), user }
    }
}

/// Takes a click.
async fn take(
    State(clicks): State<Arc<Clicks>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return clicks.end(error.status(), "unreadable", "the body can't be read"),
    };
    let click = match clicks.read(&headers, &body) {
        Ok(click) => click,
        Err(why) => {
            let proven = matches!(why, Why::Form | Why::Foreign);
            let status = if proven { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED };
            // Only what Slack itself sent is worth a line: anybody can send the rest, as often as they like.
            if proven {
                tracing::warn!(%why, "a click is not taken");
            }
            return clicks.end(status, why.word(), &why.to_string());
        }
    };
    match tokio::time::timeout(ANSWER_MAX, clicks.writer.store(&fact(&click))).await {
        Ok(Ok(_)) => {
            tracing::info!(run.id = %click.run, user = click.user, approve = click.approve, "a click is stored");
            clicks.end(StatusCode::OK, "stored", "")
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "a click is not stored; the person is asked to click again");
            clicks.end(StatusCode::SERVICE_UNAVAILABLE, "not_stored", "not stored: try again")
        }
        Err(_) => {
            tracing::warn!("a click is not stored in time; the person is asked to click again");
            clicks.end(StatusCode::SERVICE_UNAVAILABLE, "not_stored", "not stored: try again")
        }
    }
}

impl Clicks {
    /// Nothing is read of a body that Slack did not sign.
    fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<Click, Why> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (sent, signature) = (header("x-slack-request-timestamp"), header("x-slack-signature"));
        let secret = self.secret.expose_secret().as_bytes();
        slack::verify(secret, sent, body, signature, clock::wall())?;
        slack::answer(body)
    }

    fn end(&self, status: StatusCode, outcome: &'static str, text: &str) -> Response {
        self.clicks.get_or_create(&Outcome { outcome }).inc();
        if text.is_empty() { status.into_response() } else { (status, format!("{text}\n")).into_response() }
    }
}

//! What people would have got, on one page: it speaks Slack's and PagerDuty's way, takes e-mail and webhooks, keeps
//! the newest, and sends nothing on. It checks no credentials: it stands in a lab.

mod kept;
mod smtp;

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Html,
    routing::{get, post},
};
use kept::{Kept, Way};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// `regreen-simcloud page`.
#[derive(clap::Args)]
pub struct Options {
    /// Where the page is, and where Slack (/slack), PagerDuty (/pagerduty) and webhooks (/webhook) are posted.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where e-mail is taken.
    #[arg(long, default_value = "127.0.0.1:2525")]
    smtp: SocketAddr,
}

/// Runs it until it is killed.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let kept = Kept::default();
    let letters = bind(options.smtp).await?;
    let page = bind(options.listen).await?;
    tracing::info!(page = %page.local_addr()?, smtp = %letters.local_addr()?, "the page is there");
    tokio::try_join!(smtp::serve(letters, kept.clone()), async {
        Ok(axum::serve(page, routes(kept)).await?)
    })?;
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{address} can't be listened on"))
}

fn routes(kept: Kept) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/messages", get(async |State(kept): State<Kept>| Json(kept.all())))
        .route("/slack/{method}", post(slack))
        .route("/pagerduty/v2/enqueue", post(pagerduty))
        .route("/webhook/{receiver}", post(webhook))
        .with_state(kept)
}

/// A message of Slack's has a place and a time, by which it is brought up to date.
async fn slack(State(kept): State<Kept>, Path(method): Path<String>, Json(body): Json<Value>) -> Json<Value> {
    if !["chat.postMessage", "chat.update"].contains(&method.as_str()) {
        return Json(json!({"ok": false, "error": "unknown_method"}));
    }
    let channel = body["channel"].as_str().unwrap_or_default().to_owned();
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    let said = body["ts"].as_str().map(str::to_owned);
    let title = format!("{channel} ({method})");
    let n = kept.keep(Way::Slack, title, text, body);
    let ts = said.unwrap_or_else(|| format!("{n}.000000"));
    Json(json!({"ok": true, "channel": channel, "ts": ts}))
}

async fn pagerduty(State(kept): State<Kept>, Json(mut body): Json<Value>) -> (StatusCode, Json<Value>) {
    let key = body["dedup_key"].clone();
    let title = format!("{} {}", word(&body["event_action"]), word(&key));
    let text = word(&body["payload"]["summary"]).to_owned();
    // It is a secret, also in a lab.
    body["routing_key"] = "…".into();
    kept.keep(Way::Pagerduty, title, text, body);
    (StatusCode::ACCEPTED, Json(json!({"status": "success", "message": "Event processed", "dedup_key": key})))
}

async fn webhook(State(kept): State<Kept>, Path(receiver): Path<String>, Json(body): Json<Value>) {
    let text = word(&body["text"]).to_owned();
    kept.keep(Way::Webhook, receiver, text, body);
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

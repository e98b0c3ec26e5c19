//! Where Slack and PagerDuty would be: doubles on loopback that take what is told, so that the shipped policy stays as it is
//! and the drill knows who was woken.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use regreen_kit::clock;
use regreen_schemas::Timestamp;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// When it came.
    pub at: Timestamp,
    /// What it says.
    pub text: String,
}

/// Pages that came.
type Pages = Arc<Mutex<Vec<Page>>>;

/// The doubles; they end with this.
pub struct Desk {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    pages: Pages,
    task: JoinHandle<()>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Desk {
    /// Opens it.
    pub async fn open() -> anyhow::Result<Self> {
        let pages = Pages::default();
        let app = Router::new()
            .route("/v2/enqueue", post(enqueue))
            .route("/api/chat.postMessage", post(chat))
            .route("/api/chat.update", post(chat))
            .with_state(pages.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            // It ends with the drill alone; what it could not take, the log of decisions says.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, pages, task })
    }

    /// Pages that came after a moment.
    pub fn since(&self, moment: Timestamp) -> Vec<Page> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.iter().filter(|page| page.at >= moment).cloned().collect()
    }
}

/// PagerDuty's Events API v2. Only what triggers wakes somebody.
async fn enqueue(State(pages): State<Pages>, Json(event): Json<Value>) -> (StatusCode, Json<Value>) {
    if event["event_action"] == "trigger" {
        let text = event["payload"]["summary"].as_str().unwrap_or_default().to_owned();
        let page = Page { at: clock::wall(), text };
        pages.lock().unwrap_or_else(PoisonError::into_inner).push(page);
    }
    let answer = json!({"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]});
    (StatusCode::ACCEPTED, Json(answer))
}

/// Slack's methods that post and edit.
async fn chat(Json(message): Json<Value>) -> Json<Value> {
    let ts = message.get("ts").cloned().unwrap_or_else(|| format!("{}.000000", clock::wall().0).into());
    Json(json!({"ok": true, "channel": message["channel"], "ts": ts}))
}

//! The world that is acted on: counts what was really done, by alert, and tells it to whoever looks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde_json::{Value, json};

/// The answer comes so long after the effect: there is always somebody in between.
const ANSWERS_AFTER: Duration = Duration::from_millis(1000);

/// How often each alert was acted on.
pub type Effects = Arc<Mutex<BTreeMap<String, u32>>>;

/// Starts it and returns its address with its effect log.
pub async fn start() -> (String, Effects) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let effects = Effects::default();
    let app = Router::new()
        .route("/act/{alert}", get(act))
        .route("/look/{alert}", get(look))
        .with_state(effects.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, effects)
}

async fn act(State(effects): State<Effects>, Path(alert): Path<String>) -> Json<Value> {
    *effects.lock().expect("no handler panics").entry(alert).or_default() += 1;
    tokio::time::sleep(ANSWERS_AFTER).await;
    Json(json!({"done": true}))
}

async fn look(State(effects): State<Effects>, Path(alert): Path<String>) -> Json<Value> {
    let count = effects.lock().expect("no handler panics").get(&alert).copied().unwrap_or_default();
    Json(json!({"effects": count}))
}

//! The node's clients: Elasticsearch's API, as far as probes, runners and drills use it. What is not here is refused.

mod cluster;
mod document;
mod filter;
mod health;
mod index;
mod nodes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Query, Request},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{change::Change, errors::Refused, model::millis, node::Node, wire::Outcome};

/// How long a change of the cluster waits for a master, where the client does not say.
const MASTER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a write waits.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// The largest answer that is filtered.
const ANSWER_MAX: usize = 64 << 20;

/// What follows the question mark.
type Params = Query<BTreeMap<String, String>>;
type Of = axum::extract::State<Arc<Node>>;

/// The whole API.
pub fn routes(node: Arc<Node>) -> Router {
    let index = get(index::show).put(index::make).delete(index::drop);
    let one = get(document::get).put(document::put).post(document::put).delete(document::delete);
    let settings = get(cluster::settings).put(cluster::change_settings);
    let exclusions = post(cluster::exclude).delete(cluster::forget_exclusions);
    Router::new()
        .route("/", get(nodes::root))
        .route("/_cluster/health", get(health::all))
        .route("/_cluster/health/{index}", get(health::some))
        .route("/_cluster/settings", settings)
        .route("/_cluster/voting_config_exclusions", exclusions)
        .route("/_cluster/state", get(cluster::state))
        .route("/_cluster/state/{metric}", get(cluster::state_of))
        .route("/_nodes", get(nodes::all))
        .route("/_nodes/{which}", get(nodes::some))
        .route("/_nodes/{which}/{metric}", get(nodes::part))
        .route("/_refresh", get(index::refresh_all).post(index::refresh_all))
        .route("/_search", get(document::search_all).post(document::search_all))
        .route("/_stats", get(index::stats_all))
        .route("/_stats/{metric}", get(index::stats_all))
        .route("/{index}", index)
        .route("/{index}/_settings", get(index::settings).put(index::change_settings))
        .route("/{index}/_refresh", get(index::refresh).post(index::refresh))
        .route("/{index}/_search", get(document::search).post(document::search))
        .route("/{index}/_count", get(document::count).post(document::count))
        .route("/{index}/_doc", post(document::add))
        .route("/{index}/_doc/{id}", one)
        .route("/{index}/_create/{id}", put(document::create).post(document::create))
        .fallback(no_handler)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(dress))
        .with_state(node)
}

async fn no_handler(method: Method, uri: Uri) -> Response {
    let error = format!("no handler found for uri [{uri}] and method [{method}]");
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let error = format!("Incorrect HTTP method for uri [{uri}] and method [{method}]");
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({"error": error, "status": 405}))).into_response()
}

/// What every answer wears; and of it only what `filter_path` wants.
async fn dress(Query(params): Params, request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    answer.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    let Some(paths) = params.get("filter_path") else { return answer };
    let (mut parts, body) = answer.into_parts();
    let body = match to_bytes(body, ANSWER_MAX).await {
        Ok(body) => body,
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let filtered = match serde_json::from_slice::<Value>(&body) {
        Ok(value) => Bytes::from(filter::filter(&value, paths).to_string()),
        Err(_) => body,
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(filtered))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body())).into_response()
    }
}

/// Has a change done.
async fn submit(node: &Arc<Node>, change: Change, patience: Duration) -> Response {
    match node.submit(change, patience).await {
        Outcome::Done { body: Value::Null, .. } => StatusCode::OK.into_response(),
        Outcome::Done { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Json(body)).into_response()
        }
        Outcome::Refused(refused) => refused.into_response(),
        Outcome::NotMaster => Refused::no_master().into_response(),
    }
}

/// A span among the parameters.
fn span(params: &BTreeMap<String, String>, keys: &[&str], default: Duration) -> Result<Duration, Refused> {
    let Some((key, text)) = keys.iter().find_map(|key| Some((key, params.get(*key)?))) else {
        return Ok(default);
    };
    let wrong =
        || Refused::argument(&format!("failed to parse setting [{key}] with value [{text}] as a time value"));
    let millis = millis(text).ok_or_else(wrong)?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// A flag among the parameters.
fn flag(params: &BTreeMap<String, String>, key: &str) -> bool {
    params.get(key).is_some_and(|value| value.is_empty() || value == "true")
}

/// Waits for a master, as whatever asks it must.
async fn has_master(node: &Node, params: &BTreeMap<String, String>) -> Result<(), Refused> {
    if flag(params, "local") {
        return Ok(());
    }
    let until = std::time::Instant::now() + span(params, &["master_timeout"], MASTER_PATIENCE)?;
    while node.see(|member| member.master().is_none()) {
        let left = until.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Err(Refused::no_master());
        }
        node.turn(left.min(super::node::BEAT)).await;
    }
    Ok(())
}

/// Reads a body; an empty one is that of nothing.
fn body<T: DeserializeOwned + Default>(bytes: &Bytes) -> Result<T, Refused> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(bytes).map_err(|error| Refused::parsing(&error.to_string()))
}

//! DigitalOcean's API v2, as far as droplets go: a file a resource. What every request passes is here.

pub mod account;
pub mod actions;
pub mod droplet_actions;
pub mod droplets;
pub mod errors;
mod page;
pub mod show;
mod snapshots;
mod tags;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Query, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::errors::Refused;
use super::{
    Cloud,
    fault::{Fault, When},
    line::Cut,
};

/// Requests in an hour.
const LIMIT: u64 = 5000;
/// Seconds until a client that was told to wait may come again.
const RETRY_AFTER: u32 = 1;
const HOUR: i64 = 3600;

type Of = State<Arc<Cloud>>;
type Params = Query<BTreeMap<String, String>>;

/// The id of a request: on its answer, and beside what it did.
#[derive(Clone)]
pub struct RequestId(pub String);

pub fn routes(cloud: Arc<Cloud>) -> Router {
    let one_tag = get(tags::show).delete(tags::drop);
    let resources = axum::routing::post(tags::add).delete(tags::remove);
    Router::new()
        .route("/v2/account", get(account::show))
        .route("/v2/actions", get(actions::all))
        .route("/v2/actions/{action}", get(actions::one))
        .route("/v2/droplets", get(droplets::all).post(droplets::create).delete(droplets::destroy_tagged))
        .route("/v2/droplets/actions", axum::routing::post(droplet_actions::begin_tagged))
        .route("/v2/droplets/{droplet}", get(droplets::one).delete(droplets::destroy))
        .route("/v2/droplets/{droplet}/actions", get(droplet_actions::all).post(droplet_actions::begin))
        .route("/v2/droplets/{droplet}/actions/{action}", get(droplet_actions::one))
        .route("/v2/droplets/{droplet}/snapshots", get(snapshots::of_droplet))
        .route("/v2/snapshots", get(snapshots::all))
        .route("/v2/snapshots/{snapshot}", get(snapshots::one).delete(snapshots::drop))
        .route("/v2/tags", get(tags::all).post(tags::make))
        .route("/v2/tags/{tag}", one_tag)
        .route("/v2/tags/{tag}/resources", resources)
        .fallback(async || Refused::not_found())
        .layer(middleware::from_fn_with_state(cloud.clone(), gate))
        .with_state(cloud)
}

/// What every request passes: faults, its token, the limit; and what every answer wears.
async fn gate(
    State(cloud): Of,
    ConnectInfo(cut): ConnectInfo<Cut>,
    mut request: Request,
    next: Next,
) -> Response {
    let count = cloud.requests.fetch_add(1, Ordering::SeqCst);
    let id = format!("{:08x}-0000-4000-8000-{count:012x}", std::process::id());
    request.extensions_mut().insert(RequestId(id.clone()));
    let fault = cloud.faults.take(request.method(), request.uri().path());
    let limited = cloud.limit.take();
    let answer = match &fault {
        Some(fault) if fault.when == When::Before => faulty(fault, &cut),
        _ if !known(&cloud, &request) => Refused::unauthorized().into_response(),
        _ if limited.remaining == 0 => Refused::too_many_requests().into_response(),
        Some(fault) => {
            // It takes place; what is told of it is wrong.
            drop(next.run(request).await);
            faulty(fault, &cut)
        }
        None => spoken(next.run(request).await),
    };
    dress(answer, &id, limited).await
}

/// What the router refuses, in the API's words: an id that is no number is not found.
fn spoken(answer: Response) -> Response {
    match answer.status() {
        StatusCode::BAD_REQUEST => Refused::not_found().into_response(),
        StatusCode::METHOD_NOT_ALLOWED => Refused::method_not_allowed().into_response(),
        _ => answer,
    }
}

fn known(cloud: &Cloud, request: &Request) -> bool {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|text| text.strip_prefix("Bearer ")) == Some(cloud.token.as_str())
}

fn faulty(fault: &Fault, cut: &Cut) -> Response {
    if fault.status == 0 {
        cut.cut();
    }
    match &fault.body {
        Some(text) => {
            let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, [(header::CONTENT_TYPE, "text/html")], text.clone()).into_response()
        }
        None => Refused::of(fault.status).into_response(),
    }
}

/// The request's id, also in the body of an error, and the limit's headers.
async fn dress(answer: Response, id: &str, limited: Limited) -> Response {
    let refused = answer.status() == StatusCode::TOO_MANY_REQUESTS;
    let json = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let mut answer =
        if json && !answer.status().is_success() { with_request_id(answer, id).await } else { answer };
    let headers = answer.headers_mut();
    let remaining = if refused { 0 } else { limited.remaining.saturating_sub(1) };
    let reset = if refused { limited.now + i64::from(RETRY_AFTER) } else { limited.reset };
    for (name, value) in [
        ("ratelimit-limit", LIMIT.to_string()),
        ("ratelimit-remaining", remaining.to_string()),
        ("ratelimit-reset", reset.to_string()),
    ] {
        headers.insert(name, HeaderValue::from_str(&value).expect("invariant: a number is a header"));
    }
    headers.insert("x-request-id", HeaderValue::from_str(id).expect("invariant: an id is a header"));
    if refused {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    answer
}

async fn with_request_id(answer: Response, id: &str) -> Response {
    let (mut parts, body) = answer.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else { return parts.status.into_response() };
    value["request_id"] = id.into();
    parts.headers.remove(header::CONTENT_LENGTH);
    (parts, Json(value)).into_response()
}

/// The hour's requests, counted for all clients together: there is one token.
pub struct Limit(std::sync::Mutex<(i64, u64)>);

/// What is left, before this request.
#[derive(Clone, Copy)]
pub struct Limited {
    remaining: u64,
    now: i64,
    reset: i64,
}

impl Limit {
    pub fn new() -> Self {
        Self(std::sync::Mutex::new((0, 0)))
    }

    fn take(&self) -> Limited {
        let now = show::now() / 1000;
        let mut hour = self.0.lock().expect("invariant: nobody panics with the count in hand");
        if now >= hour.0 {
            *hour = (now + HOUR, 0);
        }
        let remaining = LIMIT.saturating_sub(hour.1);
        hour.1 += 1;
        Limited { remaining, now, reset: hour.0 }
    }
}

/// Reads a body.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map_err(|error| Refused::unprocessable(&format!("the body: {error}")))
}

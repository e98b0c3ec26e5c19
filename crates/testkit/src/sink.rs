//! An HTTP service with an effect log: what was really done to the world, by which request. The oracle of every
//! story. Its answers can be made to fail, to hang, and to be lost after the effect.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// `POST /repair`.
    pub request: String,
    /// The body as it came.
    pub body: String,
    /// The `Idempotency-Key` header, if any.
    pub key: Option<String>,
}

/// How the sink answers a request that changes something.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Does it and says so.
    Done,
    /// Does it and never answers.
    DoneThenSilent,
    /// Does nothing and never answers.
    Silent,
    /// Does nothing and answers with this status.
    Refuse(u16),
    /// Does nothing, and asks to be left alone for so many seconds.
    Busy(u32),
    /// Does it after a while.
    Slow(Duration),
}

#[derive(Debug, Default)]
struct Inner {
    effects: Mutex<Vec<Effect>>,
    answers: Mutex<VecDeque<Answer>>,
    health: Mutex<u16>,
    heals: Mutex<bool>,
    calls: AtomicUsize,
}

/// A running sink. `GET` answers its health, everything else is an effect.
#[derive(Clone, Debug)]
pub struct Sink {
    port: u16,
    inner: Arc<Inner>,
}

impl Sink {
    /// Starts one: healthy, and every answer is `Done`.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let inner = Arc::new(Inner { health: Mutex::new(200), ..Inner::default() });
        let app = Router::new().fallback(handle).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, inner }
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that was done, in order.
    ///
    /// # Panics
    /// When a handler panicked.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.inner.effects.lock().expect("no handler panics").clone()
    }

    /// How many requests for an effect have come, answered or not.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.inner.calls.load(Ordering::SeqCst)
    }

    /// The next answers, one a request; `Done` when there is none.
    ///
    /// # Panics
    /// When a handler panicked.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inner.answers.lock().expect("no handler panics").extend(answers);
    }

    /// Breaks it: `GET` answers this status; with `heals`, the next effect repairs it.
    ///
    /// # Panics
    /// When a handler panicked.
    pub fn break_health(&self, status: u16, heals: bool) {
        *self.inner.health.lock().expect("no handler panics") = status;
        *self.inner.heals.lock().expect("no handler panics") = heals;
    }
}

async fn handle(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::GET {
        let status = *inner.health.lock().expect("no handler panics");
        let count = inner.effects.lock().expect("no handler panics").len();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return (status, axum::Json(serde_json::json!({"effects": count}))).into_response();
    }
    inner.calls.fetch_add(1, Ordering::SeqCst);
    let answer = inner.answers.lock().expect("no handler panics").pop_front().unwrap_or(Answer::Done);
    if let Answer::Refuse(status) = answer {
        return StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
    }
    if let Answer::Busy(seconds) = answer {
        let wait = [(header::RETRY_AFTER, seconds.to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, wait).into_response();
    }
    if matches!(answer, Answer::Silent) {
        std::future::pending::<()>().await;
    }
    if let Answer::Slow(pause) = answer {
        tokio::time::sleep(pause).await;
    }
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(String::from);
    let body = String::from_utf8_lossy(&body).into_owned();
    inner.effects.lock().expect("no handler panics").push(Effect {
        request: format!("{method} {}", uri.path()),
        body,
        key,
    });
    if *inner.heals.lock().expect("no handler panics") {
        *inner.health.lock().expect("no handler panics") = 200;
    }
    if matches!(answer, Answer::DoneThenSilent) {
        std::future::pending::<()>().await;
    }
    axum::Json(serde_json::json!({"done": true})).into_response()
}

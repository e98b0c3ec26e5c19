//! `/healthz` (the process runs), `/readyz` (every part says yes, or which says no and why), `/metrics`, and
//! `POST /-/reload` where a process has something to read again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

/// What the parts of a process say about themselves.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
    registry: Arc<Mutex<Registry>>,
    reload: Arc<Mutex<Option<mpsc::Sender<Reload>>>>,
}

/// Somebody wants the configuration read again, and waits for what is wrong with it.
pub type Reload = oneshot::Sender<Result<(), String>>;

impl Health {
    /// A part says how it is.
    ///
    /// # Panics
    /// When another part panicked while it spoke.
    pub fn say(&self, part: &'static str, state: Result<(), String>) {
        self.parts.lock().expect("invariant: nobody panics while speaking").insert(part, state);
    }

    /// What does not work, in a line each; empty when all is well.
    ///
    /// # Panics
    /// When another part panicked while it spoke.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let parts = self.parts.lock().expect("invariant: nobody panics while speaking");
        parts
            .iter()
            .filter_map(|(part, state)| state.as_ref().err().map(|why| format!("{part}: {why}")))
            .collect()
    }

    /// Registers metrics, under `regreen_`.
    ///
    /// # Panics
    /// When another part panicked while it registered.
    pub fn metrics(&self, register: impl FnOnce(&mut Registry)) {
        let mut registry = self.registry.lock().expect("invariant: nobody panics while registering");
        register(registry.sub_registry_with_prefix("regreen"));
    }

    /// Who reads the configuration again at `POST /-/reload`.
    ///
    /// # Panics
    /// When another part panicked while it registered.
    pub fn on_reload(&self, ask: mpsc::Sender<Reload>) {
        *self.reload.lock().expect("invariant: nobody panics while registering") = Some(ask);
    }

    /// The three paths that only tell.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }

    /// `POST /-/reload`, for listeners that not everybody reaches: what is wrong is answered in full.
    pub fn reload_router(&self) -> Router {
        Router::new().route("/-/reload", post(reload)).with_state(self.clone())
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let complaints = health.complaints();
    if complaints.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, complaints.join("\n") + "\n")
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// OpenMetrics names a counter without the `_total` of its samples, the classic format with it; and has an end.
fn classic(text: &str) -> String {
    let of = |line: &str| line.split(' ').nth(2).unwrap_or_default().to_owned();
    let counter = |line: &&str| line.starts_with("# TYPE ") && line.ends_with(" counter");
    let counters: BTreeSet<String> = text.lines().filter(counter).map(of).collect();
    let lines = text.lines().filter(|line| *line != "# EOF").map(|line| {
        let name = of(line);
        let renamed = line.starts_with('#') && counters.contains(&name);
        if renamed { line.replacen(&name, &format!("{name}_total"), 1) } else { line.to_owned() }
    });
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// As Prometheus answers it: 200, or 500 with what is wrong.
async fn reload(State(health): State<Health>) -> (StatusCode, String) {
    let ask = health.reload.lock().expect("invariant: nobody panics while registering").clone();
    let Some(ask) = ask else {
        return (StatusCode::NOT_FOUND, "this process has nothing to read again\n".into());
    };
    let (answer, answered) = oneshot::channel();
    if ask.send(answer).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "this process is ending\n".into());
    }
    match answered.await {
        Ok(Ok(())) => (StatusCode::OK, "good\n".into()),
        Ok(Err(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "this process is ending\n".into()),
    }
}

/// OpenMetrics for who asks for it, as Prometheus does; else the classic text format, which promtool reads.
async fn metrics(State(health): State<Health>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let open = accept.contains("application/openmetrics-text");
    let mut text = String::new();
    let registry = health.registry.lock().expect("invariant: nobody panics while registering");
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => (
            StatusCode::OK,
            [(header::CONTENT_TYPE, if open { OPEN_METRICS } else { CLASSIC })],
            if open { text } else { classic(&text) },
        ),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_format_names_counters_as_their_samples() {
        let open = "# HELP a_x Runs a_x.\n# TYPE a_x counter\na_x_total{kind=\"k\"} 1\n# HELP a_y Open.\n# TYPE a_y gauge\na_y 2\n# EOF\n";
        let wanted = "# HELP a_x_total Runs a_x.\n# TYPE a_x_total counter\na_x_total{kind=\"k\"} 1\n# HELP a_y Open.\n# TYPE a_y gauge\na_y 2\n";
        assert_eq!(classic(open), wanted);
    }
}

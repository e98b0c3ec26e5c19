//! `/sim`: what a drill does to the cloud behind the API's back, and what it may look at. No token: it is no API of the
//! cloud's.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cloud, api::show, fault::Fault};

type Of = State<Arc<Cloud>>;

/// What happens to a machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Harm {
    how: How,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Its process dies.
    Kill,
    /// It dies, and nothing brings it back, though the API says so.
    KillAndBreak,
    /// It stops where it is.
    Hang,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillAndBreak => "kill_and_break",
            Self::Hang => "hang",
        }
    }
}

pub fn routes(cloud: Arc<Cloud>) -> Router {
    Router::new()
        .route("/sim/state", get(state))
        .route("/sim/droplets/{droplet}/fail", post(harm))
        .route("/sim/api/fail", post(fail).delete(forget))
        .with_state(cloud)
}

async fn harm(
    State(cloud): Of,
    Path(droplet): Path<u64>,
    Json(harm): Json<Harm>,
) -> Result<StatusCode, StatusCode> {
    let name = cloud.with(|state| state.droplets.get(&droplet).map(|droplet| droplet.name.clone()));
    let (name, machine) = name.zip(cloud.machine(droplet)).ok_or(StatusCode::NOT_FOUND)?;
    let mut machine = machine.lock().await;
    cloud.effects.happen(harm.how.word(), droplet, &name, None);
    match harm.how {
        How::Kill => machine.kill().await,
        How::KillAndBreak => {
            machine.broken = true;
            machine.kill().await;
        }
        How::Hang => machine.hang(),
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn fail(State(cloud): Of, Json(fault): Json<Fault>) -> StatusCode {
    if cloud.faults.add(fault) { StatusCode::NO_CONTENT } else { StatusCode::TOO_MANY_REQUESTS }
}

async fn forget(State(cloud): Of) -> StatusCode {
    cloud.faults.clear();
    StatusCode::NO_CONTENT
}

async fn state(State(cloud): Of) -> Json<Value> {
    let droplets = cloud.with(|state| state.droplets.values().cloned().collect::<Vec<_>>());
    let mut shown = Vec::new();
    for droplet in droplets {
        let mut one = json!({"id": droplet.id.to_string(), "name": droplet.name, "address": droplet.address,
            "tags": droplet.tags, "pending": cloud.with(|state| state.pending(droplet.id))});
        if let Some(machine) = cloud.machine(droplet.id) {
            let mut machine = machine.lock().await;
            one["machine"] = machine.word().into();
            one["pid"] = machine.pid().into();
            one["problem"] = machine.problem.clone().into();
        }
        shown.push(one);
    }
    let actions: Vec<Value> = cloud.with(|state| state.actions.values().map(show::action).collect());
    Json(json!({"droplets": shown, "actions": actions, "faults": cloud.faults.waiting()}))
}

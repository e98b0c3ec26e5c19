//! `/v2/snapshots`: pictures of disks. They hold nothing here.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{Of, Params, errors::Refused, page, show};

pub async fn all(State(cloud): Of, Query(params): Params) -> Result<Json<Value>, Refused> {
    let none = params.get("resource_type").is_some_and(|kind| kind != "droplet");
    let found: Vec<Value> =
        cloud.with(|state| state.snapshots.values().filter(|_| !none).map(show::snapshot).collect());
    Ok(Json(page::page("snapshots", &found, &format!("{}/v2/snapshots", cloud.base), &params)?))
}

pub async fn one(State(cloud): Of, Path(snapshot): Path<u64>) -> Result<Json<Value>, Refused> {
    let found = cloud.with(|state| state.snapshots.get(&snapshot).map(show::snapshot));
    Ok(Json(json!({"snapshot": found.ok_or_else(Refused::not_found)?})))
}

pub async fn drop(State(cloud): Of, Path(snapshot): Path<u64>) -> Result<StatusCode, Refused> {
    let gone = cloud.with(|state| {
        let gone = state.snapshots.remove(&snapshot)?;
        if let Some(droplet) = state.droplets.get_mut(&gone.droplet) {
            droplet.snapshots.retain(|id| *id != snapshot);
        }
        Some(gone)
    });
    gone.map(|_| StatusCode::NO_CONTENT).ok_or_else(Refused::not_found)
}

pub async fn of_droplet(
    State(cloud): Of,
    Path(droplet): Path<u64>,
    Query(params): Params,
) -> Result<Json<Value>, Refused> {
    let found: Vec<Value> = cloud.with(|state| {
        state.droplet(droplet)?;
        let of = state.snapshots.values().filter(|one| one.droplet == droplet);
        Ok(of.map(show::snapshot_of_droplet).collect())
    })?;
    let url = format!("{}/v2/droplets/{droplet}/snapshots", cloud.base);
    Ok(Json(page::page("snapshots", &found, &url, &params)?))
}

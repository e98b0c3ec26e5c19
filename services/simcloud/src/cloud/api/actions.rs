//! `/v2/actions`: all that was ever done.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde_json::{Value, json};

use super::{Of, Params, errors::Refused, page, show};

pub async fn all(State(cloud): Of, Query(params): Params) -> Result<Json<Value>, Refused> {
    let found: Vec<Value> = cloud.with(|state| state.actions.values().rev().map(show::action).collect());
    Ok(Json(page::page("actions", &found, &format!("{}/v2/actions", cloud.base), &params)?))
}

pub async fn one(State(cloud): Of, Path(action): Path<u64>) -> Result<Json<Value>, Refused> {
    let found = cloud.with(|state| state.actions.get(&action).map(show::action));
    Ok(Json(json!({"action": found.ok_or_else(Refused::not_found)?})))
}

//! `/v2/droplets/{id}/actions`: what is done to a droplet, and what was.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Of, Params, RequestId, body, errors::Refused, page, show};
use crate::cloud::{state::State as All, work::Order};

/// Kinds that can't be asked for by tag.
const NOT_BY_TAG: &str = "reboot";

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    r#type: String,
    /// Of a snapshot.
    name: Option<String>,
}

impl Wish {
    fn read(bytes: &Bytes) -> Result<Self, Refused> {
        let wish: Self = body(bytes)?;
        if wish.name.is_some() && wish.r#type != "snapshot" {
            return Err(Refused::unprocessable("only a snapshot has a name"));
        }
        Ok(wish)
    }

    fn begin(&self, state: &mut All, droplet: u64) -> Result<(Order, Value), Refused> {
        let action = state.begin(droplet, &self.r#type, show::now())?;
        let begun = &state.actions[&action];
        Ok((Order { droplet, action, kind: begun.kind, name: self.name.clone() }, show::action(begun)))
    }
}

pub async fn begin(
    State(cloud): Of,
    Path(droplet): Path<u64>,
    Extension(RequestId(by)): Extension<RequestId>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), Refused> {
    cloud.with(|state| state.droplet(droplet).map(drop))?;
    let wish = Wish::read(&bytes)?;
    let (order, shown) = cloud.with(|state| wish.begin(state, droplet))?;
    cloud.order(order, Some(&by));
    Ok((StatusCode::CREATED, Json(json!({"action": shown}))))
}

pub async fn begin_tagged(
    State(cloud): Of,
    Query(params): Params,
    Extension(RequestId(by)): Extension<RequestId>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let tag = params.get("tag_name").ok_or_else(|| Refused::unprocessable("tag_name is wanted"))?;
    let wish = Wish::read(&bytes)?;
    if wish.r#type == NOT_BY_TAG {
        return Err(Refused::unprocessable("a reboot can't be asked for by tag"));
    }
    let begun = cloud.with(|state| {
        let tagged = state.tagged(tag);
        tagged.into_iter().map(|droplet| wish.begin(state, droplet)).collect::<Result<Vec<_>, _>>()
    })?;
    let mut shown = Vec::new();
    for (order, action) in begun {
        cloud.order(order, Some(&by));
        shown.push(action);
    }
    Ok((StatusCode::CREATED, Json(json!({"actions": shown}))))
}

pub async fn all(
    State(cloud): Of,
    Path(droplet): Path<u64>,
    Query(params): Params,
) -> Result<Json<Value>, Refused> {
    let found: Vec<Value> = cloud.with(|state| {
        state.droplet(droplet)?;
        // The newest first, as there.
        let of = state.actions.values().rev().filter(|action| action.droplet == droplet);
        Ok(of.map(show::action).collect())
    })?;
    let url = format!("{}/v2/droplets/{droplet}/actions", cloud.base);
    Ok(Json(page::page("actions", &found, &url, &params)?))
}

pub async fn one(
    State(cloud): Of,
    Path((droplet, action)): Path<(u64, u64)>,
) -> Result<Json<Value>, Refused> {
    cloud.with(|state| {
        state.droplet(droplet)?;
        let found = state.actions.get(&action).filter(|action| action.droplet == droplet);
        Ok(Json(json!({"action": show::action(found.ok_or_else(Refused::not_found)?)})))
    })
}

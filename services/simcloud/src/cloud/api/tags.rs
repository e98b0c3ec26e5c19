//! `/v2/tags`: what droplets are found by.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Of, Params, body, errors::Refused, page, show};
use crate::cloud::Cloud;

/// The body of a new tag.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Making {
    name: String,
}

/// The body that tags things.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    resource_id: String,
    resource_type: String,
}

pub async fn all(State(cloud): Of, Query(params): Params) -> Result<Json<Value>, Refused> {
    let found: Vec<Value> =
        cloud.with(|state| state.tags.iter().map(|name| show::tag(state, name, &cloud.base)).collect());
    Ok(Json(page::page("tags", &found, &format!("{}/v2/tags", cloud.base), &params)?))
}

pub async fn make(State(cloud): Of, bytes: Bytes) -> Result<(StatusCode, Json<Value>), Refused> {
    let Making { name } = body(&bytes)?;
    let shown = cloud.with(|state| state.make_tag(&name).map(|()| show::tag(state, &name, &cloud.base)))?;
    Ok((StatusCode::CREATED, Json(json!({"tag": shown}))))
}

pub async fn show(State(cloud): Of, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    let shown = cloud.with(|state| state.tag(&name).map(|()| show::tag(state, &name, &cloud.base)))?;
    Ok(Json(json!({"tag": shown})))
}

pub async fn drop(State(cloud): Of, Path(name): Path<String>) -> Result<StatusCode, Refused> {
    cloud.with(|state| state.drop_tag(&name))?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn add(State(cloud): Of, Path(name): Path<String>, bytes: Bytes) -> Result<StatusCode, Refused> {
    change(&cloud, &name, &bytes, true)
}

pub async fn remove(State(cloud): Of, Path(name): Path<String>, bytes: Bytes) -> Result<StatusCode, Refused> {
    change(&cloud, &name, &bytes, false)
}

fn change(cloud: &Cloud, name: &str, bytes: &Bytes, add: bool) -> Result<StatusCode, Refused> {
    let Resources { resources } = body(bytes)?;
    cloud.with(|state| {
        state.tag(name)?;
        let mut droplets = Vec::new();
        for resource in &resources {
            let id = resource.resource_id.parse().ok().filter(|_| resource.resource_type == "droplet");
            droplets.push(state.droplet(id.ok_or_else(Refused::not_found)?)?.id);
        }
        for id in droplets {
            let Some(droplet) = state.droplets.get_mut(&id) else { continue };
            if add {
                droplet.tags.insert(name.to_owned());
            } else {
                droplet.tags.remove(name);
            }
        }
        Ok(StatusCode::NO_CONTENT)
    })
}

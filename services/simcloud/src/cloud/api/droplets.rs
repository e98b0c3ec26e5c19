//! `/v2/droplets`: made, listed, shown, destroyed. By tag too, as it is there: a client that does that is seen doing it.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{Of, Params, RequestId, body, errors::Refused, page, show};
use crate::cloud::{Cloud, state::Wish, work::Order};

pub async fn all(State(cloud): Of, Query(params): Params) -> Result<Json<Value>, Refused> {
    let wanted = |key: &str, has: &dyn Fn(&str) -> bool| params.get(key).is_none_or(|value| has(value));
    if !wanted("type", &|kind| ["droplets", "gpus"].contains(&kind)) {
        return Err(Refused::unprocessable("type: droplets or gpus are wanted"));
    }
    // None of them has a processor for graphics.
    let none = params.get("type").is_some_and(|kind| kind == "gpus");
    let found: Vec<Value> = cloud.with(|state| {
        let droplets = state.droplets.values().filter(|droplet| {
            !none
                && wanted("tag_name", &|tag| droplet.tags.contains(tag))
                && wanted("name", &|name| droplet.name == name)
        });
        droplets.map(|droplet| show::droplet(state, droplet, cloud.netmask)).collect()
    });
    Ok(Json(page::page("droplets", &found, &format!("{}/v2/droplets", cloud.base), &params)?))
}

pub async fn create(
    State(cloud): Of,
    Extension(RequestId(by)): Extension<RequestId>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let wish: Wish = body(&bytes)?;
    let single = wish.name.is_some();
    let made = cloud.with(|state| state.create(&wish, show::now()))?;
    cloud.put_up(&made, Some(&by));
    let links: Vec<Value> = made
        .iter()
        .map(|(_, action)| json!({"id": action, "rel": "create", "href": format!("{}/v2/actions/{action}", cloud.base)}))
        .collect();
    let mut shown: Vec<Value> = cloud.with(|state| {
        made.iter().map(|(id, _)| show::droplet(state, &state.droplets[id], cloud.netmask)).collect()
    });
    let links = json!({"actions": links});
    let body = match shown.pop() {
        Some(one) if single => json!({"droplet": one, "links": links}),
        last => {
            shown.extend(last);
            json!({"droplets": shown, "links": links})
        }
    };
    Ok((StatusCode::ACCEPTED, Json(body)))
}

impl Cloud {
    /// Gives droplets their machines, and has them started.
    pub fn put_up(self: &Arc<Self>, made: &[(u64, u64)], by: Option<&str>) {
        for (droplet, action) in made {
            self.give_machine(*droplet);
            self.order(Order { droplet: *droplet, action: *action, kind: "create", name: None }, by);
        }
    }
}

pub async fn one(State(cloud): Of, Path(droplet): Path<u64>) -> Result<Json<Value>, Refused> {
    let shown =
        cloud.with(|state| Ok::<_, Refused>(show::droplet(state, state.droplet(droplet)?, cloud.netmask)))?;
    Ok(Json(json!({"droplet": shown})))
}

pub async fn destroy(
    State(cloud): Of,
    Path(droplet): Path<u64>,
    Extension(RequestId(by)): Extension<RequestId>,
) -> Result<StatusCode, Refused> {
    cloud.with(|state| state.droplet(droplet).map(drop).and_then(|()| state.idle(droplet)))?;
    cloud.destroy(droplet, "destroy", &by);
    Ok(StatusCode::NO_CONTENT)
}

pub async fn destroy_tagged(
    State(cloud): Of,
    Query(params): Params,
    Extension(RequestId(by)): Extension<RequestId>,
) -> Result<StatusCode, Refused> {
    let tag = params.get("tag_name").ok_or_else(|| Refused::unprocessable("tag_name is wanted"))?;
    let tagged = cloud.with(|state| state.tag(tag).map(|()| state.tagged(tag)))?;
    for droplet in tagged {
        cloud.destroy(droplet, "destroy_by_tag", &by);
    }
    Ok(StatusCode::NO_CONTENT)
}

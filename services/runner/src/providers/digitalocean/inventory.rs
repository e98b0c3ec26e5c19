//! `digitalocean.inventory.list`: the droplets that carry a tag, as nodes.

use regreen_action::{Call, Refusal, params};
use regreen_schemas::command::Command;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::Api,
    ask::Tag,
    droplet::{Droplet, Status},
};
use crate::rest::{Question, Wrong, asking};

/// Largest list, in bytes: what a result may hold, and a part of it would be taken for the whole.
const LIST_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    tag: String,
}

pub fn prepare(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let Params { tag } = params(command)?;
    Ok(asking(List { api, tag: Tag::of(&tag)? }))
}

struct List {
    api: Api,
    tag: Tag,
}

/// A droplet that is not made yet, or can't be switched on, is no node.
fn node(droplet: &Droplet) -> Option<Value> {
    let there = matches!(droplet.status, Status::Active | Status::Off);
    let address = droplet.address().filter(|_| there)?;
    Some(json!({"name": droplet.name, "id": droplet.id.to_string(), "address": address, "labels": {}}))
}

impl Question for List {
    async fn answer(&self) -> Result<Value, Wrong> {
        let droplets = self.api.tagged(&self.tag).await?;
        let result = json!({"nodes": droplets.iter().filter_map(node).collect::<Vec<_>>()});
        if result.to_string().len() > LIST_BYTES_MAX {
            let (count, tag) = (droplets.len(), self.tag.name());
            return Err(Wrong::permanent(format!(
                "{count} droplets carry the tag {tag}, more than a result of {LIST_BYTES_MAX} bytes holds: use tags \
                 of fewer droplets"
            )));
        }
        Ok(result)
    }
}

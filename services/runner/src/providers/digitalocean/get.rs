//! `digitalocean.droplet.get`: how a droplet is.

use regreen_action::{Call, Refusal};
use regreen_schemas::command::Command;
use serde_json::{Value, json};

use super::{api::Api, ask::DropletId, droplet::target};
use crate::rest::{Question, Rest, Wrong, asking};

pub fn prepare(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(asking(Get { on: target(command)?, api }))
}

struct Get {
    api: Api,
    on: DropletId,
}

impl Question for Get {
    fn rest(&self) -> Option<&Rest> {
        Some(&self.api.rest)
    }

    async fn answer(&self) -> Result<Value, Wrong> {
        let found = self.api.droplet(self.on).await?;
        let droplet = found.ok_or_else(|| Wrong::permanent(format!("there is no droplet {}", self.on)))?;
        Ok(json!({"status": droplet.status.word(), "address": droplet.address().unwrap_or_default()}))
    }
}

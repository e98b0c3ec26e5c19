//! `haproxy.server.get`: how a balancer sees a server.

use regreen_action::{Call, Refusal};
use regreen_schemas::command::Command;
use serde_json::{Value, json};

use super::{
    Balancer,
    params::{Server, server},
    place::Place,
    state,
};
use crate::rest::{Question, Wrong, asking};

struct Get {
    place: Place,
    server: Server,
}

pub fn prepare(balancer: &Balancer, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(asking(Get { place: balancer.socket.clone(), server: server(command)? }))
}

impl Question for Get {
    async fn answer(&self) -> Result<Value, Wrong> {
        let row = state::row(&self.place, &self.server).await?;
        let sessions = state::sessions(&self.place, &self.server).await?;
        Ok(json!({
            "state": row.admin.word(), "health": row.health, "weight": row.weight, "sessions": sessions,
        }))
    }
}

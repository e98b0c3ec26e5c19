//! What the provider does to one droplet: reboot, power cycle, on, off, snapshot. The API knows no token against doing
//! it twice, but numbers and lists what it does: the newest number from before says which of them are ours.

use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Failure, Verb},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::{Api, Came},
    ask::{ActionId, Ask, DropletId},
    droplet::{self, OneAct, Stand, target},
};
use crate::{
    connection::Ready,
    rest::{Class, Deed, Patience, Rest, Said, Wrong, doing},
};

/// How the API says that it is doing something else to the droplet.
const BUSY: &str = "pending event";

pub fn reboot(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(doing(Act { api, on: target(command)?, kind: "reboot", name: None }))
}

pub fn power_cycle(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(doing(Act { api, on: target(command)?, kind: "power_cycle", name: None }))
}

pub fn power_on(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(doing(Act { api, on: target(command)?, kind: "power_on", name: None }))
}

pub fn power_off(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(doing(Act { api, on: target(command)?, kind: "power_off", name: None }))
}

pub fn snapshot(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    let Named { name } = params(command)?;
    Ok(doing(Act { api, on: target(command)?, kind: "snapshot", name: Some(name) }))
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

struct Act {
    api: Api,
    on: DropletId,
    /// Its type, as the API calls it.
    kind: &'static str,
    /// What comes of it is called so.
    name: Option<String>,
}

/// What the ticket keeps.
#[derive(Deserialize)]
struct Before {
    newest: ActionId,
}

impl Deed for Act {
    fn rest(&self) -> &Rest {
        &self.api.rest
    }

    fn request(&self) -> Ready {
        let mut body = json!({"type": self.kind});
        if let Some(name) = &self.name {
            body["name"] = name.as_str().into();
        }
        self.api.ready(&Ask::Act(self.on, body))
    }

    async fn before(&self) -> Option<Value> {
        let acts = self.api.acts(self.on).await.ok()?;
        let newest = acts.iter().map(|act| act.id).max().unwrap_or(ActionId::NONE);
        Some(json!({"newest": newest}))
    }

    async fn refused(&self, mut wrong: Wrong) -> Verb {
        // It refuses whatever comes while it does something else: that passes.
        if wrong.class == Class::Permanent && wrong.reason.contains(BUSY) {
            wrong.class = Class::Transient;
        }
        wrong.verb()
    }

    async fn accepted(&self, said: Said) -> Verb {
        let act = match said.shaped::<OneAct>() {
            Ok(one) => one.action,
            Err(wrong) => return wrong.verb(),
        };
        let came = match act.status {
            Stand::InProgress => self.api.follow(self.on, act.id).await,
            Stand::Completed => Came::Completed,
            Stand::Errored => Came::Errored,
        };
        match came {
            Came::Completed => Verb::Ok { result: json!({}) },
            // Its own last word: it is over, and was not done.
            Came::Errored => {
                let reason = format!("{} of droplet {} (action {}) has failed", self.kind, self.on, act.id);
                Verb::Failed { kind: Failure::Transient, reason: reason.into(), retry_after: None }
            }
            Came::Unsure(reason) => Verb::Unknown { reason: reason.into() },
        }
    }

    async fn look(&self, before: Option<Value>) -> Result<Answer, Wrong> {
        let Some(Before { newest }) = before.and_then(|before| serde_json::from_value(before).ok()) else {
            let state = "what was done to the droplet before is not known".into();
            return Ok(Answer::CannotTell { state });
        };
        let mut patience = Patience::new(self.api.timeout);
        loop {
            let ours = |act: &droplet::Act| act.id > newest && act.kind == self.kind;
            let acts: Vec<_> = self.api.acts(self.on).await?.into_iter().filter(ours).collect();
            if acts.iter().any(|act| act.status == Stand::Completed) {
                return Ok(Answer::Done { result: json!({}) });
            }
            let running = acts.iter().find(|act| act.status == Stand::InProgress);
            if running.is_none() && (!acts.is_empty() || patience.would_be_seen()) {
                return Ok(Answer::NotDone);
            }
            if let Err(late) = patience.next(None).await {
                let id = running.map_or_else(String::new, |act| format!(" (action {})", act.id));
                return Err(Wrong::not_yet(format!("{}{id} is not over: {late}", self.kind)));
            }
        }
    }
}

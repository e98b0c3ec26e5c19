//! `digitalocean.droplet.destroy`: one droplet, by its number. One that is not there is gone: twice does no harm.

use regreen_action::{Call, Refusal};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde_json::{Value, json};

use super::{
    api::Api,
    ask::{Ask, DropletId},
    droplet::target,
};
use crate::{
    connection::Ready,
    rest::{Class, Deed, Patience, Rest, Said, Wrong, doing},
};

pub fn prepare(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    Ok(doing(Destroy { on: target(command)?, api }))
}

struct Destroy {
    api: Api,
    on: DropletId,
}

impl Deed for Destroy {
    fn rest(&self) -> &Rest {
        &self.api.rest
    }

    fn request(&self) -> Ready {
        self.api.ready(&Ask::Destroy(self.on))
    }

    async fn refused(&self, wrong: Wrong) -> Verb {
        if wrong.not_found { Verb::Ok { result: json!({}) } } else { wrong.verb() }
    }

    async fn accepted(&self, _: Said) -> Verb {
        let mut patience = Patience::new(self.api.timeout);
        let mut alone = None;
        loop {
            match self.api.droplet(self.on).await {
                Ok(None) => return Verb::Ok { result: json!({}) },
                Ok(Some(_)) => {}
                Err(wrong) if wrong.class == Class::Transient => alone = wrong.retry_after,
                Err(wrong) => return Verb::Unknown { reason: wrong.reason.into() },
            }
            if let Err(late) = patience.next(alone.take()).await {
                return Verb::Unknown { reason: format!("droplet {} is not gone: {late}", self.on).into() };
            }
        }
    }

    async fn look(&self, _: Option<Value>) -> Result<Answer, Wrong> {
        Ok(match self.api.droplet(self.on).await? {
            None => Answer::Done { result: json!({}) },
            Some(_) => Answer::NotDone,
        })
    }
}

//! `digitalocean.droplet.tag` and `.untag`: a tag of one droplet. The tag itself is made where it is not there, and never
//! taken away.

use hyper::StatusCode;
use regreen_action::{Call, Refusal, params};
use regreen_schemas::{
    command::Command,
    fact::{Answer, Verb},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    api::Api,
    ask::{Ask, DropletId, Tag},
    droplet::target,
};
use crate::{
    connection::Ready,
    rest::{Deed, Rest, Said, Wrong, doing},
};

pub fn tag(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    prepare(api, command, true)
}

pub fn untag(api: Api, command: &Command) -> Result<Box<dyn Call>, Refusal> {
    prepare(api, command, false)
}

#[derive(Deserialize)]
struct Params {
    tag: String,
}

fn prepare(api: Api, command: &Command, carried: bool) -> Result<Box<dyn Call>, Refusal> {
    let Params { tag } = params(command)?;
    Ok(doing(Tagged { api, on: target(command)?, tag: Tag::of(&tag)?, carried }))
}

struct Tagged {
    api: Api,
    on: DropletId,
    tag: Tag,
    /// Whether it shall carry the tag.
    carried: bool,
}

impl Tagged {
    fn change(&self) -> Ready {
        let (tag, on) = (self.tag.clone(), self.on);
        self.api.ready(&if self.carried { Ask::Tag(tag, on) } else { Ask::Untag(tag, on) })
    }

    async fn change_it(&self) -> Verb {
        match self.rest().ask(&self.change()).await.and_then(Said::good) {
            Ok(_) => done(),
            Err(wrong) => wrong.verb(),
        }
    }
}

fn done() -> Verb {
    Verb::Ok { result: json!({}) }
}

impl Deed for Tagged {
    fn rest(&self) -> &Rest {
        &self.api.rest
    }

    fn request(&self) -> Ready {
        if self.carried { self.api.ready(&Ask::NewTag(self.tag.clone())) } else { self.change() }
    }

    async fn refused(&self, wrong: Wrong) -> Verb {
        match wrong.status {
            // It is there already.
            Some(StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) if self.carried => {
                self.change_it().await
            }
            // No such tag, or no such droplet: it carries none.
            Some(StatusCode::NOT_FOUND) if !self.carried => done(),
            _ => wrong.verb(),
        }
    }

    async fn accepted(&self, _: Said) -> Verb {
        if self.carried { self.change_it().await } else { done() }
    }

    async fn look(&self, _: Option<Value>) -> Result<Answer, Wrong> {
        let droplet = self.api.droplet(self.on).await?;
        let carries = droplet.is_some_and(|droplet| droplet.tags.iter().any(|tag| tag == self.tag.name()));
        Ok(if carries == self.carried { Answer::Done { result: json!({}) } } else { Answer::NotDone })
    }
}

//! `webhook`: posts the message as JSON. `to` is `{url: text or {secret: name}}`.

use futures::future::BoxFuture;
use regreen_action::Refusal;
use regreen_schemas::{
    action::TellVerb,
    fact::{Failure, Verb},
};
use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http,
    tell::{Channel, Deliver, Secret, Told},
};

/// Posts to a URL of the receiver's.
pub struct Webhook(pub Client);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    url: Place,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    Clear(String),
    Hidden(Secret),
}

struct Post(RequestBuilder);

const fn word(verb: TellVerb) -> &'static str {
    match verb {
        TellVerb::Open => "open",
        TellVerb::Update => "update",
        TellVerb::Close => "close",
    }
}

impl Channel for Webhook {
    fn prepare(&self, told: &Told<'_>) -> Result<Box<dyn Deliver>, Refusal> {
        let url = match told.to::<To>("`webhook: {url: …}`, a text or `{secret: name}`")?.url {
            Place::Clear(url) => url.into(),
            Place::Hidden(secret) => told.secret(&secret)?,
        };
        let url = http::address(url.expose_secret())
            .ok_or_else(|| Refusal::refused("the URL is no http or https URL, or holds credentials"))?;
        let key = told.command.action_key.as_ref();
        let body = json!({
            "v": 1, "verb": word(told.verb), "receiver": told.telling.receiver, "text": told.message().text,
            "run": told.command.run, "key": key, "message": told.message(),
        });
        // The key is the same for every try: the other side can tell a message sent twice.
        Ok(Box::new(Post(self.0.post(url).header("Idempotency-Key", key).json(&body))))
    }
}

impl Deliver for Post {
    fn deliver(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let Some(request) = self.0.try_clone() else {
                return http::failed(Failure::Permanent, "the request can't be sent");
            };
            match http::send(request).await {
                Ok(reply) if reply.status.is_success() => Verb::Ok { result: Value::Null },
                // Whoever it is may be somewhere else for a moment: 404 is no last word here.
                Ok(reply) => {
                    reply.refused(Failure::Transient, format!("the receiver answered {}", reply.status))
                }
                Err(verb) => verb,
            }
        })
    }
}

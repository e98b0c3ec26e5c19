//! `slack`: one message that is brought up to date, with what is new in its thread. `to` is
//! `{channel: …, token: {secret: name}}`: a bot's token with `chat:write`.

mod blocks;

use std::sync::Arc;

use futures::future::BoxFuture;
use regreen_action::Refusal;
use regreen_schemas::{
    action::TellVerb,
    fact::{Failure, Verb},
    message::Message,
};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http::{self, Reply},
    tell::{Channel, Deliver, Secret, Told},
    text::{escaped, one_line},
};

/// Longest word of Slack's that is repeated.
const WORD_MAX: usize = 80;
/// Longest text beside blocks.
const TEXT_MAX: usize = 3000;
/// Longest name of a channel that is looked at.
const CHANNEL_MAX: usize = 255;

/// Errors that pass by themselves.
const TRANSIENT: &[&str] =
    &["rate_limited", "ratelimited", "fatal_error", "internal_error", "service_unavailable"];
/// The message is gone, or too old to be edited: it is posted anew, for somebody must hear of it.
const GONE: &[&str] = &["message_not_found", "cant_update_message", "edit_window_closed"];

/// Speaks to Slack's Web API.
pub struct Slack {
    client: Client,
    /// Up to and without the method.
    url: Url,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    channel: String,
    token: Secret,
}

/// Where the first message of the thread stands.
#[derive(Clone, Debug, Deserialize)]
struct Opened {
    channel: String,
    ts: String,
}

struct Post {
    client: Client,
    url: Url,
    token: SecretString,
    channel: String,
    opened: Option<Opened>,
    message: Message,
}

/// What Slack says in a body.
#[derive(Deserialize)]
struct Said {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

/// How a method of the Web API ended.
enum Ended {
    /// Done; where the message stands.
    Done(Option<Opened>),
    /// The message that it names is not there to be edited.
    Gone,
    /// Not done, or not known.
    Not(Verb),
}

impl Slack {
    /// Speaks to the API there.
    #[must_use]
    pub fn new(client: Client, url: Url) -> Self {
        Self { client, url }
    }
}

impl Channel for Slack {
    fn prepare(&self, told: &Told<'_>) -> Result<Box<dyn Deliver>, Refusal> {
        let to: To = told.to("`slack: {channel: …, token: {secret: name}}`")?;
        if to.channel.is_empty() || to.channel.len() > CHANNEL_MAX {
            return Err(Refusal::refused("`channel` is a channel's id or name"));
        }
        let (client, url, token) = (self.client.clone(), self.url.clone(), told.secret(&to.token)?);
        let opened = if told.verb == TellVerb::Open { None } else { told.opened() };
        let message = told.message().clone();
        Ok(Box::new(Post { client, url, token, channel: to.channel, opened, message }))
    }
}

impl Deliver for Post {
    fn deliver(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let ended = match &self.opened {
                Some(opened) => match self.update(opened).await {
                    Ended::Gone => self.post().await,
                    ended => ended,
                },
                None => self.post().await,
            };
            match ended {
                Ended::Done(Some(Opened { channel, ts })) => {
                    Verb::Ok { result: json!({"channel": channel, "ts": ts}) }
                }
                Ended::Done(None) => Verb::Ok { result: Value::Null },
                Ended::Gone => http::failed(Failure::Permanent, "Slack does not find the message"),
                Ended::Not(verb) => verb,
            }
        })
    }
}

impl Post {
    /// The message as the first of its thread.
    async fn post(&self) -> Ended {
        self.say(&self.channel, None, blocks::fallback(&self.message), blocks::blocks(&self.message, true))
            .await
    }

    /// The first message as it stands now, and then what is new as a reply. Sent again, the edit changes nothing.
    async fn update(&self, opened: &Opened) -> Ended {
        let body = json!({
            "channel": opened.channel, "ts": opened.ts, "text": blocks::fallback(&self.message),
            "blocks": blocks::blocks(&self.message, false),
        });
        match self.call("chat.update", &body).await {
            Ended::Done(_) => {}
            ended => return ended,
        }
        if !self.message.news.is_empty() {
            let news = &self.message.news;
            let text = escaped(&news.iter().map(Arc::as_ref).collect::<Vec<_>>().join("\n"), TEXT_MAX);
            let replied =
                self.say(&opened.channel, Some(&opened.ts), text, blocks::list("What happened", news)).await;
            if let Ended::Not(verb) = replied {
                return Ended::Not(verb);
            }
        }
        Ended::Done(Some(opened.clone()))
    }

    /// `chat.postMessage`, in a thread if there is one. Slack fetches no address that a label holds.
    async fn say(&self, channel: &str, thread: Option<&str>, text: String, blocks: Vec<Value>) -> Ended {
        let mut body = json!({
            "channel": channel, "text": text, "blocks": blocks,
            "unfurl_links": false, "unfurl_media": false, "link_names": false, "parse": "none",
        });
        if let Some(ts) = thread {
            body["thread_ts"] = ts.into();
        }
        self.call("chat.postMessage", &body).await
    }

    async fn call(&self, method: &str, body: &Value) -> Ended {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(method);
        }
        let request = self.client.post(url).bearer_auth(self.token.expose_secret()).json(body);
        match http::send(request).await {
            Ok(reply) => heard(&reply),
            Err(verb) => Ended::Not(verb),
        }
    }
}

/// What Slack said: a 200 may be a no.
fn heard(reply: &Reply) -> Ended {
    if !reply.status.is_success() {
        return Ended::Not(reply.refused(reply.kind(), format!("Slack answered {}", reply.status)));
    }
    let said = reply.body.as_deref().and_then(|body| serde_json::from_slice::<Said>(body).ok());
    match said {
        None => Ended::Not(Verb::Unknown { reason: "Slack's answer can't be read".into() }),
        Some(Said { ok: true, channel, ts, .. }) => {
            Ended::Done(channel.zip(ts).map(|(channel, ts)| Opened { channel, ts }))
        }
        Some(Said { error, .. }) => {
            let word = error.unwrap_or_default();
            if GONE.contains(&word.as_str()) {
                return Ended::Gone;
            }
            let transient = TRANSIENT.contains(&word.as_str());
            let kind = if transient { Failure::Transient } else { Failure::Permanent };
            let word = one_line(&word, WORD_MAX);
            Ended::Not(reply.refused(kind, format!("Slack says {word}")))
        }
    }
}

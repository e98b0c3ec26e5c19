//! `pagerduty`: Events API v2. `to` is `{key: {secret: name}}`, the routing key of an integration. The thread is the
//! `dedup_key`: whatever is sent twice joins the alert that is open.

use futures::future::BoxFuture;
use regreen_action::Refusal;
use regreen_schemas::{
    action::TellVerb,
    fact::{Failure, Verb},
    hash::h,
    message::{Message, Tone},
};
use reqwest::{Client, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http,
    tell::{Channel, Deliver, Secret, Told},
    text::{headline, how_to_answer, lines, one_line},
};

/// PagerDuty's own bounds.
const SUMMARY_MAX: usize = 1024;
const DEDUP_MAX: usize = 255;
/// Of the details; a whole event may have 512 KB.
const TEXT_MAX: usize = 16_000;
const ITEM_MAX: usize = 1000;
const ITEMS_MAX: usize = 50;
/// Of what it says about an event that it refuses.
const REASON_MAX: usize = 300;

/// Sends events.
pub struct PagerDuty {
    client: Client,
    url: Url,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    key: Secret,
}

struct Event {
    client: Client,
    url: Url,
    key: SecretString,
    dedup: String,
    /// All but the key.
    body: Value,
}

impl PagerDuty {
    /// Sends to the API there, as `source`.
    #[must_use]
    pub fn new(client: Client, base: &Url, source: &str) -> Self {
        let mut url = base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v2", "enqueue"]);
        }
        Self { client, url, source: source.to_owned() }
    }
}

/// What an event does to the alert of its key.
fn event_action(verb: TellVerb, tone: Tone) -> &'static str {
    match (verb, tone) {
        (TellVerb::Open, _)
        | (TellVerb::Update, Tone::Bad | Tone::Asking)
        | (TellVerb::Close, Tone::Working | Tone::Asking | Tone::Bad) => "trigger",
        (TellVerb::Update, Tone::Working | Tone::Good) => "acknowledge",
        (TellVerb::Close, Tone::Good) => "resolve",
    }
}

/// The thread, or its hash where it is too long.
fn dedup_key(thread: &str) -> String {
    if thread.chars().count() <= DEDUP_MAX { thread.to_owned() } else { h(&[thread.as_bytes()]) }
}

fn payload(message: &Message, source: &str) -> Value {
    let severity = if matches!(message.tone, Tone::Bad | Tone::Asking) { "critical" } else { "warning" };
    let items = |from: &[std::sync::Arc<str>]| -> Vec<String> {
        // The newest say most.
        from[from.len().saturating_sub(ITEMS_MAX)..].iter().map(|item| lines(item, ITEM_MAX)).collect()
    };
    let ask = message.ask.as_ref().map(|ask| {
        let plan: Vec<String> = ask.plan.iter().take(ITEMS_MAX).map(|line| lines(line, ITEM_MAX)).collect();
        json!({"plan": plan, "answer": how_to_answer(ask)})
    });
    let mut details =
        json!({"text": lines(&message.text, TEXT_MAX), "news": items(&message.news), "run": message.run});
    if let Some(ask) = ask {
        details["ask"] = ask;
    }
    json!({
        "summary": one_line(&headline(message), SUMMARY_MAX),
        "source": source, "severity": severity, "custom_details": details,
    })
}

impl Channel for PagerDuty {
    fn prepare(&self, told: &Told<'_>) -> Result<Box<dyn Deliver>, Refusal> {
        let to: To = told.to("`pagerduty: {key: {secret: name}}`")?;
        let (message, dedup) = (told.message(), dedup_key(&told.message().thread));
        let action = event_action(told.verb, message.tone);
        let mut body = json!({"event_action": action, "dedup_key": dedup});
        if action == "trigger" {
            body["payload"] = payload(message, &self.source);
            body["client"] = "Regreen".into();
        }
        let (client, url, key) = (self.client.clone(), self.url.clone(), told.secret(&to.key)?);
        Ok(Box::new(Event { client, url, key, dedup, body }))
    }
}

impl Deliver for Event {
    fn deliver(&mut self) -> BoxFuture<'_, Verb> {
        Box::pin(async {
            let mut body = self.body.clone();
            body["routing_key"] = self.key.expose_secret().into();
            match http::send(self.client.post(self.url.clone()).json(&body)).await {
                // Accepted, which is all that it ever says.
                Ok(reply) if reply.status.is_success() => {
                    Verb::Ok { result: json!({"dedup_key": self.dedup}) }
                }
                Ok(reply) => {
                    let kind = reply.kind();
                    let said =
                        if kind == Failure::Permanent { self.said(reply.body.as_deref()) } else { None };
                    let said = said.map_or_else(String::new, |said| format!(": {said}"));
                    reply.refused(kind, format!("PagerDuty answered {}{said}", reply.status))
                }
                Err(verb) => verb,
            }
        })
    }
}

impl Event {
    /// What is wrong with an event, without the key that it may repeat.
    fn said(&self, body: Option<&[u8]>) -> Option<String> {
        #[derive(Deserialize)]
        struct Wrong {
            message: String,
            #[serde(default)]
            errors: Vec<String>,
        }
        let wrong: Wrong = serde_json::from_slice(body?).ok()?;
        let said = format!("{} {}", wrong.message, wrong.errors.join("; "));
        Some(one_line(&said.replace(self.key.expose_secret(), "[key]"), REASON_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_and_tone_has_its_event() {
        use {TellVerb::*, Tone::*};
        for (verb, tone, wanted) in [
            (Open, Working, "trigger"),
            (Open, Bad, "trigger"),
            (Update, Working, "acknowledge"),
            (Update, Good, "acknowledge"),
            (Update, Asking, "trigger"),
            (Update, Bad, "trigger"),
            (Close, Good, "resolve"),
            (Close, Bad, "trigger"),
        ] {
            assert_eq!(event_action(verb, tone), wanted, "{verb:?} {tone:?}");
        }
    }

    #[test]
    fn a_thread_that_is_too_long_is_still_one_thread() {
        assert_eq!(dedup_key("episode"), "episode");
        let long = |last: char| format!("{}{last}", "x".repeat(DEDUP_MAX));
        assert_eq!(dedup_key(&long('a')), dedup_key(&long('a')));
        assert_ne!(dedup_key(&long('a')), dedup_key(&long('b')));
    }
}

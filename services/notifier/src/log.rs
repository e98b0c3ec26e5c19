//! `log`: a receiver that is always there. `to` is `{}`.

use futures::future::BoxFuture;
use regreen_action::Refusal;
use regreen_schemas::{fact::Verb, message::Message};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    tell::{Channel, Deliver, Told},
    text::{how_to_answer, one_line},
};

/// Longest line.
const LINE_MAX: usize = 4000;

/// Writes to the notifier's own log.
pub struct Log;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct To {}

struct Lines {
    receiver: String,
    message: Message,
}

impl Channel for Log {
    fn prepare(&self, told: &Told<'_>) -> Result<Box<dyn Deliver>, Refusal> {
        let To {} = told.to("`log: {}`")?;
        let receiver = told.telling.receiver.to_string();
        Ok(Box::new(Lines { receiver, message: told.message().clone() }))
    }
}

impl Deliver for Lines {
    fn deliver(&mut self) -> BoxFuture<'_, Verb> {
        let Self { receiver, message } = self;
        let run = message.run.as_ref().map(|run| run.as_str());
        let say = |text: &str| {
            tracing::warn!(target: "regreen::tell", receiver, run.id = run, tone = ?message.tone, "{}", one_line(text, LINE_MAX));
        };
        // What is new says it all; a message without news is its text.
        let lines = if message.news.is_empty() { std::slice::from_ref(&message.text) } else { &message.news };
        lines.iter().for_each(|line| say(&format!("{}: {line}", message.title)));
        if let Some(ask) = &message.ask {
            say(&format!("{}: would do: {}. {}", message.title, ask.plan.join("; "), how_to_answer(ask)));
        }
        Box::pin(async { Verb::Ok { result: Value::Null } })
    }
}

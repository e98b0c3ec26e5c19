//! A message as blocks of Slack, within Slack's bounds. Every text from outside is escaped and `verbatim`: a label mentions
//! nobody, links nowhere and is no code.

use std::sync::Arc;

use regreen_kit::channels::{APPROVE, DENY};
use regreen_schemas::message::{Ask, Message};
use serde_json::{Value, json};

use crate::text::{escaped, headline, how_to_answer, one_line, sign};

const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3000;
const VALUE_MAX: usize = 2000;
/// Sections that one list may take: a message has room for 50 blocks.
const LIST_SECTIONS_MAX: usize = 10;
/// Longest item of a list.
const ITEM_MAX: usize = 1000;

/// The whole message. `news` says whether it holds what is new, or a reply will.
pub fn blocks(message: &Message, news: bool) -> Vec<Value> {
    let title = format!("{} {}", sign(message.tone), one_line(&message.title, HEADER_MAX));
    let mut blocks =
        vec![json!({"type": "header", "text": {"type": "plain_text", "text": escaped(&title, HEADER_MAX)}})];
    if !message.text.is_empty() {
        blocks.push(section(&escaped(&message.text, SECTION_MAX)));
    }
    if news {
        blocks.extend(list("What happened", &message.news));
    }
    if let Some(ask) = &message.ask {
        blocks.extend(list("What would be done", &ask.plan));
        blocks.push(section(&escaped(&how_to_answer(ask), SECTION_MAX)));
        blocks.extend(buttons(ask));
    }
    if let Some(run) = &message.run {
        let run = escaped(&one_line(run.as_str(), ITEM_MAX), SECTION_MAX - 8);
        blocks.push(json!({"type": "context", "elements": [mrkdwn(&format!("run {run}"))]}));
    }
    blocks
}

/// What stands in notifications, and where blocks are not shown.
pub fn fallback(message: &Message) -> String {
    escaped(&format!("{} {}", sign(message.tone), headline(message)), SECTION_MAX)
}

/// A list under a head, in as many sections as it takes; what is left out says so.
pub fn list(head: &str, items: &[Arc<str>]) -> Vec<Value> {
    let mut sections: Vec<String> = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let line = format!("\n• {}", escaped(item, ITEM_MAX));
        let full = sections.len() == LIST_SECTIONS_MAX;
        match sections.last_mut() {
            // Bytes are never fewer than what Slack counts.
            Some(last) if last.len() + line.len() <= SECTION_MAX => last.push_str(&line),
            Some(_) if full => {
                sections.push(format!("… and {} more: `regreen explain` shows them", items.len() - n));
                break;
            }
            Some(_) => sections.push(line.trim_start().to_owned()),
            None => sections.push(format!("*{head}*{line}")),
        }
    }
    sections.iter().map(|text| section(text)).collect()
}

/// The buttons, unless what they must carry is too long for them: the command line takes the answer too.
fn buttons(ask: &Ask) -> Option<Value> {
    let value = json!({"run": ask.run, "instance": ask.instance, "plan_hash": ask.plan_hash}).to_string();
    let button = |text: &str, style: &str, action_id: &str| {
        json!({
            "type": "button", "text": {"type": "plain_text", "text": text}, "style": style,
            "action_id": action_id, "value": value,
        })
    };
    let both = [button("Approve", "primary", APPROVE), button("Deny", "danger", DENY)];
    (value.chars().count() <= VALUE_MAX).then(|| json!({"type": "actions", "elements": both}))
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

//! The ways to tell people. The engine uses them, not authors: these write `notify:`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Declaration, Effect, Param, ParamType};

/// How a message goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TellVerb {
    /// The first of its thread.
    #[default]
    Open,
    /// The thread goes on.
    Update,
    /// The last of its thread.
    Close,
}

const TELL_PARAMS: &[Param] = &[
    Param::must("receiver", ParamType::Text, "Name of the receiver."),
    Param::must("to", ParamType::Json, "What its kind needs."),
    Param::must("message", ParamType::Json, "What to say."),
    Param::may("opened", ParamType::Json, "What `open` of this thread came back with."),
];

const fn tell(name: &'static str, doc: &'static str) -> Declaration {
    Declaration { effect: Effect::Tell, authors: false, ..Declaration::new(name, doc, TELL_PARAMS) }
}

/// Every way to tell people: kind, verb, declaration.
pub const TELLS: &[(&str, TellVerb, Declaration)] = &[
    ("log", TellVerb::Open, tell("notify.log.open", "Writes the message to the notifier's own log.")),
    ("log", TellVerb::Update, tell("notify.log.update", "Writes what is new to the notifier's own log.")),
    ("log", TellVerb::Close, tell("notify.log.close", "Writes the end to the notifier's own log.")),
    ("webhook", TellVerb::Open, tell("notify.webhook.open", "Posts the message as JSON to a URL.")),
    ("webhook", TellVerb::Update, tell("notify.webhook.update", "Posts what is new as JSON to a URL.")),
    ("webhook", TellVerb::Close, tell("notify.webhook.close", "Posts the end as JSON to a URL.")),
    ("slack", TellVerb::Open, tell("notify.slack.open", "Posts a message to a channel of Slack.")),
    (
        "slack",
        TellVerb::Update,
        tell("notify.slack.update", "Edits that message, with what is new in its thread."),
    ),
    ("slack", TellVerb::Close, tell("notify.slack.close", "Edits that message for the last time.")),
    ("pagerduty", TellVerb::Open, tell("notify.pagerduty.open", "Triggers an alert of PagerDuty.")),
    (
        "pagerduty",
        TellVerb::Update,
        tell("notify.pagerduty.update", "Acknowledges it: Regreen or a person is at it."),
    ),
    ("pagerduty", TellVerb::Close, tell("notify.pagerduty.close", "Resolves it, when it ended well.")),
    ("email", TellVerb::Open, tell("notify.email.open", "Sends an e-mail.")),
    ("email", TellVerb::Update, tell("notify.email.update", "Sends what is new, in the same thread.")),
    ("email", TellVerb::Close, tell("notify.email.close", "Sends the end, in the same thread.")),
];

/// The declaration of a way to tell people.
#[must_use]
pub fn telling(kind: &str, verb: TellVerb) -> Option<&'static Declaration> {
    TELLS.iter().find(|(k, v, _)| *k == kind && *v == verb).map(|(_, _, declaration)| declaration)
}

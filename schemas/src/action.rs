//! Declarations of actions: what check, decider and runner must agree on. Implementations live in the services
//! that host them; a declaration's hash travels in `serves`, so that two builds notice when they differ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a second try may do: decides what happens after an unknown outcome (rule 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing: needs no ticket.
    Read,
    /// Twice is as good as once.
    Idempotent,
    /// Can be looked up after an unknown outcome.
    Reconcilable,
    /// Neither: a human answers an unknown outcome.
    AtMostOnce,
    /// Tells people: twice is better than never, and it may speak while the stop switch is on (rule 16).
    Tell,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// Text.
    Text,
    /// Text that becomes a URL: values from templates are percent-encoded.
    Url,
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// Whole numbers.
    Ints,
    /// Names to text.
    Headers,
    /// Any value; goes out as JSON.
    Json,
    /// A node of the inventory.
    Node,
    /// A group of the inventory.
    Group,
    /// How to look an outcome up: `{url, done}`.
    Observe,
}

/// One parameter of an action.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Param {
    /// Its key under `with`.
    pub name: &'static str,
    /// Its type.
    pub kind: ParamType,
    /// Whether it must be given.
    pub required: bool,
    /// What it means, for the reference.
    pub doc: &'static str,
}

/// An action as declared.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Declaration {
    /// `provider.noun[.verb]`.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Parameters.
    pub params: &'static [Param],
    /// Effect class, unless the parameters decide it.
    pub effect: Effect,
    /// Whether authors may `use` it.
    pub authors: bool,
}

impl Declaration {
    /// The provider: the first part of the name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// Hash over the whole declaration, for `serves`.
    #[must_use]
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("invariant: a declaration is plain data");
        crate::hash::h(&[&bytes])
    }
}

/// `http.request`: repairs a thing through its own HTTP interface.
pub const HTTP_REQUEST: Declaration = Declaration {
    name: "http.request",
    doc: "Sends one HTTP request and succeeds when the status is accepted.",
    params: &[
        Param { name: "url", kind: ParamType::Url, required: true, doc: "Where to; http or https." },
        Param {
            name: "method",
            kind: ParamType::OneOf(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
            required: false,
            doc: "GET unless given.",
        },
        Param {
            name: "headers",
            kind: ParamType::Headers,
            required: false,
            doc: "Values may be `{secret: name}`.",
        },
        Param { name: "body", kind: ParamType::Json, required: false, doc: "Goes out as JSON." },
        Param {
            name: "accept",
            kind: ParamType::Ints,
            required: false,
            doc: "Statuses that count as done; 200 to 299 unless given.",
        },
        Param { name: "node", kind: ParamType::Node, required: false, doc: "The node this acts on." },
        Param { name: "group", kind: ParamType::Group, required: false, doc: "The group this acts on." },
        Param {
            name: "effect",
            kind: ParamType::OneOf(&["read", "idempotent", "at_most_once"]),
            required: false,
            doc: "Effect class; by default from the method: GET and HEAD read, PUT and DELETE idempotent, else at_most_once.",
        },
        Param {
            name: "idempotency_header",
            kind: ParamType::Text,
            required: false,
            doc: "Header that carries the action key, for servers that recognise a repeated request by it; makes the request idempotent.",
        },
        Param {
            name: "observe",
            kind: ParamType::Observe,
            required: false,
            doc: "`{url, done}`: how to look an unknown outcome up; `done` is CEL over `status`, `json` and `before`.",
        },
    ],
    effect: Effect::AtMostOnce,
    authors: true,
};

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
    Param { name: "receiver", kind: ParamType::Text, required: true, doc: "Name of the receiver." },
    Param { name: "to", kind: ParamType::Json, required: true, doc: "What its kind needs." },
    Param { name: "message", kind: ParamType::Json, required: true, doc: "What to say." },
    Param {
        name: "opened",
        kind: ParamType::Json,
        required: false,
        doc: "What `open` of this thread came back with.",
    },
];

const fn tell(name: &'static str, doc: &'static str) -> Declaration {
    Declaration { name, doc, params: TELL_PARAMS, effect: Effect::Tell, authors: false }
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

/// Every action that this build declares.
pub fn all() -> impl Iterator<Item = &'static Declaration> {
    std::iter::once(&HTTP_REQUEST).chain(TELLS.iter().map(|(_, _, declaration)| declaration))
}

/// The declaration of an action.
#[must_use]
pub fn find(name: &str) -> Option<&'static Declaration> {
    all().find(|declaration| declaration.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_subject() {
        for action in all() {
            assert!(action.name.split('.').all(crate::id::is_token), "{}", action.name);
            assert_eq!(action.hash().len(), 16);
        }
    }
}

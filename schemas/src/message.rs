//! What is told to people, in a form that every kind of receiver renders its own way: a page, a message in a channel
//! that is brought up to date, an e-mail.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Instance, RunId, Timestamp, id::ReceiverName};

/// What to tell, as parameters of `notify.<kind>.<verb>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Telling {
    /// The receiver's name.
    pub receiver: ReceiverName,
    /// What its kind needs, as written in `policy:`; secrets are references `{secret: name}`.
    pub to: Value,
    /// What to say.
    pub message: Message,
    /// Where the thread is, as its newest answer has it: an update edits that message, or answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Value>,
}

/// One message, or the newest state of one that is brought up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The same for all messages about one thing: PagerDuty's `dedup_key`, the thread of an e-mail.
    pub thread: Arc<str>,
    /// How it stands.
    pub tone: Tone,
    /// What it is about, in a line: `elasticsearch-node-lost on a2`.
    pub title: Arc<str>,
    /// What there is to say now.
    pub text: Arc<str>,
    /// What happened since the message before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub news: Vec<Arc<str>>,
    /// The run, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// What a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
}

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// It goes on.
    Working,
    /// It waits for a person.
    Asking,
    /// It ended, and nobody need do anything.
    Good,
    /// Somebody must look.
    Bad,
}

/// An approval that is asked for. An answer is bound to all of it: to this run, this instance, this plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    /// The run.
    pub run: RunId,
    /// The step instance; `guard` before the first effect.
    pub instance: Instance,
    /// Hash of the plan that is shown.
    pub plan_hash: Arc<str>,
    /// What would be done, a line each.
    pub plan: Vec<Arc<str>>,
    /// The group of approvers, as policy names it.
    pub by: Arc<str>,
    /// No answer by then is a no.
    pub until: Timestamp,
}

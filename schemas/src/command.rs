//! Commands: work for runners and the notifier. A command can be lost or come twice without harm: what stands
//! between it and the world is its ticket.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Instance, RunId, Span, Timestamp, action::Effect};

/// Perform the effect, or look whether it took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Do it.
    Perform,
    /// Look, the first or the second time.
    Observe(u8),
}

/// What to do, without what the sender adds (decision and stop numbers): part of the event that dispatched it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Perform or observe.
    pub kind: Kind,
    /// The action's name.
    pub action: Arc<str>,
    /// Effect class under which it was decided; the runner refuses when it sees another.
    pub effect: Effect,
    /// The zone whose runners take it.
    pub zone: crate::Zone,
    /// Parameters, templates filled in; secrets stay references `{secret: name}` (rule 28).
    pub params: Arc<Value>,
    /// Name of the node it acts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// Nobody begins after this, in the engine's `now`.
    pub claim_by: Timestamp,
    /// Longest time the call may take.
    pub timeout: Span,
}

/// The message on COMMANDS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Version of the wire.
    pub v: u32,
    /// The run; for a tell without a run, the episode's id.
    pub run: RunId,
    /// The step instance.
    pub instance: Instance,
    /// Which try.
    pub attempt: u32,
    /// What to do.
    pub task: Task,
    /// Same over attempts (rule 20).
    pub action_key: Arc<str>,
    /// The record that decided it.
    pub decision_seq: u64,
    /// The stop switch that must not have been pulled.
    pub stop_no: u64,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Arc<str>>,
}

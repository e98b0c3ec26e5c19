//! A run's story for people: the one message of its subject in RUNS. It can be rebuilt from DECISIONS.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Fingerprint, PlaybookName, RunId, Timestamp, event::RunEvent, run::RunResult};

/// Most lines of one story; beyond it the oldest middle lines go, and `cut` says how many.
pub const LINES_MAX: usize = 200;

/// The story of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Story {
    /// Version of the wire.
    pub v: u32,
    /// The DECISIONS sequence that it reflects.
    pub seq: u64,
    /// The writer's epoch: an older one stops.
    pub epoch: u64,
    /// The run.
    pub run: RunId,
    /// Its playbook.
    pub playbook: PlaybookName,
    /// Its target's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Arc<str>>,
    /// The alert that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// What happened, oldest first.
    pub lines: Vec<Line>,
    /// Lines left out of the middle.
    #[serde(default)]
    pub cut: u64,
}

/// One line of a story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The engine's `now`.
    pub at: Timestamp,
    /// The record.
    pub seq: u64,
    /// What was decided.
    pub what: RunEvent,
}

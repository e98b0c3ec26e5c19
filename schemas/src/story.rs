//! A run's story for people: the one message of its subject in RUNS. It can be rebuilt from DECISIONS.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Fingerprint, PlaybookName, RunId, Timestamp,
    command::Kind,
    event::{AfterUnknown, RunEvent},
    fact::Answer,
    run::RunResult,
};

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

impl RunEvent {
    /// What it says to people, in a line; none for what only the log need know.
    #[must_use]
    pub fn said(&self) -> Option<String> {
        Some(match self {
            Self::Started { .. } | Self::Joined { .. } | Self::Revoked { .. } | Self::Began { .. } => {
                return None;
            }
            Self::LockTaken { deadline } => format!("began; no step begins after {deadline}"),
            Self::Held { by, .. } => format!("held: {by}"),
            Self::StepSkipped { instance } => format!("{instance}: skipped"),
            Self::Paced { instance, credential, until, .. } => {
                format!("{instance}: waits for the rate of {credential} until {until}")
            }
            Self::Dispatched { instance, attempt, task, .. } => match task.kind {
                Kind::Perform if *attempt > 1 => format!("{instance}: {}, attempt {attempt}", task.action),
                Kind::Perform => format!("{instance}: {}", task.action),
                Kind::Observe(_) => format!("{instance}: looks whether it took place"),
            },
            Self::Overdue { instance, .. } => format!("{instance}: no runner has taken it"),
            Self::AttemptFailed { instance, reason, .. } => format!("{instance}: failed: {reason}"),
            Self::AttemptUnknown { instance, reason, next, .. } => {
                let next = if matches!(next, AfterUnknown::Ask) { "; a person must say" } else { "" };
                format!("{instance}: nobody knows whether it took place: {reason}{next}")
            }
            Self::Observed { instance, answer, .. } => {
                let saw = match answer {
                    Answer::Done { .. } => "done",
                    Answer::NotDone => "not done",
                    Answer::CannotTell { state } => state,
                };
                format!("{instance}: it looks {saw}")
            }
            Self::Settled { instance, done, by, .. } => {
                format!("{instance}: {} took place, says {by}", if *done { "it" } else { "it never" })
            }
            Self::StepSucceeded { instance, .. } => format!("{instance}: done"),
            Self::StepFailed { instance, reason, .. } => format!("{instance}: failed: {reason}"),
            Self::Chosen { instance, branch } => format!("{instance}: takes branch {}", branch + 1),
            Self::ParallelBegan { .. } => return None,
            Self::LoopBegan { instance, names, .. } => format!("{instance}: for {}", names.join(", ")),
            Self::SubBegan { instance, playbook, target, .. } => {
                let on = target.as_ref().map(|target| format!(" on {}", target.name()));
                format!("{instance}: runs {playbook}{}", on.unwrap_or_default())
            }
            Self::SubEnded { instance, result, reason, .. } => {
                format!("{instance}: {}: {reason}", result.word())
            }
            Self::Concluded { instance, result, reason, undo, .. } => {
                let what = instance.as_ref().map_or_else(String::new, |instance| format!("{instance}: "));
                let undo = if *undo { "; what was done is undone" } else { "" };
                format!("{what}will end {}: {reason}{undo}", result.word())
            }
            Self::WaitBegan { instance, until } => format!("{instance}: waits until {until}"),
            Self::VerifyBegan { instance, watches } => {
                let checks: Vec<&str> = watches.iter().map(|watch| watch.check.as_str()).collect();
                format!("{instance}: watches {}", checks.join(", "))
            }
            Self::VerifyHeld { instance } => format!("{instance}: it held"),
            Self::VerifyMissed { instance, reason } => format!("{instance}: it did not hold: {reason}"),
            Self::ApprovalAsked { ask } => format!("{}: asks {} until {}", ask.instance, ask.by, ask.until),
            Self::Approved { instance, by, .. } => format!("{instance}: {by} said yes"),
            Self::Denied { instance, by, reason } if reason.is_empty() => format!("{instance}: {by} said no"),
            Self::Denied { instance, by, reason } => format!("{instance}: {by} said no: {reason}"),
            Self::ApprovalExpired { instance } => format!("{instance}: nobody said yes in time"),
            Self::Cancelled { by, reason } if reason.is_empty() => format!("cancelled by {by}"),
            Self::Cancelled { by, reason } => format!("cancelled by {by}: {reason}"),
            Self::Resolved => "its alerts are over".to_owned(),
            Self::Ended { result, reason } => format!("{}: {reason}", result.word()),
        })
    }
}

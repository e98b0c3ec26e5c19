//! From events to what a person reads of an act: marks in order, bars of detect, decide, act and verify, and their
//! seconds. Pure.

use std::collections::BTreeMap;

use regreen_schemas::{
    Instance, RunId, Timestamp,
    alert::Status as Firing,
    check::Status,
    event::{Event, RunEvent, TellEvent},
    fact::Answer,
    roster::By,
    run::{Decision, Outcome, RunResult},
};
use serde::Serialize;

use super::seen::{Noted, Seen};
use crate::show;

/// What is done with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From the break to the alert's `200`.
    Detect,
    /// From there to the first command.
    Decide,
    /// From a command to its result.
    Act,
    /// Watching whether that helped.
    Verify,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Detect, Self::Decide, Self::Act, Self::Verify];

    /// As people read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Decide => "decide",
            Self::Act => "act",
            Self::Verify => "verify",
        }
    }
}

/// A stretch of time with one thing to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Which.
    pub phase: Phase,
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// What it was about.
    pub label: String,
    /// Whether it came to what was wanted.
    pub well: bool,
}

/// A moment worth a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// When, by the log.
    pub at: Timestamp,
    /// In a word.
    pub word: &'static str,
    /// All of it.
    pub text: String,
}

/// Seconds of each phase; they need not add up to the whole: nobody waits for a verify that has missed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seconds {
    /// Break to alert.
    pub detect: f64,
    /// Alert to first command.
    pub decide: f64,
    /// All calls.
    pub act: f64,
    /// All watching.
    pub verify: f64,
    /// Break to the end of the run: the recovery time. None: it did not repair.
    pub rto: Option<f64>,
}

/// An act in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// When it broke.
    pub broke: Timestamp,
    /// The last thing that belongs to it.
    pub ended: Timestamp,
    /// The run that dealt with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// How that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<RunResult>,
    /// Of a run that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Seconds>,
    /// In order of their beginning.
    pub bars: Vec<Bar>,
    /// In order.
    pub marks: Vec<Mark>,
}

/// Seconds between two moments.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    f64::from(i32::try_from((to - from).0).unwrap_or(i32::MAX)) / 1000.0
}

/// What the log says about an act that began when something broke, and about the first run of this playbook in it.
pub fn of(broke: Timestamp, playbook: &str, seen: &Seen) -> Timeline {
    let end = seen.end_of(playbook);
    let run = seen.run_of(playbook).cloned();
    let marks: Vec<Mark> = seen.noted.iter().flat_map(marks).collect();
    let last = marks.last().map_or(broke, |mark| mark.at);
    let ended = end.as_ref().map_or(last, |end| end.at);
    let mut bars = begun(broke, run.as_ref(), seen);
    bars.extend(run.iter().flat_map(|run| worked(run, seen)));
    bars.sort_by_key(|bar| (bar.from, bar.phase));
    let sum = |phase: Phase| {
        let of = bars.iter().filter(|bar| bar.phase == phase);
        seconds(Timestamp(0), Timestamp(of.map(|bar| (bar.to - bar.from).0).sum()))
    };
    let seconds = end.as_ref().map(|end| Seconds {
        detect: sum(Phase::Detect),
        decide: sum(Phase::Decide),
        act: sum(Phase::Act),
        verify: sum(Phase::Verify),
        rto: (end.result == RunResult::Repaired).then(|| seconds(broke, end.at)),
    });
    Timeline { broke, ended, run, result: end.map(|end| end.result), seconds, bars, marks }
}

/// Detect and decide: up to the run's first command; where nothing is done, until it was held back or somebody was told.
fn begun(broke: Timestamp, run: Option<&RunId>, seen: &Seen) -> Vec<Bar> {
    let alerted = seen
        .noted
        .iter()
        .find(|noted| matches!(noted.event, Event::AlertDecided { status: Firing::Firing, .. }));
    let down = || {
        seen.noted.iter().find(|noted| matches!(noted.event, Event::VerdictChanged { to: Status::Down, .. }))
    };
    let Some(first) = alerted.or_else(down) else { return Vec::new() };
    let bar = |phase, from, to, label: &str| Bar { phase, from, to, label: label.to_owned(), well: true };
    let detected = seen.stored(first).max(broke);
    let mut bars = vec![bar(Phase::Detect, broke, detected, "until an alert is stored")];
    let command = seen.attempts().find(|(of, ..)| Some(*of) == run).map(|(_, at, _)| at);
    let blocked = |(noted, decision): (&Noted, &Decision)| {
        matches!(decision.outcome, Outcome::Blocked(_)).then_some(noted.at)
    };
    let refused = seen.decisions().find_map(blocked).map(|at| (at, "until it was held back"));
    let told = seen.told().next().map(|(noted, _)| (noted.at, "until somebody was told"));
    let command = command.map(|at| (at, "until the first command"));
    if let Some((decided, label)) = command.or_else(|| refused.into_iter().chain(told).min()) {
        bars.push(bar(Phase::Decide, detected, decided.max(detected), label));
    }
    bars
}

/// Calls and watches of one run: from their beginning to what ended them.
fn worked(run: &RunId, seen: &Seen) -> Vec<Bar> {
    let mut open: BTreeMap<Instance, Bar> = BTreeMap::new();
    let mut bars = Vec::new();
    for (noted, _, what) in seen.runs().filter(|(_, of, _)| *of == run) {
        let begin = |phase, label: String| Bar { phase, from: noted.at, to: noted.at, label, well: true };
        match what {
            RunEvent::Dispatched { instance, task, .. } => {
                let label = format!("{instance}: {}", task.action);
                open.entry(instance.clone()).or_insert_with(|| begin(Phase::Act, label));
            }
            RunEvent::VerifyBegan { instance, watches } => {
                let checks: Vec<&str> = watches.iter().map(|watch| watch.check.as_str()).collect();
                let label = format!("{instance}: {}", checks.join(", "));
                open.insert(instance.clone(), begin(Phase::Verify, label));
            }
            _ => {}
        }
        let well = match what {
            RunEvent::StepSucceeded { .. } | RunEvent::VerifyHeld { .. } => true,
            RunEvent::StepFailed { .. } | RunEvent::VerifyMissed { .. } | RunEvent::StepSkipped { .. } => {
                false
            }
            _ => continue,
        };
        if let Some(mut bar) = what.instance().and_then(|instance| open.remove(instance)) {
            // A call ends when its result is stored, a watch when that is decided.
            bar.to = if bar.phase == Phase::Act { seen.stored(noted).max(bar.from) } else { noted.at };
            bar.well = well;
            bars.push(bar);
        }
    }
    bars
}

/// What is worth a line: of one event none, one, or one a playbook.
pub fn marks(noted: &Noted) -> Vec<Mark> {
    let mark = |word, text: String| vec![Mark { at: noted.at, word, text }];
    match &noted.event {
        Event::VerdictChanged { check, from, to, .. } => {
            mark("seen", format!("{check} is {} (was {})", to.word(), from.word()))
        }
        Event::AlertDecided { decisions, .. } | Event::AlertReconsidered { decisions, .. } => {
            decisions.iter().flat_map(|decision| mark("decided", show::decision(decision))).collect()
        }
        Event::EpisodeClosed { .. } => mark("seen", "the alert resolved".into()),
        Event::Takeover { .. } => mark("takes", "an engine took the log over".into()),
        Event::NodeAdded { group, node, by } => {
            mark("added", format!("{} of {group}, by {}", node.name, known_by(by)))
        }
        Event::NodeRemoved { group, node, by } => {
            mark("removed", format!("{} of {group}, by {}", node.name, known_by(by)))
        }
        Event::CooldownCleared { by, playbook, .. } => {
            mark("cleared", format!("the cooldown of {playbook}, by {by}"))
        }
        Event::Tell { key, what: TellEvent::Queued { text, .. } } => {
            mark("tells", format!("{}: {text}", key.receiver.as_str()))
        }
        Event::Tell { key, what: TellEvent::Failed { reason, .. } | TellEvent::GivenUp { reason } } => {
            mark("not told", format!("{}: {reason}", key.receiver.as_str()))
        }
        Event::Run { what, .. } => called(what)
            .or_else(|| went(what))
            .into_iter()
            .flat_map(|(word, text)| mark(word, text))
            .collect(),
        _ => Vec::new(),
    }
}

/// Who says that a node is there.
fn known_by(by: &By) -> String {
    match by {
        By::Run(run) => format!("run {run}"),
        By::Discovery => "the provider's list".to_owned(),
    }
}

/// What became of calls.
fn called(what: &RunEvent) -> Option<(&'static str, String)> {
    Some(match what {
        RunEvent::Dispatched { instance, attempt, task, .. } => {
            ("dispatch", format!("{instance}, attempt {attempt}: {}", task.action))
        }
        RunEvent::StepSucceeded { instance, .. } => ("done", instance.to_string()),
        RunEvent::StepFailed { instance, reason, .. } => ("failed", format!("{instance}: {reason}")),
        RunEvent::AttemptFailed { instance, attempt, reason, .. } => {
            ("failed", format!("{instance}, attempt {attempt}: {reason}"))
        }
        RunEvent::Overdue { attempt, .. } => {
            ("asks", format!("nobody answers for attempt {attempt}: who holds its ticket?"))
        }
        RunEvent::Revoked { attempt, .. } => ("revoked", format!("attempt {attempt} never began")),
        RunEvent::Began { attempt, .. } => {
            ("waits", format!("a runner had begun attempt {attempt}; it may still answer"))
        }
        RunEvent::AttemptUnknown { reason, .. } => {
            ("unknown", format!("{reason}: it is looked up, not repeated"))
        }
        RunEvent::Observed { look, answer, .. } => ("looked", format!("{look}: {}", word(answer))),
        _ => return None,
    })
}

/// What became of the run itself.
fn went(what: &RunEvent) -> Option<(&'static str, String)> {
    Some(match what {
        RunEvent::SubBegan { instance, playbook, .. } => ("runs", format!("{instance}: {playbook}")),
        RunEvent::SubEnded { instance, result, reason, .. } => {
            ("ran", format!("{instance}: {}: {reason}", result.word()))
        }
        RunEvent::Held { by } => ("held", by.to_string()),
        RunEvent::VerifyBegan { .. } => ("looks", "whether that helped".into()),
        RunEvent::VerifyHeld { .. } => ("verified", "it held".into()),
        RunEvent::VerifyMissed { instance, reason } => ("missed", format!("{instance}: {reason}")),
        RunEvent::Resolved => ("resolved", "all its alerts are over".into()),
        RunEvent::Ended { result, reason } => ("ended", format!("{}: {reason}", result.word())),
        _ => return None,
    })
}

const fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done { .. } => "it is done",
        Answer::NotDone => "it is not done",
        Answer::CannotTell { .. } => "that can't be told",
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;

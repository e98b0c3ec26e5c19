//! What the log said during one act, and questions about it. Pure.

use std::collections::BTreeMap;

use regreen_schemas::{
    RunId, Timestamp,
    command::{Kind, Task},
    event::{Event, RunEvent, TellEvent},
    run::{Decision, Outcome, RunResult},
};

/// An event as the log has it.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The engine's time.
    pub at: Timestamp,
    /// The fact that it was decided on: its sequence in FACTS.
    pub fact: Option<u64>,
    /// What.
    pub event: Event,
}

/// One act, as the log has it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// In the order of the log.
    pub noted: Vec<Noted>,
    /// When FACTS stored what was decided on, where that is looked up.
    pub stored: BTreeMap<u64, Timestamp>,
}

/// How a run ended.
pub struct End {
    /// The run.
    pub run: RunId,
    /// How.
    pub result: RunResult,
    /// When.
    pub at: Timestamp,
}

impl Seen {
    /// What happened to runs.
    pub fn runs(&self) -> impl Iterator<Item = (&Noted, &RunId, &RunEvent)> {
        self.noted.iter().filter_map(|noted| match &noted.event {
            Event::Run { run, what } => Some((noted, run, what)),
            _ => None,
        })
    }

    /// The first run of a playbook.
    pub fn run_of(&self, playbook: &str) -> Option<&RunId> {
        let started = |what: &RunEvent| matches!(what, RunEvent::Started { playbook: of, .. } if of.as_str() == playbook);
        self.runs().find(|(_, _, what)| started(what)).map(|(_, run, _)| run)
    }

    /// How the first run of a playbook ended.
    pub fn end_of(&self, playbook: &str) -> Option<End> {
        let wanted = self.run_of(playbook)?;
        self.runs().find_map(|(noted, run, what)| match what {
            RunEvent::Ended { result, .. } if run == wanted => {
                Some(End { run: run.clone(), result: *result, at: noted.at })
            }
            _ => None,
        })
    }

    /// Attempts that were sent to a runner, with their run.
    pub fn attempts(&self) -> impl Iterator<Item = (&RunId, Timestamp, &Task)> {
        self.runs().filter_map(|(noted, run, what)| match what {
            RunEvent::Dispatched { task, .. } if task.kind == Kind::Perform => Some((run, noted.at, task)),
            _ => None,
        })
    }

    /// Runs of the steps that succeeded, a line a step.
    pub fn succeeded(&self) -> impl Iterator<Item = &RunId> {
        self.runs()
            .filter(|(_, _, what)| matches!(what, RunEvent::StepSucceeded { .. }))
            .map(|(_, run, _)| run)
    }

    /// Looks at unknown outcomes.
    pub fn looks(&self) -> usize {
        self.runs().filter(|(_, _, what)| matches!(what, RunEvent::Observed { .. })).count()
    }

    /// What playbooks made of alerts.
    pub fn decisions(&self) -> impl Iterator<Item = (&Noted, &Decision)> {
        self.noted.iter().flat_map(|noted| {
            let decisions = match &noted.event {
                Event::AlertDecided { decisions, .. } | Event::AlertReconsidered { decisions, .. } => {
                    decisions.as_slice()
                }
                _ => &[],
            };
            decisions.iter().map(move |decision| (noted, decision))
        })
    }

    /// The newest guard that held a playbook back.
    pub fn blocked(&self) -> Option<String> {
        let blocks = self.decisions().filter_map(|(_, decision)| match &decision.outcome {
            Outcome::Blocked(block) => Some(block.to_string()),
            _ => None,
        });
        blocks.last()
    }

    /// Whether an alert is over.
    pub fn resolved(&self) -> bool {
        self.noted.iter().any(|noted| matches!(noted.event, Event::EpisodeClosed { .. }))
    }

    /// Receivers that were told something.
    pub fn told(&self) -> impl Iterator<Item = (&Noted, &str)> {
        self.noted.iter().filter_map(|noted| match &noted.event {
            Event::Tell { key, what: TellEvent::Told | TellEvent::Posted { .. } } => {
                Some((noted, key.receiver.as_str()))
            }
            _ => None,
        })
    }

    /// When a fact was stored; the engine's time of what was decided on it, where nobody looked that up.
    pub fn stored(&self, noted: &Noted) -> Timestamp {
        noted.fact.and_then(|seq| self.stored.get(&seq)).copied().unwrap_or(noted.at)
    }
}

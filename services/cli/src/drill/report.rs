//! What a drill found: its acts against their objectives, and the effect log against the log of decisions. One form,
//! from which the terminal, JSON, the page and the history are made.

use std::process::ExitCode;

use regreen_schemas::{RunId, Timestamp, run::RunResult};
use serde::Serialize;

use super::{
    canary,
    timeline::{Seconds, Timeline},
};
use crate::out;

/// Everything about one drill.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub drill: &'static str,
    /// Of Regreen.
    pub version: &'static str,
    /// When the first act began.
    pub began: Timestamp,
    /// When the last one was over.
    pub ended: Timestamp,
    /// Whether every objective is met and everything agrees.
    pub met: bool,
    /// Whether the effect log says what the log of decisions says.
    pub agrees: bool,
    /// Where it does not, and what else was not as it should be.
    pub disagreements: Vec<String>,
    /// How many effects were made on purpose of a repair.
    pub effects: usize,
    /// Everything that the outside did or had done to it.
    pub effect_log: Vec<Effect>,
    /// In their order.
    pub acts: Vec<Act>,
    /// How this is not what is shipped, or not what production would be.
    pub notes: Vec<String>,
    /// By how much durations were divided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// What the search nodes were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<&'static str>,
    /// The documents that were written all the while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<canary::Tally>,
    /// What only the drill `hello` says.
    #[serde(flatten)]
    pub hello: Option<Hello>,
}

/// By how much durations were divided.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Speed {
    /// Waits.
    pub waits: u32,
    /// Cooldowns, and windows of budgets.
    pub memory: u32,
}

/// What `hello` says beside.
#[derive(Clone, Debug, Serialize)]
pub struct Hello {
    /// The run of its first act.
    pub run: RunId,
    /// How that ended.
    pub result: RunResult,
    /// Seconds of the first act.
    pub seconds: Seconds,
    /// What held the second act back.
    pub held_back_by: String,
    /// How the outcome of act three was learned.
    pub looked_up: bool,
}

/// One act.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// `one`, `two`, …
    pub name: &'static str,
    /// What breaks.
    pub title: &'static str,
    /// What must become of it.
    pub expected: &'static str,
    /// What was not so.
    pub wrong: Vec<String>,
    /// What was to be reached.
    pub objectives: Vec<Objective>,
    /// What else was seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What happened, in time.
    pub timeline: Timeline,
    /// Stretches in which no document was accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<canary::Gap>,
}

impl Act {
    /// Whether it went as it must.
    pub fn is_well(&self) -> bool {
        self.wrong.is_empty() && self.objectives.iter().all(|objective| objective.met)
    }
}

/// What an objective is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// Seconds until it was repaired.
    Rto,
    /// Acknowledged documents that are lost.
    Rpo,
}

impl Aim {
    /// As people write it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rto => "RTO",
            Self::Rpo => "RPO",
        }
    }

    /// What it is counted in.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Rto => "s",
            Self::Rpo => "documents",
        }
    }
}

/// What was to be reached, and what was.
#[derive(Clone, Debug, Serialize)]
pub struct Objective {
    /// About what.
    pub aim: Aim,
    /// The most.
    pub limit: f64,
    /// What was measured; none: it never came to that.
    pub measured: Option<f64>,
    /// Whether that is enough.
    pub met: bool,
    /// Where the limit comes from.
    pub source: String,
}

impl Objective {
    /// At most so much.
    pub fn at_most(aim: Aim, limit: f64, measured: Option<f64>, source: impl Into<String>) -> Self {
        let met = measured.is_some_and(|measured| measured <= limit);
        Self { aim, limit, measured, met, source: source.into() }
    }

    /// In a line.
    pub fn said(&self) -> String {
        let digits = if self.aim == Aim::Rto { 2 } else { 0 };
        let measured = self.measured.map_or_else(|| "never".to_owned(), |found| format!("{found:.digits$}"));
        let (word, unit, limit) = (self.aim.word(), self.aim.unit(), self.limit);
        let verdict = if self.met { "met" } else { "NOT met" };
        format!("{word} {measured} of {limit} {unit}: {verdict} ({})", self.source)
    }
}

/// A line of an effect log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// When.
    pub at: Timestamp,
    /// `reboot`, `kill`, …
    pub what: String,
    /// To what.
    pub on: String,
    /// By whom; nobody: by the drill itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Report {
    /// 0: all is met; 1: something is not.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.met))
    }

    /// For the terminal.
    pub fn print(&self) {
        self.acts.iter().for_each(print_act);
        if let Some(tally) = &self.canary {
            out::line(&tally.said());
        }
        if let Some(hello) = &self.hello {
            out::line(&format!("\nact two was held back by {}", hello.held_back_by));
            out::line(
                "act three: the runner died in its call; the outcome was looked up, twice, and not repeated",
            );
        }
        self.notes.iter().for_each(|note| out::line(&format!("note: {note}")));
        match self.disagreements.as_slice() {
            [] => out::line(&format!("the effect log agrees: {} effects, and no other", self.effects)),
            wrong => wrong.iter().for_each(|line| out::line(&format!("DISAGREES: {line}"))),
        }
    }
}

fn print_act(act: &Act) {
    let result = act.timeline.result.map_or("no run", |result| result.word());
    out::line(&format!("\nact {}: {}: {result}", act.name, act.title));
    if let Some(Seconds { detect, decide, act, verify, rto }) = act.timeline.seconds {
        let back = rto.map_or_else(|| "not back".to_owned(), |rto| format!("back after {rto:.2} s"));
        out::line(&format!(
            "detect {detect:.2} s   decide {decide:.2} s   act {act:.2} s   verify {verify:.2} s   {back}"
        ));
    }
    act.objectives.iter().for_each(|objective| out::line(&format!("  {}", objective.said())));
    act.notes.iter().for_each(|note| out::line(&format!("  {note}")));
    act.wrong.iter().for_each(|line| out::line(&format!("  WRONG: {line}")));
}

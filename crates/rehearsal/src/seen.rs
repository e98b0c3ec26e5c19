//! All that happened in a case, as people would tell it: the trace, what was done, what was decided, who was told.

use std::{collections::BTreeMap, sync::Arc};

use regreen_decider::evaluate::Clause;
use regreen_playbook::cases::Word;
use regreen_schemas::{Fingerprint, RunId, Span, Timestamp, fact::TellKey, run::RunResult};
use serde_json::Value;

use crate::{
    coverage::Marks,
    words::{clean, yaml},
};

/// A line of the trace.
#[derive(Clone, Debug)]
pub struct Line {
    /// When, as of the start.
    pub at: Span,
    /// The run, by its number; none where it is about no run.
    pub run: Option<usize>,
    /// What.
    pub text: String,
}

/// Something that was done: an attempt of a step.
#[derive(Clone, Debug)]
pub struct Acted {
    /// When.
    pub at: Span,
    /// The step's path.
    pub step: Arc<str>,
    /// The action.
    pub action: Arc<str>,
    /// All its parameters.
    pub with: Value,
}

impl Acted {
    /// As a test would write it, with these parameters only.
    #[must_use]
    pub fn yaml(&self, keys: Option<&[Arc<str>]>) -> String {
        let all = self.with.as_object().into_iter().flatten();
        let kept = all.filter(|(key, _)| keys.is_none_or(|keys| keys.iter().any(|kept| **kept == ***key)));
        let with: Vec<String> = kept.map(|(key, value)| format!("{key}: {}", yaml(value))).collect();
        action_line(self.at, &self.step, &self.action, &with)
    }
}

pub(crate) fn action_line(at: Span, step: &str, action: &str, with: &[String]) -> String {
    let with = if with.is_empty() { String::new() } else { format!(", with: {{{}}}", with.join(", ")) };
    format!("{{at: {at}, step: {step}, use: {action}{with}}}")
}

/// A decision.
#[derive(Clone, Debug)]
pub struct Decided {
    /// When.
    pub at: Span,
    /// What.
    pub word: Word,
    /// With its whole reason.
    pub detail: String,
    /// What was looked at, where nothing was started.
    pub clauses: Vec<Clause>,
    /// It will be decided once it has lasted long enough: no decision yet.
    pub pending: bool,
}

/// Somebody who was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// When the first message of the thread went out.
    pub at: Span,
    /// Whom.
    pub to: Arc<str>,
    /// All messages of the thread.
    pub texts: Vec<String>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its playbook.
    pub playbook: Arc<str>,
    /// When it started.
    pub started: Span,
    /// How it ended, when, and why; none: it is still open.
    pub ended: Option<(Span, RunResult, String)>,
    /// Where it stands, when it is open.
    pub stands: String,
}

/// All that happened.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The trace.
    pub lines: Vec<Line>,
    /// What was done.
    pub actions: Vec<Acted>,
    /// What was decided.
    pub decisions: Vec<Decided>,
    /// Who was told.
    pub told: Vec<Told>,
    /// Runs, in the order in which they started.
    pub runs: Vec<Ran>,
    /// Why the case could not be played to its end.
    pub problem: Option<String>,
    /// The virtual time that it took.
    pub lasted: Span,
    pub(crate) marks: Marks,
    pub(crate) ids: Vec<RunId>,
    pub(crate) threads: BTreeMap<TellKey, usize>,
    /// The newest decision on each alert.
    pub(crate) newest: BTreeMap<Fingerprint, Word>,
    pub(crate) start: Timestamp,
    pub(crate) now: Timestamp,
}

impl Seen {
    pub(crate) fn new(start: Timestamp) -> Self {
        Self {
            lines: Vec::new(),
            actions: Vec::new(),
            decisions: Vec::new(),
            told: Vec::new(),
            runs: Vec::new(),
            problem: None,
            lasted: Span::ZERO,
            marks: Marks::default(),
            ids: Vec::new(),
            threads: BTreeMap::new(),
            newest: BTreeMap::new(),
            start,
            now: start,
        }
    }

    /// The trace as text; runs have their number where there are several.
    #[must_use]
    pub fn text(&self) -> String {
        let several = self.runs.len() > 1;
        let mut out = String::new();
        for line in &self.lines {
            let run = match line.run {
                Some(run) if several => format!("run {run}: "),
                _ => String::new(),
            };
            out.push_str(format!("{:<8}{run}{}", line.at.to_string(), line.text).trim_end());
            out.push('\n');
        }
        out
    }

    /// Now, as of the start.
    pub(crate) fn at(&self) -> Span {
        self.now - self.start
    }

    pub(crate) fn line(&mut self, run: Option<&RunId>, text: &str) {
        let run = run.and_then(|run| self.number(run));
        let text = self.clean(text).replace('\n', " ");
        self.lines.push(Line { at: self.at(), run, text });
    }

    pub(crate) fn clean(&self, text: &str) -> String {
        clean(text, self.start, &self.ids)
    }

    /// The same in all texts of a value.
    pub(crate) fn clean_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.clean(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.clean_value(item)).collect(),
            Value::Object(map) => {
                let entries = map.into_iter().map(|(key, value)| (key, self.clean_value(value)));
                entries.collect::<serde_json::Map<_, _>>().into()
            }
            other => other,
        }
    }

    /// A run's number, from 1.
    pub(crate) fn number(&self, run: &RunId) -> Option<usize> {
        self.ids.iter().position(|id| id == run).map(|nth| nth + 1)
    }

    /// What is known of a run.
    pub(crate) fn run(&mut self, run: &RunId) -> Option<&mut Ran> {
        let nth = self.number(run)?;
        self.runs.get_mut(nth - 1)
    }
}

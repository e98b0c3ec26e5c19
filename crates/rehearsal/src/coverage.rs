//! What the cases went through: steps, branches, ends. Full branch coverage means: every step was reached, every `if`
//! was true and false, every branch taken, every failure that something follows was seen, the closing verify held and
//! missed, and `when` was true and false.

use std::collections::{BTreeMap, BTreeSet};

use regreen_playbook::{
    Set,
    cases::{Parts, Tests},
    diagnostic::Source,
    model::{On, OnFailure, Playbook, Step, StepKind},
    tree::Node,
};
use regreen_schemas::{
    Instance, PlaybookName, RunId,
    event::{Origin, RunEvent, Then},
    run::RunResult,
};

/// Something that a case went through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    Reached(String),
    LeftOut(String),
    Branch(String, u32),
    Failed(String),
    UndoBegan,
    Closing(bool),
    When(bool),
    Trigger(String),
    Guard(String),
}

/// What a case went through, by playbook.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    set: BTreeSet<(PlaybookName, Mark)>,
    /// Playbooks at work, by run and path.
    at_work: BTreeMap<(RunId, String), PlaybookName>,
    begun: BTreeSet<(RunId, Instance)>,
}

impl Marks {
    pub fn mark(&mut self, playbook: &PlaybookName, mark: Mark) {
        self.set.insert((playbook.clone(), mark));
    }

    /// Takes in what happened to a run.
    pub fn event(&mut self, run: &RunId, what: &RunEvent) {
        match what {
            RunEvent::Started { playbook, trigger, origin, .. } => {
                self.at_work.insert((run.clone(), String::new()), playbook.clone());
                self.mark(playbook, Mark::When(true));
                let trigger = match origin {
                    Origin::Manual { .. } => Some("manual".to_owned()),
                    Origin::Alert { .. } => trigger.as_ref().map(ToString::to_string),
                };
                trigger.into_iter().for_each(|trigger| self.mark(playbook, Mark::Trigger(trigger)));
            }
            RunEvent::SubBegan { instance, playbook, .. } => {
                self.step(run, instance, what);
                self.at_work.insert((run.clone(), format!("{instance}.")), playbook.clone());
                self.mark(playbook, Mark::When(true));
            }
            RunEvent::Concluded { instance, result, reason, undo, .. } => {
                let base = instance.as_ref().map_or_else(String::new, |instance| format!("{instance}."));
                let Some(playbook) = self.at_work.get(&(run.clone(), base)).cloned() else { return };
                if *undo {
                    self.mark(&playbook, Mark::UndoBegan);
                }
                match result {
                    RunResult::Cancelled if reason.starts_with("recovered") => {
                        self.mark(&playbook, Mark::When(false));
                    }
                    RunResult::Blocked => self.mark(&playbook, Mark::Guard(first_word(reason))),
                    _ => {}
                }
            }
            other => {
                if let Some(instance) = other.instance() {
                    self.step(run, instance, other);
                }
            }
        }
    }

    fn step(&mut self, run: &RunId, instance: &Instance, what: &RunEvent) {
        let Some((playbook, id)) = self.locate(run, instance) else { return };
        let new = self.begun.insert((run.clone(), instance.clone()));
        if id == "closing" {
            match what {
                RunEvent::VerifyHeld { .. } => self.mark(&playbook, Mark::Closing(true)),
                RunEvent::VerifyMissed { .. } => self.mark(&playbook, Mark::Closing(false)),
                _ => {}
            }
            return;
        }
        match what {
            RunEvent::StepSkipped { .. } if new => self.mark(&playbook, Mark::LeftOut(id)),
            RunEvent::StepFailed { reason, .. } => {
                if new {
                    self.inner_refusal(reason);
                }
                if !(new && reason.starts_with("`if`")) {
                    self.mark(&playbook, Mark::Reached(id.clone()));
                }
                self.mark(&playbook, Mark::Failed(id));
            }
            RunEvent::SubEnded { result, .. } if !result.is_well() => self.mark(&playbook, Mark::Failed(id)),
            RunEvent::Chosen { branch, .. } => {
                self.mark(&playbook, Mark::Branch(id.clone(), *branch));
                self.mark(&playbook, Mark::Reached(id));
            }
            _ => self.mark(&playbook, Mark::Reached(id)),
        }
    }

    /// A playbook within that was not begun: `name: why`.
    fn inner_refusal(&mut self, reason: &str) {
        let Some((name, why)) = reason.split_once(": ") else { return };
        let name = PlaybookName::from(name);
        if why == "`when` is false" {
            self.mark(&name, Mark::When(false));
        } else if let Some(block) = why.strip_prefix("blocked: ") {
            self.mark(&name, Mark::Guard(first_word(block)));
        }
    }

    /// The playbook and the id of a step, by its path.
    fn locate(&self, run: &RunId, instance: &Instance) -> Option<(PlaybookName, String)> {
        let path = instance.as_str();
        let bases =
            self.at_work.iter().filter(|((of, base), _)| of == run && path.starts_with(base.as_str()));
        let (_, playbook) = bases.max_by_key(|((_, base), _)| base.len())?;
        let last = path.rsplit('.').next().unwrap_or(path);
        Some((playbook.clone(), last.to_owned()))
    }
}

fn first_word(text: &str) -> String {
    text.split([':', ' ']).next().unwrap_or(text).to_owned()
}

/// What is to be gone through.
#[derive(Clone, Debug)]
pub struct Item {
    /// What, in the words of the language.
    pub what: String,
    /// The line it stands on.
    pub line: usize,
    /// Whether a case went through it.
    pub covered: bool,
    /// Whether it counts as a branch; triggers and guards are only listed.
    pub counts: bool,
}

/// What was gone through of a playbook.
#[derive(Clone, Debug)]
pub struct OfPlaybook {
    /// Its name.
    pub playbook: PlaybookName,
    /// Its file.
    pub path: String,
    /// All that is to be gone through, in the order of the file.
    pub items: Vec<Item>,
}

impl OfPlaybook {
    /// Branches that were gone through, of all.
    #[must_use]
    pub fn branches(&self) -> (usize, usize) {
        let counted = self.items.iter().filter(|item| item.counts);
        (counted.clone().filter(|item| item.covered).count(), counted.count())
    }
}

/// What was gone through of all playbooks that are tested.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// By playbook.
    pub playbooks: Vec<OfPlaybook>,
    marks: BTreeSet<(PlaybookName, Mark)>,
}

impl Coverage {
    /// The least share of branches of any playbook, in percent, rounded down.
    #[must_use]
    pub fn least(&self) -> usize {
        let share = |(covered, of): (usize, usize)| (covered * 100).checked_div(of).unwrap_or(100);
        self.playbooks.iter().map(|playbook| share(playbook.branches())).min().unwrap_or(100)
    }

    pub(crate) fn take(&mut self, marks: &Marks) {
        self.marks.extend(marks.set.iter().cloned());
    }

    /// Lists what there is in playbooks that are tested, or were run by those.
    pub(crate) fn fill(
        &mut self,
        tests: &[Tests],
        parts: &BTreeMap<PlaybookName, Parts>,
        sources: &[Source],
    ) {
        let reached = self.marks.iter().map(|(playbook, _)| playbook);
        let wanted: BTreeSet<&PlaybookName> =
            tests.iter().map(|tests| &tests.playbook).chain(reached).collect();
        let model = |name: &PlaybookName| {
            tests.iter().find_map(|tests| Some((&*tests.set, tests.set.playbooks.get(name)?)))
        };
        let of = |name: &PlaybookName| {
            let ((set, playbook), parts) = (model(name)?, parts.get(name)?);
            let source = sources.get(parts.file)?;
            let list = List { marks: &self.marks, playbook, set, parts, source, items: Vec::new() };
            Some(OfPlaybook { playbook: name.clone(), path: source.path.clone(), items: list.all() })
        };
        self.playbooks = wanted.into_iter().filter_map(of).collect();
    }
}

struct List<'a> {
    marks: &'a BTreeSet<(PlaybookName, Mark)>,
    playbook: &'a Playbook,
    set: &'a Set,
    parts: &'a Parts,
    source: &'a Source,
    items: Vec<Item>,
}

impl List<'_> {
    fn all(mut self) -> Vec<Item> {
        let document = &self.parts.document;
        let triggers = self.parts.triggers.iter().zip(&self.playbook.triggers);
        for (node, trigger) in triggers {
            let id = if matches!(trigger.on, On::Manual { .. }) { "manual" } else { &trigger.id };
            self.add(format!("trigger {id} starts it"), Some(node), &Mark::Trigger(id.to_owned()), false);
        }
        if let Some(node) = document.get("when") {
            self.add("`when` true", Some(node), &Mark::When(true), true);
            self.add("`when` false", Some(node), &Mark::When(false), true);
        }
        if let Some(guard) = document.get("guard") {
            self.guards(guard);
        }
        if let Some(node) = document.get("on_failure").filter(|node| node.text() == Some("undo")) {
            self.add("a failure undoes what was done", Some(node), &Mark::UndoBegan, true);
        }
        for step in self.playbook.all_steps() {
            self.step(step);
        }
        if let Some(node) = document.get("verify") {
            self.add("closing verify held", Some(node), &Mark::Closing(true), true);
            self.add("closing verify missed", Some(node), &Mark::Closing(false), true);
        }
        self.items.sort_by_key(|item| item.line);
        self.items
    }

    fn guards(&mut self, guard: &Node) {
        for (key, word) in [
            ("lock", "lock"),
            ("cooldown", "cooldown"),
            ("budget", "budget"),
            ("min_healthy", "min_healthy"),
            ("circuit_breaker", "breaker"),
            ("maintenance", "maintenance"),
        ] {
            if let Some(node) = guard.get(key) {
                self.add(format!("guard {key} refuses"), Some(node), &Mark::Guard(word.to_owned()), false);
            }
        }
        if self.playbook.destructive() && !self.set.inventory.groups.is_empty() {
            self.add("guard storm refuses", Some(guard), &Mark::Guard("storm".to_owned()), false);
        }
    }

    fn step(&mut self, step: &Step) {
        let (id, parts) = (step.id.to_string(), self.parts);
        let node = parts.steps.get(&step.id);
        let at = |key: &str| node.and_then(|node| node.get(key)).or(node);
        if step.condition.is_some() {
            self.add(format!("{id}: `if` true"), at("if"), &Mark::Reached(id.clone()), true);
            self.add(format!("{id}: `if` false"), at("if"), &Mark::LeftOut(id.clone()), true);
        } else {
            self.add(format!("{id}: reached"), at("id"), &Mark::Reached(id.clone()), true);
        }
        if let StepKind::Choose(branches) = &step.kind {
            for (nth, branch) in (0..).zip(branches) {
                let what = branch.condition.as_ref().map_or("else", |condition| &condition.text);
                let what = format!("{id}: branch `{what}`");
                self.add(what, at("choose"), &Mark::Branch(id.clone(), nth), true);
            }
        }
        let written = node.and_then(|node| node.get("on_failure"));
        if written.is_some() && !matches!(step.on_failure, OnFailure::Stop) {
            self.add(format!("{id}: fails"), written, &Mark::Failed(id.clone()), true);
        }
    }

    fn add(&mut self, what: impl Into<String>, node: Option<&Node>, mark: &Mark, counts: bool) {
        let at = node.map_or(0, |node| node.range.start);
        let line = line_of(&self.source.text, at);
        let covered = self.marks.contains(&(self.playbook.name.clone(), mark.clone()));
        self.items.push(Item { what: what.into(), line, covered, counts });
    }
}

/// The line of a place, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// What follows a failure, for the trace.
pub(crate) const fn follows(then: Then) -> &'static str {
    match then {
        Then::Stop => "",
        Then::Continue => "; it goes on",
        Then::Undo => "; what was done is undone",
        Then::Steps => "; its steps for this follow",
    }
}

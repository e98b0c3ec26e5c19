//! What a playbook makes of an alert, clause by clause. `decide` takes the outcome, `explain` shows the clauses:
//! the same code, so what is explained is what was decided.

use regreen_playbook::{
    Set,
    cel::{self, Stop},
    model::{Busy, Playbook, TargetKind, Trigger},
    template::plain,
    value::Value,
};
use regreen_schemas::{
    Fingerprint, RunId, Timestamp,
    alert::Alert,
    check::Status,
    event::{Read, Target},
    mutation::{self, Mutation},
    run::{Block, Outcome, Skip},
};

use crate::{
    bounds,
    env::World,
    episodes::Episode,
    guards,
    state::{Phase, State},
};

/// One clause and what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// As written, or the guard's name.
    pub text: String,
    /// What it read.
    pub saw: String,
    /// Whether it let through.
    pub passed: bool,
}

/// A playbook's answer to an alert.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The outcome; `Started` carries the id that the run would get.
    pub outcome: Outcome,
    /// Every clause that was looked at, in order.
    pub clauses: Vec<Clause>,
    /// What was read.
    pub reads: Vec<Read>,
    /// A known end of a block.
    pub again_at: Option<Timestamp>,
    /// The target, as far as it was found.
    pub target: Option<Target>,
    /// Whether any trigger matched.
    pub matched: bool,
}

struct Evaluate<'a> {
    state: &'a State,
    set: &'a Set,
    playbook: &'a Playbook,
    clauses: Vec<Clause>,
    reads: Vec<Read>,
    again_at: Option<Timestamp>,
    target: Option<Target>,
}

/// Judges one playbook for a firing alert.
#[must_use]
pub fn evaluate(state: &State, set: &Set, playbook: &Playbook, alert: &Alert) -> Evaluation {
    let mut evaluate = Evaluate::new(state, set, playbook);
    let trigger = evaluate.trigger(alert);
    let matched = trigger.is_some();
    let outcome = match trigger {
        None => Outcome::Skipped(Skip::Unmatched),
        Some(trigger) => evaluate.alert(alert, trigger),
    };
    evaluate.end(outcome, matched)
}

/// Judges one playbook for a start by hand.
#[must_use]
pub fn evaluate_manual(state: &State, set: &Set, playbook: &Playbook, target: Option<&str>) -> Evaluation {
    let mut evaluate = Evaluate::new(state, set, playbook);
    let found = evaluate.find_target(target.map(str::to_owned));
    let outcome = match found {
        Err(wanted) => Outcome::Blocked(Block::Target { wanted: wanted.into() }),
        Ok(target) => {
            evaluate.target = target;
            evaluate.wants(None)
        }
    };
    evaluate.end(outcome, true)
}

impl<'a> Evaluate<'a> {
    fn new(state: &'a State, set: &'a Set, playbook: &'a Playbook) -> Self {
        let (clauses, reads) = (Vec::new(), Vec::new());
        Self { state, set, playbook, clauses, reads, again_at: None, target: None }
    }

    fn end(self, outcome: Outcome, matched: bool) -> Evaluation {
        let Self { clauses, mut reads, again_at, target, .. } = self;
        reads.sort();
        reads.dedup();
        Evaluation { outcome, clauses, reads, again_at, target, matched }
    }

    fn note(&mut self, text: impl Into<String>, saw: impl Into<String>, passed: bool) {
        self.clauses.push(Clause { text: text.into(), saw: saw.into(), passed });
    }

    /// The first trigger that matches; the clauses of the others say why not.
    fn trigger(&mut self, alert: &Alert) -> Option<&'a Trigger> {
        for trigger in &self.playbook.triggers {
            let Trigger::Alert { matchers, .. } = trigger else { continue };
            let mut all = true;
            for matcher in matchers {
                let passed = matcher.matches(&alert.labels);
                let value = alert.labels.get(matcher.label.as_str()).map_or("", |value| value);
                self.note(matcher.text.clone(), format!("{}={value:?}", matcher.label), passed);
                all &= passed;
            }
            if all {
                return Some(trigger);
            }
        }
        None
    }

    fn alert(&mut self, alert: &Alert, trigger: &Trigger) -> Outcome {
        if let Some(handled) = self.handled(&alert.fingerprint) {
            self.note("once an episode", "a run has dealt with this alert", false);
            return Outcome::Skipped(handled);
        }
        let Trigger::Alert { target, .. } = trigger else { return Outcome::Skipped(Skip::Unmatched) };
        let world = World {
            state: self.state,
            set: self.set,
            quorum: None,
            target: None,
            alert: Some(alert),
            run: None,
            now: self.state.now,
        };
        let name = match target.as_ref().map(|template| template.render(&world, plain)).transpose() {
            Ok(name) => name.map(|name| name.to_string()),
            Err(wanted) => return Outcome::Blocked(Block::Target { wanted: wanted.into() }),
        };
        match self.find_target(name) {
            Err(wanted) => return Outcome::Blocked(Block::Target { wanted: wanted.into() }),
            Ok(target) => self.target = target,
        }
        if let Some(run) = self.open_run(&alert.fingerprint) {
            self.note("one run a target", format!("run {run} is open"), true);
            return Outcome::Joined { run };
        }
        self.wants(Some(alert))
    }

    fn handled(&self, fingerprint: &Fingerprint) -> Option<Skip> {
        if mutation::is(Mutation::ForgetHandled) {
            return None;
        }
        let episode: &Episode = self.state.episodes.get(fingerprint)?;
        let (run, result, _) = episode.handled.get(&self.playbook.name)?;
        Some(Skip::Handled { run: run.clone(), result: *result })
    }

    fn find_target(&mut self, name: Option<String>) -> Result<Option<Target>, String> {
        let inventory = &self.set.inventory;
        let found = match (self.playbook.target, &name) {
            (TargetKind::None, _) => return Ok(None),
            (_, None) => return Err("none was given".into()),
            (TargetKind::Node, Some(name)) => inventory.node(name),
            (TargetKind::Group, Some(name)) => inventory.group(name),
        };
        let name = name.unwrap_or_default();
        let passed = found.is_some();
        self.note(
            "target",
            if passed { name.clone() } else { format!("`{name}` is not in the inventory") },
            passed,
        );
        self.reads.push(Read::Domain);
        found.map(Some).ok_or_else(|| format!("`{name}` is not in the inventory"))
    }

    fn open_run(&self, fingerprint: &Fingerprint) -> Option<RunId> {
        // The episode's own run first: a playbook without target may have many open ones.
        let own =
            self.state.episodes.get(fingerprint).and_then(|episode| episode.running.get(&self.playbook.name));
        if let Some(own) = own.filter(|_| !mutation::is(Mutation::ForgetHandled)) {
            return Some(own.clone());
        }
        self.target.as_ref()?;
        self.state.open.get(&(self.playbook.name.clone(), self.target.clone())).cloned()
    }

    /// Stop, `when`, servers, lock, guards: in this order, the first that forbids is the reason.
    fn wants(&mut self, alert: Option<&Alert>) -> Outcome {
        let state = self.state;
        self.reads.push(Read::Domain);
        if state.stopped.is_some() && !mutation::is(Mutation::IgnoreStop) {
            self.note("stop switch", "it is on", false);
            return Outcome::Blocked(Block::Stopped { stop_no: state.stop_no });
        }
        if matches!(state.phase, Phase::Suspect | Phase::Frozen) {
            self.note("suspect", "an operator must look first", false);
            return Outcome::Blocked(Block::Suspect);
        }
        let max = u32::try_from(bounds::RUNS_MAX).unwrap_or(u32::MAX);
        if state.runs.len() >= bounds::RUNS_MAX {
            self.again_at = Some(state.now + bounds::RECONSIDER);
            return Outcome::Blocked(Block::Full { max });
        }
        match self.when(alert) {
            Ok(true) => {}
            Ok(false) => return Outcome::Skipped(Skip::WhenFalse),
            Err(because) => return Outcome::Skipped(Skip::WhenUnknown { because: because.into() }),
        }
        self.reads.push(Read::Servers);
        if let Some(block) = state.unserved(self.set, self.playbook, self.target.as_ref()) {
            self.note("a runner serves every action", block.to_string(), false);
            return Outcome::Blocked(block);
        }
        let started = Outcome::Started { run: state.next_id() };
        if let Some(lock) = guards::lock(self.playbook, self.target.as_ref()) {
            if let Some((held, holder)) = state.lock_holder(&lock) {
                let queue = self.playbook.guard.busy == Busy::Queue;
                self.note(format!("lock {lock}"), format!("{held} is held by run {holder}"), queue);
                self.reads.push(Read::Lock(held.clone()));
                // A queued run is judged when it gets its lock.
                return if queue {
                    started
                } else {
                    Outcome::Blocked(Block::Lock { lock: held.clone(), holder: holder.clone() })
                };
            }
            self.note(format!("lock {lock}"), "free", true);
        }
        self.guards().map_or(started, Outcome::Blocked)
    }

    fn guards(&mut self) -> Option<Block> {
        let said = self.state.guards(self.set, self.playbook, self.target.as_ref(), &mut self.reads);
        let mut first = None;
        for said in said {
            self.note(said.guard, said.saw, said.block.is_none());
            if first.is_none() && said.block.is_some() {
                first = said.block;
                self.again_at = said.until;
            }
        }
        first
    }

    /// `when`, with the verdicts that it read.
    fn when(&mut self, alert: Option<&Alert>) -> Result<bool, String> {
        let Some(when) = &self.playbook.when else { return Ok(true) };
        let world = World {
            state: self.state,
            set: self.set,
            quorum: self.playbook.guard.quorum,
            target: self.target.as_ref(),
            alert,
            run: None,
            now: self.state.now,
        };
        let (found, saw, reads) = judge(when, &world);
        self.reads.extend(reads);
        self.note(format!("when: {}", when.text), saw, found == Ok(true));
        found
    }
}

/// Evaluates a condition: true, false, or why neither; what it saw; and the verdicts that it read.
pub(crate) fn judge(expr: &cel::Expr, world: &World<'_>) -> (Result<bool, String>, String, Vec<Read>) {
    let recorder = Recorder { world, reads: std::cell::RefCell::default() };
    let mut trace = cel::Trace::new();
    let value = cel::eval(expr, &recorder, &mut trace);
    let mut saw: Vec<String> =
        trace.into_iter().map(|(range, value)| format!("{} → {value}", &expr.text[range])).collect();
    saw.dedup();
    let found = match value {
        Ok(Value::Bool(found)) => Ok(found),
        Ok(_) => Err("neither true nor false".to_owned()),
        Err(stop @ (Stop::Unknown(_) | Stop::Failed { .. })) => Err(stop.because()),
    };
    if let Err(because) = &found {
        saw.push(because.clone());
    }
    (found, saw.join("; "), recorder.reads.into_inner())
}

/// Notes which verdicts an expression reads.
struct Recorder<'w, 'a> {
    world: &'w World<'a>,
    reads: std::cell::RefCell<Vec<Read>>,
}

impl cel::Env for Recorder<'_, '_> {
    fn root(&self, name: &str) -> Option<Value> {
        self.world.root(name)
    }
    fn verdict(&self, check: &str) -> Status {
        self.reads.borrow_mut().push(Read::Verdict(check.into()));
        self.world.verdict(check)
    }
    fn group(&self, name: &str) -> Option<Value> {
        self.world.group(name)
    }
}

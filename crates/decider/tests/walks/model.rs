//! What is true of every run, whatever its playbook: judged by its events and the set's text alone, never by the
//! decider's state.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_playbook::{
    Set,
    model::{BudgetScope, Playbook, Step, StepKind, Undo, Use},
};
use regreen_schemas::{
    Instance, PlaybookName, RunId, SetHash, Timestamp,
    action::Effect,
    command::{Kind, Task},
    event::{AfterUnknown, Event, RunEvent, Spend},
    run::RunResult,
};

/// Where a step stands in its playbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Among the steps.
    Steps,
    /// Undoes another.
    Undo,
    /// At the end.
    Finally,
}

/// What is known of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It may be under way.
    Out,
    /// Nobody knows what became of it.
    Doubt,
    /// It is over.
    Over,
}

/// One open run.
#[derive(Clone, Debug)]
pub struct Model {
    playbook: PlaybookName,
    set: Arc<Set>,
    locks: Vec<Arc<str>>,
    asks: bool,
    until: Option<Timestamp>,
    subs: BTreeMap<Instance, PlaybookName>,
    tried: BTreeMap<Instance, (u32, Known)>,
    /// Ended steps in their order, and whether they went well.
    done: Vec<(Instance, bool)>,
    /// Playbooks at work, by the path before their steps, that only come to their end; and whether they undo.
    concluded: BTreeMap<String, bool>,
    /// The same, of those that began `finally`.
    finally: BTreeSet<String>,
    /// Of each of them: the place among `done` of the newest step that was undone.
    undone: BTreeMap<String, usize>,
    approved: BTreeSet<Instance>,
    /// A person said no at the outermost, and it had no other end before.
    denied: bool,
    /// Nobody said what became of an effect.
    doubted: bool,
}

/// All open runs.
#[derive(Default)]
pub struct Models {
    pub runs: BTreeMap<RunId, Model>,
    spent: BTreeMap<Arc<str>, Vec<Timestamp>>,
    given: BTreeSet<RunId>,
    pub ended: BTreeMap<&'static str, u32>,
}

/// A step with the playbook that it stands in, as a path leads to it.
struct Place<'s> {
    base: String,
    playbook: &'s Playbook,
    step: &'s Step,
    role: Role,
}

impl Models {
    /// Judges an event, then takes it in.
    pub fn take(&mut self, event: &Event, sets: &BTreeMap<SetHash, Arc<Set>>, now: Timestamp, may: bool) {
        let Event::Run { run: id, what } = event else { return };
        if let RunEvent::Started { playbook, set, locks, asks, .. } = what {
            assert!(self.given.insert(id.clone()), "an id is given once");
            let model = Model {
                playbook: playbook.clone(),
                set: sets[set].clone(),
                locks: locks.clone(),
                asks: asks.is_some(),
                until: None,
                subs: BTreeMap::new(),
                tried: BTreeMap::new(),
                done: Vec::new(),
                concluded: BTreeMap::new(),
                finally: BTreeSet::new(),
                undone: BTreeMap::new(),
                approved: BTreeSet::new(),
                denied: false,
                doubted: false,
            };
            self.runs.insert(id.clone(), model);
            return;
        }
        let Some(mut model) = self.runs.remove(id) else {
            panic!("{id} is over, and has an event: {what:?}")
        };
        match what {
            RunEvent::LockTaken { deadline } => {
                for (other, held) in &self.runs {
                    let clash = held.until.is_some()
                        && held.locks.iter().any(|a| model.locks.iter().any(|b| conflict(a, b)));
                    assert!(!clash, "{id} and {other} hold {:?} and {:?}", model.locks, held.locks);
                }
                model.until = Some(*deadline);
            }
            RunEvent::Ended { result, .. } => {
                model.ends(*result);
                *self.ended.entry(result.word()).or_default() += 1;
                return;
            }
            RunEvent::Dispatched { instance, attempt, task, spends, .. } => {
                assert!(may, "{instance} is dispatched while nothing may be");
                model.dispatched(instance, *attempt, task, now);
                if task.kind == Kind::Perform {
                    self.spend(&model, instance, spends, now);
                }
            }
            _ => model.step(what),
        }
        self.runs.insert(id.clone(), model);
    }

    fn spend(&mut self, model: &Model, instance: &Instance, spends: &[Spend], now: Timestamp) {
        let places = model.places(instance);
        let place = places.last().expect("a path has a step");
        let action = used(place.step, instance);
        assert_eq!(
            action.destructive && !model.set.budgets.is_empty(),
            !spends.is_empty(),
            "{instance}: what it spends"
        );
        if action.destructive {
            for place in &places {
                for budget in &place.playbook.guard.budgets {
                    let key: Arc<str> = match budget.scope {
                        BudgetScope::Playbook => format!("playbook/{}", place.playbook.name).into(),
                        BudgetScope::Provider => format!("provider/{}", action.action.provider()).into(),
                        BudgetScope::Domain => "domain".into(),
                        BudgetScope::Group => continue,
                    };
                    let stamps = self.spent.get(&key).map_or(&[][..], |stamps| &stamps[..]);
                    let spent = stamps.iter().filter(|at| now - **at < budget.per).count();
                    assert!(
                        spent < budget.max as usize,
                        "{instance}: budget {key} of {budget:?} is overspent"
                    );
                }
            }
        }
        for spend in spends {
            self.spent.entry(spend.key.clone()).or_default().push(now);
        }
    }
}

impl Model {
    /// The steps that a path leads through, one a playbook at work.
    fn places(&self, instance: &Instance) -> Vec<Place<'_>> {
        let mut base = String::new();
        let mut at = String::new();
        let mut playbook = &self.set.playbooks[&self.playbook];
        let mut out = Vec::new();
        let parts: Vec<&str> = instance.as_str().split('.').collect();
        for (nth, part) in parts.iter().enumerate() {
            let id = part.split('[').next().unwrap_or(part);
            let undone = id.strip_prefix("undo(").and_then(|id| id.strip_suffix(')'));
            let id = undone.unwrap_or(id);
            let steps = playbook.all_steps();
            let step = steps.into_iter().find(|step| *step.id == *id);
            let step = step.unwrap_or_else(|| panic!("{instance}: no step `{id}` in {}", playbook.name));
            let last = nth + 1 == parts.len();
            at.push_str(part);
            if last || matches!(step.kind, StepKind::Run(_)) && !part.contains('[') {
                let role = if undone.is_some() { Role::Undo } else { role(playbook, id) };
                out.push(Place { base: base.clone(), playbook, step, role });
            }
            if !last && !part.contains('[') {
                let sub =
                    self.subs.get(at.as_str()).unwrap_or_else(|| panic!("{instance}: nothing runs at {at}"));
                playbook = &self.set.playbooks[sub];
                base = format!("{at}.");
            }
            at.push('.');
        }
        out
    }

    fn dispatched(&mut self, instance: &Instance, number: u32, task: &Task, now: Timestamp) {
        let before = self.tried.get(instance).copied();
        if task.kind != Kind::Perform {
            assert_eq!(before, Some((number, Known::Doubt)), "{instance}: a look at what is known");
            return;
        }
        assert_eq!(number, before.map_or(1, |(number, _)| number + 1), "{instance}: attempts are counted");
        assert!(before.is_none_or(|(_, known)| known == Known::Over), "{instance}: again, and {before:?}");
        assert!(self.until.is_some(), "{instance}: without lock");
        let places = self.places(instance);
        let place = places.last().expect("a path has a step");
        let action = used(place.step, instance);
        assert_eq!((&*task.action, task.effect), (&*action.action.name, action.effect), "{instance}");
        let destroys = action.destructive;
        assert!(!(destroys && in_parallel(&places)), "{instance}: destroys within parallel");
        if places.iter().all(|place| place.role == Role::Steps) {
            assert!(self.until.is_some_and(|until| now < until), "{instance}: after the deadline");
        }
        if task.effect != Effect::Read && self.asks {
            assert!(self.approved.contains("guard"), "{instance}: nobody said yes");
        }
        // Who undoes it may stand further out.
        let undoes = places.last().is_some_and(|place| place.role == Role::Undo);
        let by = places.iter().position(|place| undoes && self.concluded.get(&place.base) == Some(&true));
        let roles: Vec<(String, Role)> = match by {
            // One that is cut short by its caller still brings its own end about.
            None => {
                let end = places.iter().rposition(|place| place.role != Role::Steps).unwrap_or(0);
                places[end..].iter().map(|place| (place.base.clone(), place.role)).collect()
            }
            Some(by) => {
                let outer = places[..by].iter().map(|place| (place.base.clone(), place.role));
                outer.chain([(places[by].base.clone(), Role::Undo)]).collect()
            }
        };
        for (base, role) in roles {
            self.in_order(instance, &base, role);
        }
        self.tried.insert(instance.clone(), (number, Known::Out));
    }

    /// Steps, then undos, then `finally`: none of them comes back.
    fn in_order(&mut self, instance: &Instance, base: &str, role: Role) {
        let under_way = self.tried.iter().find(|(other, (_, known))| {
            *known != Known::Over
                && *other != instance
                && other.as_str().starts_with(base)
                && self.places(other).iter().any(|place| place.base == base && place.role == Role::Steps)
        });
        let ends = self.concluded.get(base).copied();
        match role {
            Role::Steps => {
                assert_eq!(ends, None, "{instance}: a step begins after the end of its playbook");
                assert!(!self.finally.contains(base), "{instance}: a step begins after `finally`");
            }
            Role::Undo => {
                assert_eq!(ends, Some(true), "{instance}: an undo that nobody asked for");
                assert!(!self.finally.contains(base), "{instance}: an undo after `finally`");
                assert_eq!(under_way, None, "{instance}: an undo while steps are under way");
                self.newest_first(instance, base);
            }
            Role::Finally => {
                assert_eq!(under_way, None, "{instance}: `finally` while steps are under way");
                self.finally.insert(base.to_owned());
            }
        }
    }

    /// The newest is undone first, and nothing from before what can't be undone.
    fn newest_first(&mut self, instance: &Instance, base: &str) {
        let own = instance.as_str();
        let (prefix, last) = own.rsplit_once('.').map_or(("", own), |(prefix, last)| (prefix, last));
        let Some(id) = last.strip_prefix("undo(").and_then(|last| last.strip_suffix(')')) else { return };
        let undone = if prefix.is_empty() { id.to_owned() } else { format!("{prefix}.{id}") };
        let order = self.done.iter().position(|(done, ok)| *done.as_str() == *undone && *ok);
        let order = order.unwrap_or_else(|| panic!("{instance}: undoes what did not go well"));
        if let Some(before) = self.undone.get(base) {
            assert!(order <= *before, "{instance}: an older one was undone before");
        }
        for (later, _) in &self.done[order + 1..] {
            if !self.tried.contains_key(later) || !later.as_str().starts_with(base) {
                continue;
            }
            let places = self.places(later);
            let place = places.last().expect("a path has a step");
            let of_the_end = places.iter().any(|place| place.role != Role::Steps);
            let forever = !of_the_end && used(place.step, later).action.irreversible;
            assert!(!forever, "{instance}: across {later}, which can't be undone");
        }
        self.undone.insert(base.to_owned(), order);
    }

    fn known(&mut self, instance: &Instance, to: Known) -> Option<Known> {
        let before = self.tried.get_mut(instance)?;
        Some(std::mem::replace(&mut before.1, to))
    }

    fn over(&mut self, instance: &Instance, ok: bool) {
        assert!(!self.done.iter().any(|(done, _)| done == instance), "{instance} is over twice");
        self.done.push((instance.clone(), ok));
    }

    fn step(&mut self, what: &RunEvent) {
        match what {
            RunEvent::SubBegan { instance, playbook, .. } => {
                self.places(instance);
                assert!(
                    self.subs.insert(instance.clone(), playbook.clone()).is_none(),
                    "{instance} runs twice"
                );
            }
            RunEvent::Concluded { instance, undo, .. } => {
                let base = instance.as_ref().map_or_else(String::new, |sub| format!("{sub}."));
                self.concluded.insert(base, *undo);
            }
            // A look that is lost leaves the doubt.
            RunEvent::Revoked { instance, .. }
                if self.tried.get(instance).is_some_and(|(_, known)| *known == Known::Out) =>
            {
                self.known(instance, Known::Over);
            }
            RunEvent::AttemptFailed { instance, .. } => drop(self.known(instance, Known::Over)),
            RunEvent::AttemptUnknown { instance, next, .. } => {
                let to = match next {
                    AfterUnknown::Observe | AfterUnknown::Ask => Known::Doubt,
                    AfterUnknown::Retry { .. } | AfterUnknown::Fail => Known::Over,
                };
                self.known(instance, to);
            }
            // Seen twice as not done: it is tried again.
            RunEvent::Observed { instance, look: 2, again_at: Some(_), .. } => {
                self.known(instance, Known::Over);
            }
            RunEvent::Settled { instance, .. } => drop(self.known(instance, Known::Over)),
            RunEvent::Approved { instance, deadline, .. } => {
                self.until = deadline.or(self.until);
                self.approved.insert(instance.clone());
                self.over(instance, true);
            }
            RunEvent::Denied { instance, .. } => {
                let outermost = !instance.as_str().contains('.') && self.concluded.is_empty();
                let ends = self.set.playbooks[&self.playbook]
                    .finally
                    .iter()
                    .any(|step| *step.id == *instance.as_str());
                self.denied |= outermost && !ends;
                self.over(instance, false);
            }
            RunEvent::ApprovalExpired { instance } => self.over(instance, false),
            RunEvent::StepSucceeded { instance, .. } | RunEvent::VerifyHeld { instance } => {
                self.known(instance, Known::Over);
                self.over(instance, true);
            }
            RunEvent::StepSkipped { instance } => {
                let before = self.known(instance, Known::Over);
                assert!(
                    before.is_none_or(|known| known == Known::Over),
                    "{instance} is dropped, and {before:?}"
                );
                self.over(instance, false);
            }
            RunEvent::StepFailed { instance, reason, .. } => {
                let before = self.known(instance, Known::Over);
                assert_ne!(before, Some(Known::Out), "{instance} failed while under way");
                let looked = **reason == *"it was looked up and is not done";
                self.doubted |= before == Some(Known::Doubt) && !looked;
                self.over(instance, false);
            }
            RunEvent::SubEnded { instance, result, .. } => {
                self.nothing_open(&format!("{instance}."));
                self.over(instance, result.is_well());
            }
            _ => {}
        }
    }

    fn nothing_open(&self, base: &str) {
        let open = self
            .tried
            .iter()
            .find(|(path, (_, known))| *known != Known::Over && path.as_str().starts_with(base));
        assert_eq!(open, None, "it ended with a call under way");
    }

    fn ends(&self, result: RunResult) {
        self.nothing_open("");
        assert!(
            !self.doubted || result == RunResult::Unknown,
            "it ends {}, with an effect in doubt",
            result.word()
        );
        let no = matches!(result, RunResult::Denied | RunResult::Unknown);
        assert!(!self.denied || no, "it ends {}, though a person said no", result.word());
    }
}

fn conflict(a: &str, b: &str) -> bool {
    let covers = |outer: &str, inner: &str| {
        outer == "*" || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    covers(a, b) || covers(b, a)
}

fn used<'s>(step: &'s Step, instance: &Instance) -> &'s Use {
    let StepKind::Use(action) = &step.kind else { panic!("{instance} uses nothing") };
    match &action.undo {
        Undo::Action(undo) if instance.as_str().ends_with(')') => undo,
        _ => action,
    }
}

fn holds(step: &Step, id: &str) -> bool {
    *step.id == *id || step.inner().into_iter().flatten().any(|inner| holds(inner, id))
}

fn role(playbook: &Playbook, id: &str) -> Role {
    let undoes = playbook.uses().any(|action| match &action.undo {
        Undo::Steps(steps) => steps.iter().any(|step| holds(step, id)),
        Undo::None | Undo::Action(_) => false,
    });
    match () {
        () if undoes => Role::Undo,
        () if playbook.finally.iter().any(|step| holds(step, id)) => Role::Finally,
        () => Role::Steps,
    }
}

/// Whether a playbook on the way stands within `parallel`.
fn in_parallel(places: &[Place<'_>]) -> bool {
    places.iter().filter(|place| place.role != Role::Undo).any(|place| {
        place.playbook.all_steps().into_iter().any(|step| match &step.kind {
            StepKind::Parallel(parallel) => parallel.steps.iter().any(|step| holds(step, &place.step.id)),
            _ => false,
        })
    })
}

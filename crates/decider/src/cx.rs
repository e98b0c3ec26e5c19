//! Where a step stands: in which playbook at work, in which item of which loop. A path names it, and a path leads
//! back to it.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{
    Set,
    model::{DEFAULT_APPROVERS, Playbook, Step, StepKind},
    value::Value,
};
use regreen_schemas::{
    Instance, Timestamp,
    event::{Asks, Mode, Target},
};

use crate::{
    bounds,
    env::{World, unpack},
    run::{Conclusion, Run},
    state::State,
};

/// A playbook at work: the run's own, or one that runs within it.
#[derive(Clone)]
pub(crate) struct Level<'a> {
    pub playbook: &'a Playbook,
    /// The step that runs it; none for the run's own.
    pub sub: Option<Instance>,
    /// The path before the ids of its steps.
    pub base: String,
    pub target: Option<&'a Target>,
    pub active: Option<&'a Arc<str>>,
    pub inputs: &'a BTreeMap<Arc<str>, serde_json::Value>,
    pub mode: Mode,
    /// Who must say yes before its first effect.
    pub asks: Option<Asks>,
    pub until: Option<Timestamp>,
    pub concluded: Option<&'a Conclusion>,
    /// Effects of the run before it.
    pub effects_before: u32,
    /// What is done there is done at its end: an undo, or one of `finally`.
    pub ending: bool,
}

/// A place in a run's tree of steps.
#[derive(Clone)]
pub(crate) struct Cx<'a> {
    pub state: &'a State,
    pub set: &'a Set,
    pub run: &'a Run,
    /// Playbooks at work, the run's own first.
    pub levels: Vec<Level<'a>>,
    /// The path before the ids of the steps here.
    pub prefix: String,
    scopes: Vec<String>,
    locals: Vec<(Arc<str>, Value)>,
    /// Among what is done at the end: undos and `finally`.
    pub ending: bool,
    /// Where a caller undoes what was done here: nothing begins after its own end.
    undone_until: Option<Timestamp>,
    /// Nothing begins here any more: what is under way comes to its end.
    pub stops: bool,
}

impl<'a> Cx<'a> {
    /// The outermost place of a run.
    pub fn root(state: &'a State, set: &'a Set, run: &'a Run, playbook: &'a Playbook) -> Self {
        let level = Level {
            playbook,
            sub: None,
            base: String::new(),
            target: run.target.as_ref(),
            active: run.active.as_ref(),
            inputs: &run.inputs,
            mode: run.mode,
            asks: run.asks.clone(),
            until: run.until,
            concluded: run.concluded.as_ref(),
            effects_before: 0,
            ending: false,
        };
        let scopes = vec![String::new()];
        Self {
            state,
            set,
            run,
            levels: vec![level],
            prefix: String::new(),
            scopes,
            locals: Vec::new(),
            ending: false,
            undone_until: None,
            stops: false,
        }
    }

    /// The innermost playbook at work.
    pub fn level(&self) -> &Level<'a> {
        self.levels.last().expect("invariant: the run's own is there")
    }

    /// The path of a step here.
    pub fn path(&self, id: &str) -> Instance {
        Instance::from(format!("{}{id}", self.prefix))
    }

    /// The path of something that belongs to the innermost playbook as a whole.
    pub fn own(&self, id: &str) -> Instance {
        Instance::from(format!("{}{id}", self.level().base))
    }

    /// The same place, at the end.
    pub fn at_end(&self) -> Self {
        let mut cx = Self { ending: true, ..self.clone() };
        cx.levels.iter_mut().last().expect("invariant: the run's own is there").ending = true;
        cx
    }

    /// The same place, where another, which holds it, undoes what was done here.
    pub fn undone_by(&self, by: &Self) -> Self {
        let mut cx = Self { ending: true, undone_until: by.until(), ..self.clone() };
        for (depth, level) in cx.levels.iter_mut().enumerate() {
            level.ending = by.levels.get(depth).is_none_or(|outer| outer.ending);
        }
        cx
    }

    /// The same place, where nothing begins any more.
    pub fn stopping(&self) -> Self {
        Self { stops: true, ..self.clone() }
    }

    /// A playbook at work as a whole: the run's own is 0.
    pub fn outer(&self, depth: usize) -> Self {
        let mut levels = self.levels.clone();
        levels.truncate(depth + 1);
        let base = levels.last().map(|level| level.base.clone()).unwrap_or_default();
        Self { levels, prefix: base.clone(), scopes: vec![base], locals: Vec::new(), ..self.clone() }
    }

    /// Within an item of a loop.
    pub fn item(&self, step: &Step, nth: usize) -> Option<Self> {
        let StepKind::ForEach(each) = &step.kind else { return None };
        let begun = self.run.loops.get(&self.path(&step.id))?;
        let prefix = format!("{}{}[{}].", self.prefix, step.id, begun.names.get(nth)?);
        let item = unpack(self.state, self.set, begun.items.get(nth)?)?;
        let mut cx = Self { prefix: prefix.clone(), ..self.clone() };
        cx.scopes.push(prefix);
        cx.locals.push((each.name.clone(), item));
        Some(cx)
    }

    /// Within the playbook that a step runs.
    pub fn within(&self, step: &Step) -> Option<Self> {
        let instance = self.path(&step.id);
        let sub = self.run.subs.get(&instance)?;
        let playbook = self.set.playbooks.get(&sub.playbook)?;
        let base = format!("{instance}.");
        let asks = playbook.guard.approval.as_ref();
        let asks = asks.map(|approval| Asks { by: approval.by.clone(), within: approval.within });
        // The caller's own approval was for its whole plan, which names this playbook.
        let approves = sub.mode == Mode::Approve && self.level().mode != Mode::Approve && asks.is_none();
        let level = Level {
            playbook,
            sub: Some(instance),
            base: base.clone(),
            target: sub.target.as_ref(),
            active: sub.active.as_ref(),
            inputs: &sub.inputs,
            mode: sub.mode,
            asks: asks.or_else(|| approves.then(ask_default)),
            until: Some(sub.until),
            concluded: sub.concluded.as_ref(),
            effects_before: sub.effects_before,
            ending: false,
        };
        let mut levels = self.levels.clone();
        levels.push(level);
        Some(Self { levels, prefix: base.clone(), scopes: vec![base], locals: Vec::new(), ..self.clone() })
    }

    /// Within a playbook that has not begun: what it will see is not known yet.
    pub fn planned(&self, playbook: &'a Playbook, same_target: bool) -> Self {
        let target = if same_target { self.level().target } else { None };
        let level = Level { playbook, target, ..self.level().clone() };
        Self { levels: vec![level], locals: Vec::new(), ..self.clone() }
    }

    /// What can be seen from here.
    pub fn world(&self) -> World<'a> {
        World { scopes: self.scopes.clone(), locals: self.locals.clone(), ..self.world_of(self.level()) }
    }

    /// What a whole playbook at work sees.
    pub fn world_of(&self, level: &Level<'a>) -> World<'a> {
        World {
            playbook: Some(level.playbook),
            target: level.target,
            active: level.active.cloned(),
            inputs: Some(level.inputs),
            scopes: vec![level.base.clone()],
            ..World::of(self.state, self.set, self.run)
        }
    }

    /// Nothing begins here after this.
    pub fn until(&self) -> Option<Timestamp> {
        let level = self.level();
        match level.concluded {
            _ if self.undone_until.is_some() => self.undone_until,
            Some(concluded) => Some(concluded.until),
            None if self.ending => level.until.map(|until| until + bounds::GRACE),
            None => level.until,
        }
    }

    /// The place and the step that a path leads to; an undo leads to the step that it undoes.
    pub fn locate(&self, instance: &Instance) -> Option<(Self, &'a Step)> {
        let mut cx = self.clone();
        let mut rest = instance.as_str();
        while let Some((head, tail)) = rest.split_once('.') {
            let (id, item) = match head.split_once('[') {
                Some((id, item)) => (id, Some(item.strip_suffix(']')?)),
                None => (head, None),
            };
            let step = find(cx.level().playbook, id)?;
            cx = match item {
                None => cx.within(step)?,
                Some(item) => {
                    let names = &cx.run.loops.get(&cx.path(id))?.names;
                    let nth = names.iter().position(|name| **name == *item)?;
                    cx.item(step, nth)?
                }
            };
            rest = tail;
        }
        let undone = rest.strip_prefix("undo(").and_then(|rest| rest.strip_suffix(')'));
        let step = find(cx.level().playbook, undone.unwrap_or(rest))?;
        Some((cx, step))
    }
}

pub(crate) fn ask_default() -> Asks {
    Asks { by: DEFAULT_APPROVERS.into(), within: bounds::APPROVAL_WITHIN }
}

fn find<'a>(playbook: &'a Playbook, id: &str) -> Option<&'a Step> {
    playbook.all_steps().into_iter().find(|step| *step.id == *id)
}

/// The instance under which a step is undone.
pub(crate) fn undo_of(id: &str) -> String {
    format!("undo({id})")
}

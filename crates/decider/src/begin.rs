//! The beginning of a step: its condition, and what each kind needs to begin.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{
    action::{ENDPOINT_SET, NOTIFY_SEND},
    cel,
    model::{Arg, Branch, Call, ForEach, Step, StepKind, Subject, TargetKind, Use, Verify},
    template::plain,
    value::Value,
};
use regreen_schemas::{
    Instance,
    action::Effect,
    event::{RunEvent, Target, Then, Watch},
    run::RunResult,
    view::Check,
};

use crate::{
    advance::Next,
    course::{Flow, then},
    cx::Cx,
    decide::Decider,
    dispatch::held,
    env::pack,
    evaluate::judge,
    guards::{self, At, Moment},
};

impl Decider<'_> {
    /// A step that is neither done nor under way.
    pub(crate) fn begin(&self, cx: &Cx<'_>, step: &Step, instance: Instance) -> Flow {
        if cx.stops {
            return Flow::Well;
        }
        if cx.until().is_some_and(|until| self.s.now >= until) {
            return self.too_late(cx, instance);
        }
        let fails = |why: String| {
            let (instance, reason) = (instance.clone(), why.into());
            Flow::event(RunEvent::StepFailed { instance, reason, then: then(step) })
        };
        if let Some(condition) = &step.condition {
            match judge(condition, &cx.world()).0 {
                Ok(true) => {}
                Ok(false) => return Flow::event(RunEvent::StepSkipped { instance }),
                Err(because) => return fails(format!("`if`: {because}")),
            }
        }
        match &step.kind {
            StepKind::Wait(span) => Flow::event(RunEvent::WaitBegan { instance, until: self.s.now + *span }),
            StepKind::Verify(verify) => match self.watches(cx, verify) {
                Ok(watches) => Flow::event(RunEvent::VerifyBegan { instance, watches }),
                Err(why) => fails(why),
            },
            StepKind::Approve(approve) => match self.holds() {
                // While catching up `now` is of the past: nobody could answer in time.
                Some(by) => held(cx.run, by),
                None => self.step_asks(cx, step, instance, approve),
            },
            StepKind::Set(values) => match computed(cx, values) {
                Ok(result) => Flow::event(RunEvent::StepSucceeded { instance, result }),
                Err(why) => fails(why),
            },
            StepKind::Choose(branches) => match chosen(cx, branches) {
                Ok(branch) => Flow::event(RunEvent::Chosen { instance, branch }),
                Err(why) => fails(why),
            },
            StepKind::Parallel(_) => Flow::event(RunEvent::ParallelBegan { instance }),
            StepKind::ForEach(each) => match items(cx, each) {
                Ok((names, items)) => Flow::event(RunEvent::LoopBegan { instance, names, items }),
                Err(why) => fails(why),
            },
            StepKind::Run(call) => self.begin_sub(cx, call, instance, then(step)),
            StepKind::Use(action) if action.action.internal() => {
                self.inside(cx, instance, action, then(step))
            }
            StepKind::Use(action) => self.perform(cx, instance, action, None, then(step)),
        }
    }

    /// No step begins after the deadline; of what is done at the end, the rest is given up.
    fn too_late(&self, cx: &Cx<'_>, instance: Instance) -> Flow {
        if cx.ending {
            let reason = "no time was left for it".into();
            return Flow::event(RunEvent::StepFailed { instance, reason, then: Then::Continue });
        }
        match self.kept(cx.run, &instance) {
            Some(kept) => {
                let why = format!("the deadline passed while {kept}");
                self.conclude(cx, RunResult::Blocked, why, false)
            }
            None => {
                let why = format!("the deadline passed before step {instance}");
                self.conclude(cx, RunResult::Failed, why, false)
            }
        }
    }

    /// Another playbook within this run: judged as if it were started, under the locks that the run has.
    fn begin_sub(&self, cx: &Cx<'_>, call: &Call, instance: Instance, then: Then) -> Flow {
        let fails = |why: String| {
            let (instance, reason) = (instance.clone(), why.into());
            Flow::event(RunEvent::StepFailed { instance, reason, then })
        };
        let Some(playbook) = cx.set.playbooks.get(&call.playbook) else {
            return fails(format!("there is no playbook `{}`", call.playbook));
        };
        let (target, inputs) = match self.called(cx, call, playbook.target) {
            Ok(called) => called,
            Err(why) => return fails(why),
        };
        let inputs = match crate::env::inputs(&self.s, cx.set, playbook, &inputs) {
            Ok(inputs) => inputs,
            Err(why) => return fails(why),
        };
        let active = target.as_ref().and_then(|target| self.s.serving_of(cx.set, target));
        let begun = RunEvent::SubBegan {
            instance: instance.clone(),
            playbook: playbook.name.clone(),
            target: target.clone(),
            inputs: inputs.clone(),
            mode: playbook.called_mode(cx.level().mode),
            deadline: cx
                .until()
                .map_or(self.s.now + playbook.deadline, |until| until.min(self.s.now + playbook.deadline)),
            goes_on: playbook.on_resolved == regreen_playbook::model::OnResolved::Continue,
            active: active.clone(),
        };
        let mut world = cx.world_of(cx.level());
        world.playbook = Some(playbook);
        (world.target, world.active, world.inputs) = (target.as_ref(), active, Some(&inputs));
        world.scopes = Vec::new();
        if let Some(when) = &playbook.when {
            match judge(when, &world).0 {
                Ok(true) => {}
                Ok(false) => return fails(format!("{}: `when` is false", playbook.name)),
                Err(because) => return fails(format!("{}: {because}", playbook.name)),
            }
        }
        let needed = guards::locks(cx.set, playbook, target.as_ref());
        let drills = cx.levels.first().is_some_and(|level| level.playbook.drill.is_some());
        if let Some(lock) = needed.iter().find(|lock| !drills && !guards::covered(lock, &cx.run.locks)) {
            return fails(format!("{}: the run does not hold the lock {lock}", playbook.name));
        }
        let (target, moment) = (target.as_ref(), Moment::Begins);
        let at = At { set: cx.set, playbook, target, on: None, world: &world, moment };
        let said = self.s.guards(&at, &mut Vec::new());
        match said.into_iter().find_map(|said| said.block) {
            Some(block) => fails(format!("{}: blocked: {block}", playbook.name)),
            None => Flow::event(begun),
        }
    }

    /// The target and inputs that a step gives the playbook it runs.
    fn called(&self, cx: &Cx<'_>, call: &Call, kind: TargetKind) -> Result<Called, String> {
        let world = cx.world();
        let target = match &call.target {
            None => cx.level().target.cloned(),
            Some(template) => {
                let value = template.render(&world, plain)?;
                let name = value.name().map_or_else(|| value.to_string(), ToString::to_string);
                Some(named(cx, kind, &name).ok_or_else(|| format!("`{name}` is not in the inventory"))?)
            }
        };
        let target = if kind == TargetKind::None { None } else { target };
        let given = call.inputs.iter().map(|(name, template)| {
            let value = template.render(&world, plain)?;
            let named = value.name().map(|name| serde_json::Value::from(name.as_ref()));
            Ok((name.clone(), named.unwrap_or_else(|| value.to_json())))
        });
        Ok((target, given.collect::<Result<_, String>>()?))
    }

    /// What the decider does itself.
    fn inside(&self, cx: &Cx<'_>, instance: Instance, action: &Use, then: Then) -> Flow {
        if Self::is_asked(cx, action) {
            return Flow::Wait;
        }
        let call = match self.inner_call(cx, action) {
            Ok(call) => call,
            Err(why) => return Flow::event(RunEvent::StepFailed { instance, reason: why.into(), then }),
        };
        // While nothing is dispatched something may be said, but nobody is asked.
        let asks = self.first_asks(cx, action);
        if let Some(by) = self.holds().filter(|_| action.effect != Effect::Tell || asks.is_some()) {
            return held(cx.run, by);
        }
        if let Some(asks) = asks {
            return asks;
        }
        match call {
            Inner::Say { to, text } => Flow::next(Next::Say { instance, to, text }),
            // It is an effect, and judged like one that destroys.
            Inner::Move { service, active } => match self.judged_again(cx, action, None, 0) {
                Some(refused) => self.refused(refused, &instance, then),
                None => Flow::next(Next::Move { instance, service, active }),
            },
        }
    }

    fn inner_call(&self, cx: &Cx<'_>, action: &Use) -> Result<Inner, String> {
        match &*action.action.name {
            NOTIFY_SEND => {
                Ok(Inner::Say { to: named_by(cx, action, "to")?, text: named_by(cx, action, "text")? })
            }
            ENDPOINT_SET => {
                let service = self.moved(cx, action)?;
                let active = named_by(cx, action, "active")?;
                let sides = cx.set.inventory.services.get(&service);
                if sides.is_none_or(|sides| !sides.contains(&active)) {
                    return Err(format!("`{active}` is no side of `{service}`"));
                }
                Ok(Inner::Move { service, active })
            }
            other => Err(format!("{other} is not done here")),
        }
    }

    /// The service that a step moves.
    pub(crate) fn moved(&self, cx: &Cx<'_>, action: &Use) -> Result<Arc<str>, String> {
        match &action.subject {
            Some(Subject::Service(name)) => Ok(name.clone()),
            Some(Subject::Path(path)) => Ok(name_of(&path.render(&cx.world(), plain)?)),
            _ => named_by(cx, action, "service"),
        }
    }

    /// What several verifies wait for together.
    pub(crate) fn all_watches(&self, cx: &Cx<'_>, verifies: &[Verify]) -> Result<Vec<Watch>, String> {
        let watches: Result<Vec<Vec<Watch>>, String> =
            verifies.iter().map(|verify| self.watches(cx, verify)).collect();
        Ok(watches?.concat())
    }

    /// What a verify waits for: the check, or all that an `all` joins.
    fn watches(&self, cx: &Cx<'_>, verify: &Verify) -> Result<Vec<Watch>, String> {
        let name = verify.check.render(&cx.world(), plain)?.to_string();
        let looked_at = cx.set.looked_at(&name, verify.is)?;
        Ok(looked_at.into_iter().map(|check| self.watch(cx, check, verify)).collect())
    }

    /// Only looks begun after the record that took in the last effect count.
    fn watch(&self, cx: &Cx<'_>, check: &Check, verify: &Verify) -> Watch {
        Watch {
            check: check.name.clone(),
            is: verify.is,
            hold: verify.hold,
            until: self.s.now + verify.within,
            fresh: check.fresh,
            quorum: cx.level().playbook.guard.quorum.unwrap_or(check.quorum),
            after: cx.run.effect_seq,
        }
    }
}

/// The target and inputs that a step gives the playbook it runs.
type Called = (Option<Target>, BTreeMap<Arc<str>, serde_json::Value>);

/// What the decider does itself.
enum Inner {
    /// Tells somebody.
    Say { to: Arc<str>, text: Arc<str> },
    /// Moves a service.
    Move { service: Arc<str>, active: Arc<str> },
}

/// An inventory object by name.
pub(crate) fn named(cx: &Cx<'_>, kind: TargetKind, name: &str) -> Option<Target> {
    let inventory = &cx.set.inventory;
    match kind {
        TargetKind::None => None,
        TargetKind::Node => inventory.node(name),
        TargetKind::Group => inventory.group(name),
        TargetKind::Service => inventory.service(name),
    }
}

/// A parameter of what the decider does itself: text, or the name of an object.
fn named_by(cx: &Cx<'_>, action: &Use, name: &str) -> Result<Arc<str>, String> {
    let world = cx.world();
    let value = match action.args.iter().find(|(arg, _)| **arg == *name).map(|(_, arg)| arg) {
        Some(Arg::Constant(value)) => {
            Value::from_json(value).ok_or_else(|| format!("`{name}` has no value"))?
        }
        // Text is for people: what is missing prints as missing.
        Some(Arg::Template(template, _)) if name == "text" => Value::str(template.text(&world)),
        Some(Arg::Template(template, _)) => template.render(&world, plain)?,
        _ => return Err(format!("`{name}` is missing")),
    };
    Ok(name_of(&value))
}

fn name_of(value: &Value) -> Arc<str> {
    value.name().cloned().unwrap_or_else(|| value.to_string().into())
}

fn computed(cx: &Cx<'_>, values: &[(Arc<str>, cel::Expr)]) -> Result<serde_json::Value, String> {
    let world = cx.world();
    let mut out = serde_json::Map::new();
    for (name, expr) in values {
        let value = cel::eval(expr, &world, &mut cel::Trace::new())
            .map_err(|stop| format!("`{name}`: {}", stop.because()))?;
        out.insert(name.to_string(), pack(&value));
    }
    Ok(out.into())
}

/// The first branch whose condition is true. One that nobody can tell is no reason to take another.
fn chosen(cx: &Cx<'_>, branches: &[Branch]) -> Result<u32, String> {
    let world = cx.world();
    for (nth, branch) in (0..).zip(branches) {
        let Some(condition) = &branch.condition else { return Ok(nth) };
        match judge(condition, &world).0 {
            Ok(true) => return Ok(nth),
            Ok(false) => {}
            Err(because) => return Err(format!("`{}`: {because}", condition.text)),
        }
    }
    Err("no branch fits".to_owned())
}

/// The items of a loop, and what each is called. An empty list, or one that is too long, is a failure.
fn items(cx: &Cx<'_>, each: &ForEach) -> Result<(Vec<Arc<str>>, Vec<serde_json::Value>), String> {
    let value = cel::eval(&each.list, &cx.world(), &mut cel::Trace::new())
        .map_err(|stop| format!("`{}`: {}", each.list.text, stop.because()))?;
    let Value::List(list) = value else { return Err(format!("`{}` is no list", each.list.text)) };
    if list.is_empty() {
        return Err(format!("`{}` is empty", each.list.text));
    }
    if list.len() > each.at_most as usize {
        return Err(format!("{} items, at most {} are allowed; nothing was done", list.len(), each.at_most));
    }
    let name = |value: &Value| -> Option<Arc<str>> {
        let name = value.name().cloned().or_else(|| match value {
            Value::Str(text) => Some(text.clone()),
            _ => None,
        })?;
        regreen_schemas::id::is_token(&name).then_some(name)
    };
    let names: Option<Vec<Arc<str>>> = list.iter().map(name).collect();
    let distinct =
        |names: &Vec<Arc<str>>| names.iter().collect::<std::collections::BTreeSet<_>>().len() == names.len();
    let names =
        names.filter(distinct).unwrap_or_else(|| (0..list.len()).map(|nth| nth.to_string().into()).collect());
    Ok((names, list.iter().map(pack).collect()))
}

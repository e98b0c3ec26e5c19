//! Asking people: an approval is bound to run, instance and plan; the first answer wins, and no answer is a no.

use std::sync::Arc;

use regreen_playbook::{
    model::{Approve, Arg, Step, StepKind, Subject, Use},
    template::plain,
};
use regreen_schemas::{
    Instance, RunId, Timestamp,
    action::Effect,
    event::{Asks, Event, RunEvent},
    hash::h,
    message::Ask,
    mutation::{self, Mutation},
    run::RunResult,
};

use crate::{
    bounds,
    course::{Failed, Flow},
    cx::{Cx, Level},
    decide::Decider,
    env::World,
    run::How,
    state::Illegal,
};

/// Deepest nesting of playbooks that a plan shows.
const PLAN_DEPTH_MAX: usize = 8;

/// Most steps that a plan counts: playbooks that run others many times over have more than anybody reads.
const PLAN_STEPS_MAX: usize = 1000;

/// Instance of the approval before the first effect.
pub const GUARD: &str = "guard";

/// An answer to what was asked, as it came in.
pub(crate) struct Answer<'a> {
    pub run: &'a RunId,
    pub instance: &'a Instance,
    pub plan_hash: &'a str,
    /// Why not; `None`: yes.
    pub no: Option<&'a Arc<str>>,
}

impl Decider<'_> {
    /// What playbooks at work ask before their first effect, the outermost first; `None` when none of them need ask, or
    /// they were told yes.
    pub(crate) fn first_asks(&self, cx: &Cx<'_>, action: &Use) -> Option<Flow> {
        if action.effect == Effect::Read {
            return None;
        }
        let guard = |level: &Level<'_>| Instance::from(format!("{}{GUARD}", level.base));
        let said_yes = |level: &Level<'_>| {
            cx.run.done.get(&guard(level)).is_some_and(|done| matches!(done.how, How::Ok(_)))
        };
        let unasked = |level: &Level<'_>| level.asks.is_some() && !said_yes(level);
        let depth = cx.levels.iter().position(unasked)?;
        let cx = &cx.outer(depth);
        let level = cx.level();
        let asks = level.asks.as_ref()?;
        let instance = guard(level);
        if cx.run.done.contains_key(&instance) {
            // It was asked, and nobody said yes: no effect goes out, not even at its end.
            return Some(Flow::Failed(Failed {
                reason: "nobody said yes".into(),
                undo: false,
                result: RunResult::Denied,
            }));
        }
        let steps = level.playbook.steps.iter().chain(&level.playbook.finally);
        let open: Vec<&Step> = steps
            .filter(|step| !cx.run.done.contains_key(&Instance::from(format!("{}{}", level.base, step.id))))
            .collect();
        let plan = self.plan_of(cx, &open);
        Some(self.asks(cx, instance, plan, asks))
    }

    /// Whether people were asked already and have not answered: nothing else holds a step then.
    pub(crate) fn is_asked(cx: &Cx<'_>, action: &Use) -> bool {
        let asks = |level: &Level<'_>| {
            level.asks.is_some() && cx.run.acts.contains_key(format!("{}{GUARD}", level.base).as_str())
        };
        action.effect != Effect::Read && cx.levels.iter().any(asks)
    }

    /// Steps, a line each.
    pub(crate) fn plan_lines(&self, cx: &Cx<'_>, steps: &[Step]) -> Vec<Arc<str>> {
        self.plan_of(cx, &steps.iter().collect::<Vec<_>>())
    }

    fn plan_of(&self, cx: &Cx<'_>, steps: &[&Step]) -> Vec<Arc<str>> {
        let mut lines = Vec::new();
        steps.iter().for_each(|step| lines_of(cx, step, 0, &mut lines));
        if let Some(more) = lines.len().checked_sub(bounds::PLAN_LINES_MAX).filter(|more| *more > 0) {
            lines.truncate(bounds::PLAN_LINES_MAX);
            lines.push(format!("and {more} more").into());
        }
        lines
    }

    /// What a step asks.
    pub(crate) fn step_asks(&self, cx: &Cx<'_>, step: &Step, instance: Instance, asked: &Approve) -> Flow {
        let says = asked.text.as_ref().map(|text| text.text(&cx.world()));
        let says = says.map(|text| text[..text.floor_char_boundary(bounds::TELL_BYTES_MAX)].into());
        let plan = says.into_iter().chain([line(cx, step)]).collect();
        let asks = Asks { by: asked.asked.by.clone(), within: asked.asked.within };
        self.asks(cx, instance, plan, &asks)
    }

    fn asks(&self, cx: &Cx<'_>, instance: Instance, plan: Vec<Arc<str>>, asks: &Asks) -> Flow {
        let run = cx.run;
        let target = cx.level().target.map_or_else(Default::default, |target| target.lock());
        let mut parts: Vec<&[u8]> = vec![
            run.id.as_str().as_bytes(),
            instance.as_str().as_bytes(),
            run.set.as_str().as_bytes(),
            target.as_bytes(),
        ];
        parts.extend(plan.iter().map(|line| line.as_bytes()));
        let plan_hash = h(&parts).into();
        let within = self.s.now + asks.within;
        // Before the first effect the deadline does not run: it is counted from the answer.
        let first = instance.as_str() == GUARD && run.effects == 0;
        let until = cx.until().filter(|_| !first).map_or(within, |deadline| deadline.min(within));
        let by = asks.by.clone();
        let ask = Box::new(Ask { run: run.id.clone(), instance, plan_hash, plan, by, until });
        Flow::event(RunEvent::ApprovalAsked { ask })
    }

    /// What becomes of what is asked, when nobody has answered.
    pub(crate) fn unanswered(&self, ask: &Ask) -> Flow {
        if self.s.now < ask.until {
            return Flow::Wait;
        }
        Flow::event(RunEvent::ApprovalExpired { instance: ask.instance.clone() })
    }

    /// Nobody answered in time: that is a no.
    pub(crate) fn expired(&mut self, run: &RunId, instance: Instance) -> Result<(), Illegal> {
        let asked = self.s.runs.get(run).and_then(|run| {
            run.approvals().find(|ask| ask.instance == instance).map(|ask| (ask.by.clone(), ask.until))
        });
        self.run_event(run, RunEvent::ApprovalExpired { instance: instance.clone() })?;
        let Some((by, until)) = asked else { return Ok(()) };
        let why = format!("nobody of `{by}` said yes until {until}");
        self.ended_at(run, &instance, RunResult::Expired, why)
    }

    /// Takes an answer in, if it is to what is asked, and from who may give it.
    pub(crate) fn answered(&mut self, by: &str, answer: &Answer<'_>) -> Result<(), Illegal> {
        let Answer { run, instance, plan_hash, no } = answer;
        let (run, instance) = (*run, *instance);
        let word = if no.is_some() { "deny" } else { "approve" };
        let wanted = || format!("{word} {instance} of run {run}");
        let asked = self
            .s
            .runs
            .get(run)
            .and_then(|run| run.approvals().find(|ask| ask.instance == *instance).cloned());
        let Some(ask) = asked else {
            return self.refuse(by, wanted(), "nothing is asked there, or not any more");
        };
        if *ask.plan_hash != **plan_hash && !mutation::is(Mutation::AnyPlan) {
            return self.refuse(by, wanted(), "the answer is to another plan");
        }
        if self.s.now >= ask.until {
            return self.refuse(by, wanted(), "it came too late");
        }
        if !self.is_one_of(by, &ask.by) {
            return self.refuse(by, wanted(), format!("{by} is not one of the approvers `{}`", ask.by));
        }
        let (instance, by) = (instance.clone(), Arc::<str>::from(by));
        let Some(reason) = no else {
            let deadline = self.counted_anew(run, &instance);
            self.run_event(run, RunEvent::Approved { instance, by, deadline })?;
            return self.advance(run);
        };
        self.run_event(
            run,
            RunEvent::Denied { instance: instance.clone(), by: by.clone(), reason: (*reason).clone() },
        )?;
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        self.ended_at(run, &instance, RunResult::Denied, format!("{by} said no{why}"))?;
        self.advance(run)
    }

    /// The deadline of a run that was asked before its first effect.
    fn counted_anew(&self, id: &RunId, instance: &Instance) -> Option<Timestamp> {
        let run = self.s.runs.get(id).filter(|run| instance.as_str() == GUARD && run.effects == 0)?;
        let set = self.pinned(run)?;
        Some(self.s.now + set.playbooks.get(&run.playbook)?.deadline)
    }

    /// Ends the playbook that a step is of.
    pub(crate) fn ended_at(
        &mut self,
        id: &RunId,
        instance: &Instance,
        result: RunResult,
        reason: String,
    ) -> Result<(), Illegal> {
        let Some(run) = self.s.runs.get(id).filter(|run| run.concluded.is_none()) else { return Ok(()) };
        let asks = |sub: &Instance| {
            instance.as_str().strip_prefix(sub.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        let open = run.subs.iter().filter(|(path, sub)| sub.ended.is_none() && asks(path));
        let asker = open.max_by_key(|(path, _)| path.as_str().len());
        // What asks at its end has concluded already.
        if asker.is_some_and(|(_, sub)| sub.concluded.is_some()) {
            return Ok(());
        }
        let sub = asker.map(|(path, _)| path.clone());
        let until = self.s.now + bounds::GRACE;
        let reason = reason.into();
        self.run_event(id, RunEvent::Concluded { instance: sub, result, reason, undo: false, until })
    }

    /// Whether the set in force counts somebody among a group of approvers. Whoever was taken out of it may not any
    /// more, whatever the run pins.
    pub(crate) fn is_one_of(&self, who: &str, group: &str) -> bool {
        mutation::is(Mutation::AnybodyApproves)
            || self
                .set()
                .is_some_and(|set| set.approvers.get(group).is_some_and(|people| people.contains(who)))
    }

    pub(crate) fn refuse(
        &mut self,
        by: &str,
        wanted: impl Into<Arc<str>>,
        reason: impl Into<Arc<str>>,
    ) -> Result<(), Illegal> {
        self.emit(Event::OperatorRefused { by: by.into(), wanted: wanted.into(), reason: reason.into() })
    }
}

/// A step and what it holds, a line each.
fn lines_of(cx: &Cx<'_>, step: &Step, depth: usize, out: &mut Vec<Arc<str>>) {
    if out.len() >= PLAN_STEPS_MAX {
        return;
    }
    let indent = "  ".repeat(depth);
    out.push(format!("{indent}{}", line(cx, step)).into());
    if let StepKind::Run(call) = &step.kind
        && depth < PLAN_DEPTH_MAX
        && let Some(playbook) = cx.set.playbooks.get(&call.playbook)
    {
        let inner = cx.planned(playbook, call.target.is_none());
        playbook.steps.iter().for_each(|step| lines_of(&inner, step, depth + 1, out));
    }
    step.inner().into_iter().flatten().for_each(|step| lines_of(cx, step, depth + 1, out));
}

/// A step in a line, as far as it is known now.
fn line(cx: &Cx<'_>, step: &Step) -> Arc<str> {
    let world = cx.world();
    let condition = step.condition.as_ref().map_or_else(String::new, |c| format!(" if {}", c.text));
    let what = match &step.kind {
        StepKind::Wait(span) => format!("wait {span}"),
        StepKind::Approve(approve) => format!("ask {}", approve.asked.by),
        StepKind::Verify(verify) => {
            format!("verify {} is {} for {}", verify.check.text(&world), verify.is.word(), verify.hold)
        }
        StepKind::Use(action) => used(action, cx, &world),
        StepKind::Run(call) => {
            let on = call.target.as_ref().map(|target| format!(" on {}", target.text(&world)));
            let inputs = call.inputs.iter().map(|(name, value)| format!(" {name}={}", value.text(&world)));
            format!("run {}{}{}", call.playbook, on.unwrap_or_default(), inputs.collect::<String>())
        }
        StepKind::Parallel(parallel) => format!("{} at once", parallel.at_once),
        StepKind::ForEach(each) => format!("for each of {} as {}", each.list.text, each.name),
        StepKind::Choose(branches) => format!("one of {}", branches.len()),
        StepKind::Set(values) => {
            format!("set {}", values.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(", "))
        }
    };
    let line = format!("{}: {what}{condition}", step.id);
    line[..line.floor_char_boundary(bounds::PLAN_LINE_MAX)].into()
}

/// Use of an action: its name, what it acts on, and its parameters.
fn used(action: &Use, cx: &Cx<'_>, world: &World<'_>) -> String {
    let on = match &action.subject {
        None => String::new(),
        Some(Subject::Node(name) | Subject::Group(name) | Subject::Service(name)) => format!(" on {name}"),
        Some(Subject::Path(path)) => {
            let own = || cx.level().target.map(|target| target.name().to_string());
            let value = path.render(world, plain).ok();
            let name = value.as_ref().and_then(|value| value.name().map(ToString::to_string));
            format!(" on {}", name.or_else(own).unwrap_or_default())
        }
    };
    let args: Vec<String> =
        action.args.iter().map(|(name, arg)| format!("{name} {}", shown(arg, world))).collect();
    format!("{}{on}{}{}", action.action.name, if args.is_empty() { "" } else { ": " }, args.join(", "))
}

/// A parameter as it will be, or as it was written where that is not known yet. Secrets are names.
fn shown(arg: &Arg, world: &World<'_>) -> String {
    match arg {
        Arg::Constant(serde_json::Value::String(text)) => text.clone(),
        Arg::Constant(value) => value.to_string(),
        Arg::Template(text, _) => text.text(world),
        Arg::Secret(name) => format!("{{secret: {name}}}"),
        Arg::File(file) => format!("{{template: {}}}", file.path),
        Arg::Map(entries) => {
            let entries = entries.iter().map(|(key, arg)| format!("{key}: {}", shown(arg, world)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Arg::List(items) => {
            format!("[{}]", items.iter().map(|arg| shown(arg, world)).collect::<Vec<_>>().join(", "))
        }
    }
}

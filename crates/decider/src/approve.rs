//! Asking people: an approval is bound to run, instance and plan; the first answer wins, and no answer is a no.

use std::sync::Arc;

use regreen_playbook::{
    Set,
    model::{Approval, Arg, Playbook, Step, StepKind, Subject, Use},
    template::plain,
};
use regreen_schemas::{
    Instance, RunId,
    event::{Event, RunEvent},
    hash::h,
    message::Ask,
    mutation::{self, Mutation},
    run::RunResult,
};

use crate::{
    advance::{Next, ended},
    bounds,
    decide::Decider,
    env::World,
    run::{Run, Stage},
    state::Illegal,
};

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
    /// What a run asks before its first effect; `None` when it need not ask, or was told yes.
    pub(crate) fn first_asks(&self, run: &Run, set: &Set, playbook: &Playbook) -> Option<Next> {
        let approval = playbook.guard.approval.as_ref().filter(|_| run.approved.is_none())?;
        let plan = self.plan_lines(run, set, &playbook.steps[run.at..]);
        Some(self.asks(run, Instance::from(GUARD), plan, approval))
    }

    /// Steps, a line each.
    pub(crate) fn plan_lines(&self, run: &Run, set: &Set, steps: &[Step]) -> Vec<Arc<str>> {
        let mut lines: Vec<Arc<str>> =
            steps.iter().take(bounds::PLAN_LINES_MAX).map(|step| self.line(step, run, set)).collect();
        if let Some(more) = steps.len().checked_sub(bounds::PLAN_LINES_MAX).filter(|more| *more > 0) {
            lines.push(format!("and {more} more").into());
        }
        lines
    }

    /// What a step asks.
    pub(crate) fn step_asks(
        &self,
        run: &Run,
        set: &Set,
        step: &Step,
        asked: &regreen_playbook::model::Approve,
    ) -> Next {
        let world = World::of(&self.s, set, run);
        let says = asked.text.as_ref().map(|text| text.text(&world));
        let says = says.map(|text| text[..text.floor_char_boundary(bounds::TELL_BYTES_MAX)].into());
        let plan = says.into_iter().chain([self.line(step, run, set)]).collect();
        self.asks(run, Instance::new(step.id.clone()), plan, &asked.asked)
    }

    fn asks(&self, run: &Run, instance: Instance, plan: Vec<Arc<str>>, approval: &Approval) -> Next {
        let target = run.target.as_ref().map_or_else(Default::default, |target| target.lock());
        let mut parts: Vec<&[u8]> = vec![
            run.id.as_str().as_bytes(),
            instance.as_str().as_bytes(),
            run.set.as_str().as_bytes(),
            target.as_bytes(),
        ];
        parts.extend(plan.iter().map(|line| line.as_bytes()));
        let plan_hash = h(&parts).into();
        let within = self.s.now + approval.within;
        let until = run.until.map_or(within, |deadline| deadline.min(within));
        let by = approval.by.clone();
        let ask = Box::new(Ask { run: run.id.clone(), instance, plan_hash, plan, by, until });
        Next::Event(RunEvent::ApprovalAsked { ask })
    }

    /// A step in a line, as far as it is known now.
    fn line(&self, step: &Step, run: &Run, set: &Set) -> Arc<str> {
        let world = World::of(&self.s, set, run);
        let condition = step.condition.as_ref().map_or_else(String::new, |c| format!(" if {}", c.text));
        let what = match &step.kind {
            StepKind::Wait(span) => format!("wait {span}"),
            StepKind::Approve(approve) => format!("ask {}", approve.asked.by),
            StepKind::Verify(verify) => {
                let check =
                    verify.check.render(&world, plain).map_or_else(|why| why, |name| name.to_string());
                format!("verify {check} is {} for {}", verify.is.word(), verify.hold)
            }
            StepKind::Use(action) => used(action, run, &world),
        };
        let line = format!("{}: {what}{condition}", step.id);
        line[..line.floor_char_boundary(bounds::PLAN_LINE_MAX)].into()
    }

    /// What becomes of a run that asks, when nobody has answered.
    pub(crate) fn unanswered(&self, run: &Run, ask: &Ask) -> Next {
        if run.resolved {
            return if run.effects == 0 {
                ended(RunResult::Cancelled, "the alert resolved before anything was done")
            } else {
                Next::Event(RunEvent::StepSkipped { instance: ask.instance.clone() })
            };
        }
        if self.s.now >= ask.until {
            return Next::Event(RunEvent::ApprovalExpired { instance: ask.instance.clone() });
        }
        Next::Wait
    }

    /// Takes an answer in, if it is to what is asked, and from who may give it.
    pub(crate) fn answered(&mut self, by: &str, answer: &Answer<'_>) -> Result<(), Illegal> {
        let Answer { run, instance, plan_hash, no } = answer;
        let (run, instance) = (*run, *instance);
        let word = if no.is_some() { "deny" } else { "approve" };
        let wanted = || format!("{word} {instance} of run {run}");
        let asked = self.s.runs.get(run).and_then(|run| match &run.stage {
            Stage::Approving(ask) if ask.instance == *instance => Some(ask.clone()),
            _ => None,
        });
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
        let (instance, by) = (instance.clone(), by.into());
        self.run_event(
            run,
            match no {
                None => RunEvent::Approved { instance, by },
                Some(reason) => RunEvent::Denied { instance, by, reason: (*reason).clone() },
            },
        )?;
        self.advance(run)
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

/// Use of an action: its name, what it acts on, and its parameters.
fn used(action: &Use, run: &Run, world: &World<'_>) -> String {
    let on = match &action.subject {
        None => String::new(),
        Some(Subject::Node(name) | Subject::Group(name)) => format!(" on {name}"),
        Some(Subject::Path(path)) => {
            let own = || run.target.as_ref().map(|target| target.name().to_string());
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
        Arg::Map(entries) => {
            let entries = entries.iter().map(|(key, arg)| format!("{key}: {}", shown(arg, world)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Arg::List(items) => {
            format!("[{}]", items.iter().map(|arg| shown(arg, world)).collect::<Vec<_>>().join(", "))
        }
    }
}

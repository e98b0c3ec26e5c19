//! The course of a run: its steps are walked from the top again and again, and what is neither done nor under way is
//! what begins next. So where it stands is never written down twice.

use std::sync::Arc;

use regreen_playbook::model::{OnFailure, Step, StepKind, Use};
use regreen_schemas::{
    Instance,
    command::Kind,
    event::{AfterUnknown, Mode, RunEvent, Then},
    run::RunResult,
};
use serde_json::Value;

use crate::{
    advance::{Next, verifying},
    approve::GUARD,
    bounds,
    cx::Cx,
    decide::Decider,
    run::{Act, CLOSING, Conclusion, How, Run, Stage},
};

/// How far a part of the tree is.
pub(crate) enum Flow {
    /// It is done, and went well as far as others need it.
    Well,
    /// It failed.
    Failed(Failed),
    /// This happens next.
    Next(Box<Next>),
    /// It waits.
    Wait,
    /// A playbook at work is over.
    Over(RunResult, Arc<str>),
}

/// How a part failed.
pub(crate) struct Failed {
    pub reason: Arc<str>,
    /// What was done is undone.
    pub undo: bool,
    /// How the playbook ends by it.
    pub result: RunResult,
}

impl Flow {
    pub fn next(next: Next) -> Self {
        Self::Next(Box::new(next))
    }

    pub fn event(what: RunEvent) -> Self {
        Self::next(Next::Event(what))
    }
}

/// What becomes of several parts that are looked at one after the other, when the first that moves decides.
macro_rules! unless_well {
    ($flow:expr) => {
        match $flow {
            Flow::Well => {}
            other => return other,
        }
    };
}
pub(crate) use unless_well;

impl Decider<'_> {
    /// A playbook at work: its steps; then undos, `finally` and the closing verify.
    pub(crate) fn level(&self, cx: &Cx<'_>) -> Flow {
        let level = cx.level();
        let guard = cx.own(GUARD);
        let asks = cx.run.acts.get(&guard);
        if let Some(act) = asks
            && let next @ Flow::Next(_) = self.leaf(cx, &guard, act, None, Then::Stop)
        {
            return next;
        }
        match level.concluded {
            None if level.mode == Mode::Observe => {
                let plan = self.plan_lines(cx, &level.playbook.steps).join("; ");
                return Flow::Over(RunResult::Observed, format!("would do: {plan}").into());
            }
            None => match self.list(cx, &level.playbook.steps) {
                Flow::Well => {}
                Flow::Failed(Failed { reason, undo, result }) => {
                    return self.conclude(cx, result, reason, undo);
                }
                other => return other,
            },
            Some(concluded) => {
                unless_well!(self.settle_steps(cx, concluded));
                if concluded.undo {
                    match self.undo(&cx.at_end()) {
                        Flow::Well => {}
                        Flow::Failed(failed) => return self.ending(cx, concluded, Some(failed.reason)),
                        other => return other,
                    }
                }
                return self.ending(cx, concluded, None);
            }
        }
        let well = Conclusion {
            result: RunResult::Done,
            reason: "all steps went well".into(),
            undo: false,
            until: self.s.now,
        };
        self.ending(cx, &well, None)
    }

    /// `finally`, each of its steps tried, and the closing verify.
    fn ending(&self, cx: &Cx<'_>, concluded: &Conclusion, wrong: Option<Arc<str>>) -> Flow {
        let level = cx.level();
        let at_end = cx.at_end();
        let mut failed: Option<Arc<str>> = wrong.clone();
        // What never touched anything has nothing to put right; what has begun goes on.
        let wanted = concluded.result.is_well() || cx.run.effects > level.effects_before;
        let begun = |step: &Step| cx.run.acts.contains_key(&cx.path(&step.id));
        for step in level.playbook.finally.iter().filter(|step| wanted || begun(step)) {
            match self.one(&at_end, step) {
                Flow::Well => {}
                Flow::Failed(now) => drop(failed.get_or_insert(now.reason)),
                other => return other,
            }
        }
        // The step that it was asked for is left out after all.
        let guard = cx.own(GUARD);
        if cx.run.acts.contains_key(&guard) {
            return Flow::event(RunEvent::StepSkipped { instance: guard });
        }
        // A playbook within had begun its closing verify when its caller was cut short.
        let closing = cx.own(CLOSING);
        if !concluded.result.is_well() && level.sub.is_some() && cx.run.acts.contains_key(&closing) {
            return Flow::event(RunEvent::StepSkipped { instance: closing });
        }
        if !concluded.result.is_well() {
            let undone = concluded.undo && wrong.is_none() && concluded.result != RunResult::Unknown;
            let result = if undone { RunResult::Undone } else { concluded.result };
            let more = failed.map_or_else(String::new, |failed| format!("; then {failed}"));
            return Flow::Over(result, format!("{}{more}", concluded.reason).into());
        }
        let closed = self.closing(cx);
        match (closed, failed) {
            (Flow::Well, None) if level.playbook.verify.is_empty() => {
                Flow::Over(RunResult::Done, concluded.reason.clone())
            }
            (Flow::Well, None) => Flow::Over(RunResult::Repaired, "the closing verify held".into()),
            (Flow::Well, Some(failed)) => Flow::Over(RunResult::Failed, failed),
            (Flow::Failed(missed), _) => Flow::Over(RunResult::Failed, missed.reason),
            (other, _) => other,
        }
    }

    fn closing(&self, cx: &Cx<'_>) -> Flow {
        if cx.level().playbook.verify.is_empty() {
            return Flow::Well;
        }
        let instance = cx.own(CLOSING);
        if let Some(done) = cx.run.done.get(&instance) {
            return match &done.how {
                How::Failed(reason, _) => failed(reason.clone(), Then::Stop),
                How::Ok(_) | How::Skipped => Flow::Well,
            };
        }
        match cx.run.acts.get(&instance) {
            Some(act) => self.leaf(cx, &instance, act, None, Then::Stop),
            None => match self.all_watches(cx, &cx.level().playbook.verify) {
                Ok(mut watches) => {
                    // All must hold at once: the longest of their times is that of all.
                    let until = watches.iter().map(|watch| watch.until).max();
                    watches.iter_mut().for_each(|watch| watch.until = until.unwrap_or(watch.until));
                    Flow::event(RunEvent::VerifyBegan { instance, watches })
                }
                Err(why) => failed(format!("closing verify: {why}").into(), Then::Stop),
            },
        }
    }

    /// Ends the innermost playbook's steps before their end.
    pub(crate) fn conclude(
        &self,
        cx: &Cx<'_>,
        result: RunResult,
        reason: impl Into<Arc<str>>,
        undo: bool,
    ) -> Flow {
        Flow::event(RunEvent::Concluded {
            instance: cx.level().sub.clone(),
            result,
            reason: reason.into(),
            undo,
            until: self.s.now + bounds::GRACE,
        })
    }

    /// Steps in their order; the first that is not done with decides.
    pub(crate) fn list(&self, cx: &Cx<'_>, steps: &[Step]) -> Flow {
        for step in steps {
            unless_well!(self.one(cx, step));
        }
        Flow::Well
    }

    /// A step, with what follows its failure.
    pub(crate) fn one(&self, cx: &Cx<'_>, step: &Step) -> Flow {
        let instance = cx.path(&step.id);
        let Some(done) = cx.run.done.get(&instance) else {
            return match cx.run.acts.get(&instance) {
                Some(act) => self.act(cx, step, &instance, act),
                None => self.begin(cx, step, instance),
            };
        };
        let How::Failed(reason, then) = &done.how else { return Flow::Well };
        let said = format!("{instance}: {reason}").into();
        // A playbook within that is in doubt, or was refused, is so for its caller too.
        let ended = cx.run.subs.get(&instance).and_then(|sub| sub.ended);
        if let Some(result @ (RunResult::Unknown | RunResult::Denied)) = ended {
            return Flow::Failed(Failed { reason: said, undo: false, result });
        }
        match (then, &step.on_failure) {
            (Then::Continue, _) => Flow::Well,
            (Then::Steps, OnFailure::Steps(steps)) => self.list(cx, steps),
            (then, _) => failed(said, *then),
        }
    }

    fn act(&self, cx: &Cx<'_>, step: &Step, instance: &Instance, act: &Act) -> Flow {
        let then = then(step);
        match (&act.stage, &step.kind) {
            (Stage::Branch(taken), StepKind::Choose(branches)) => {
                let steps = branches.get(*taken as usize).map_or(&[][..], |branch| &branch.steps);
                over(instance, self.list(cx, steps), then)
            }
            (Stage::Parallel, StepKind::Parallel(parallel)) => {
                over(instance, self.parallel(cx, parallel), then)
            }
            (Stage::Loop, StepKind::ForEach(each)) => over(instance, self.items(cx, step, each), then),
            (Stage::Sub, _) => self.sub(cx, step, instance, then),
            (_, StepKind::Use(action)) => self.leaf(cx, instance, act, Some(action), then),
            _ => self.leaf(cx, instance, act, None, then),
        }
    }

    /// Something under way that holds no other steps.
    pub(crate) fn leaf(
        &self,
        cx: &Cx<'_>,
        instance: &Instance,
        act: &Act,
        action: Option<&Use>,
        then: Then,
    ) -> Flow {
        let (now, run) = (self.s.now, cx.run);
        let budget = action.map_or(1, |action| action.attempts);
        let fails = |reason: &Arc<str>| {
            let (instance, reason) = (instance.clone(), reason.clone());
            Flow::event(RunEvent::StepFailed { instance, reason, then })
        };
        match &act.stage {
            Stage::Dispatched(attempt) if now >= attempt.overdue() => {
                Flow::next(self.overdue(act, attempt, budget))
            }
            Stage::Running(attempt, until) if now >= *until => {
                Flow::event(self.unknown(act, attempt, budget, "no answer in time"))
            }
            Stage::Again(attempt, at) if now >= (*at).min(attempt.until) => {
                self.again(cx, act, attempt, action, then)
            }
            Stage::Looking(attempt, at, _) if now >= (*at).min(attempt.until) => self.look(cx, act, attempt),
            Stage::Approving(ask) => self.unanswered(ask),
            Stage::Asking(attempt)
                if stays_unknown(run) || self.s.now >= run.last().unwrap_or(self.s.now) =>
            {
                self.in_doubt(cx, attempt)
            }
            Stage::Waiting(until) if now >= *until => {
                Flow::event(RunEvent::StepSucceeded { instance: instance.clone(), result: Value::Null })
            }
            Stage::Verifying(watching) => match verifying(instance, watching, now) {
                Some(what) => Flow::event(what),
                None => Flow::Wait,
            },
            Stage::Failing(reason) => fails(reason),
            _ => Flow::Wait,
        }
    }

    /// Nobody said in time whether an effect took place: it stays unknown, and the run ends so.
    pub(crate) fn in_doubt(&self, cx: &Cx<'_>, attempt: &crate::run::Attempt) -> Flow {
        let why = match &cx.run.cancelled {
            Some(why) => format!("{why}; nobody said whether {} took place", attempt.instance),
            None => "nobody said whether the effect took place".to_owned(),
        };
        if stays_unknown(cx.run) {
            let (instance, reason) = (attempt.instance.clone(), why.into());
            return Flow::event(RunEvent::StepFailed { instance, reason, then: Then::Stop });
        }
        Flow::event(RunEvent::Concluded {
            instance: None,
            result: RunResult::Unknown,
            reason: why.into(),
            // What is being undone goes on.
            undo: cx.run.concluded.as_ref().is_some_and(|concluded| concluded.undo),
            until: self.s.now + bounds::GRACE,
        })
    }

    /// What is under way when a playbook's steps end before their end: calls are settled, all else is dropped.
    fn settle_steps(&self, cx: &Cx<'_>, concluded: &Conclusion) -> Flow {
        let level = cx.level();
        let mut waits = false;
        // The innermost first: what holds others is dropped after them.
        for (instance, act) in cx.run.acts.iter().rev() {
            let Some(rest) = instance.as_str().strip_prefix(&level.base) else { continue };
            if !belongs_to_steps(cx, rest) || within_sub(cx.run, instance, &level.base) {
                continue;
            }
            match self.settle_one(cx, instance, act, concluded) {
                Flow::Well => {}
                Flow::Wait => waits = true,
                other => return other,
            }
        }
        if waits { Flow::Wait } else { Flow::Well }
    }

    fn settle_one(&self, cx: &Cx<'_>, instance: &Instance, act: &Act, concluded: &Conclusion) -> Flow {
        let dropped = || Flow::event(RunEvent::StepSkipped { instance: instance.clone() });
        let place = locate(cx, instance);
        match &act.stage {
            Stage::Dispatched(attempt)
                if cx.run.cancelled.is_some() && attempt.task.kind == Kind::Perform =>
            {
                // Perhaps nobody has begun yet.
                let (instance, attempt) = (attempt.instance.clone(), attempt.number);
                Flow::event(RunEvent::Overdue { instance, attempt, refused: None })
            }
            Stage::Asking(attempt) if cx.run.cancelled.is_some() || stays_unknown(cx.run) => {
                self.in_doubt(cx, attempt)
            }
            Stage::Dispatched(_)
            | Stage::Revoking(..)
            | Stage::Running(..)
            | Stage::Looking(..)
            | Stage::Asking(_) => {
                let action = place.as_ref().and_then(|(_, step)| match &step.kind {
                    StepKind::Use(action) => Some(&**action),
                    _ => None,
                });
                self.leaf(cx, instance, act, action, Then::Stop)
            }
            // An earlier try may have been done after all: a person says.
            Stage::Again(attempt, _) if act.doubtful => Flow::event(RunEvent::AttemptUnknown {
                instance: instance.clone(),
                attempt: attempt.number,
                reason: "it was not tried again".into(),
                next: AfterUnknown::Ask,
            }),
            Stage::Sub => match place {
                Some((at, step)) => self.settle_sub(&at, step, instance, concluded),
                None => dropped(),
            },
            Stage::Branch(_) | Stage::Parallel | Stage::Loop if holds_others(cx, instance, &act.stage) => {
                Flow::Wait
            }
            _ => dropped(),
        }
    }

    /// A playbook within is concluded as its caller is, and brings its own `finally` to an end.
    fn settle_sub(&self, cx: &Cx<'_>, step: &Step, instance: &Instance, concluded: &Conclusion) -> Flow {
        let Some(inner) = cx.within(step) else {
            return Flow::event(RunEvent::StepSkipped { instance: instance.clone() });
        };
        if inner.level().concluded.is_none() {
            // For one that is cut short its caller's end is a failure, whatever it is for the caller.
            let result = if concluded.result.is_well() { RunResult::Cancelled } else { concluded.result };
            return self.conclude(&inner, result, concluded.reason.clone(), false);
        }
        self.sub(cx, step, instance, Then::Stop)
    }
}

/// Whether a run ends unknown: nobody is waited for any more.
fn stays_unknown(run: &Run) -> bool {
    run.concluded.as_ref().is_some_and(|concluded| concluded.result == RunResult::Unknown)
}

/// The place of a path, from the outermost place.
fn locate<'a>(cx: &Cx<'a>, instance: &Instance) -> Option<(Cx<'a>, &'a Step)> {
    let playbook = cx.levels.first()?.playbook;
    Cx::root(cx.state, cx.set, cx.run, playbook).locate(instance)
}

/// Whether a path within a playbook belongs to its steps, and not to what is done at its end.
fn belongs_to_steps(cx: &Cx<'_>, rest: &str) -> bool {
    let id = rest.split(['.', '[']).next().unwrap_or(rest);
    if rest == CLOSING || id.starts_with("undo(") {
        return false;
    }
    let playbook = cx.level().playbook;
    let mut at_end = Vec::new();
    playbook.finally.iter().for_each(|step| ids(step, &mut at_end));
    for action in playbook.uses() {
        if let regreen_playbook::model::Undo::Steps(steps) = &action.undo {
            steps.iter().for_each(|step| ids(step, &mut at_end));
        }
    }
    !at_end.contains(&id)
}

fn ids<'s>(step: &'s Step, out: &mut Vec<&'s str>) {
    out.push(&step.id);
    step.inner().into_iter().flatten().for_each(|step| ids(step, out));
}

/// Whether a path stands within a playbook that runs within this one.
fn within_sub(run: &Run, instance: &Instance, base: &str) -> bool {
    run.subs.keys().any(|sub| {
        let inner = sub.as_str();
        inner.len() > base.len().saturating_sub(1)
            && inner.starts_with(base)
            && instance.as_str().strip_prefix(inner).is_some_and(|rest| rest.starts_with('.'))
    })
}

/// Whether something else is under way beside what only holds others.
fn holds_others(cx: &Cx<'_>, instance: &Instance, stage: &Stage) -> bool {
    let base = &cx.level().base;
    let leaf = |stage: &Stage| !matches!(stage, Stage::Branch(_) | Stage::Parallel | Stage::Loop);
    let _ = stage;
    cx.run.stages().any(|(other, stage)| {
        other != instance
            && leaf(stage)
            && other.as_str().strip_prefix(base.as_str()).is_some_and(|rest| belongs_to_steps(cx, rest))
    })
}

/// What follows when a step fails.
pub(crate) fn then(step: &Step) -> Then {
    match step.on_failure {
        OnFailure::Stop => Then::Stop,
        OnFailure::Continue => Then::Continue,
        OnFailure::Undo => Then::Undo,
        OnFailure::Steps(_) => Then::Steps,
    }
}

pub(crate) fn failed(reason: Arc<str>, then: Then) -> Flow {
    Flow::Failed(Failed { reason, undo: then == Then::Undo, result: RunResult::Failed })
}

/// The end of a step that holds others.
fn over(instance: &Instance, flow: Flow, then: Then) -> Flow {
    let instance = instance.clone();
    match flow {
        Flow::Well => Flow::event(RunEvent::StepSucceeded { instance, result: Value::Null }),
        // What only the playbook as a whole can end passes by.
        Flow::Failed(failed) if failed.result != RunResult::Failed => Flow::Failed(failed),
        Flow::Failed(Failed { reason, undo, .. }) => {
            let then = if undo { Then::Undo } else { then };
            Flow::event(RunEvent::StepFailed { instance, reason, then })
        }
        other => other,
    }
}

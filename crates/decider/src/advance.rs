//! What a run does next: looked at again and again until it waits for a fact or a moment. Each turn writes one
//! event; the transition itself stands in `run`, the way through its steps in `course`.

use std::sync::Arc;

use regreen_playbook::{
    Set,
    model::{Playbook, Use},
};
use regreen_schemas::{
    Instance, RunId, Timestamp,
    action::Effect,
    event::{AfterUnknown, Event, RunEvent, Then},
    fact::{Answer, Failure},
    mutation::{self, Mutation},
    run::{Block, RunResult},
};
use serde_json::Value;

use crate::{
    bounds,
    course::{Flow, then},
    cx::Cx,
    decide::Decider,
    run::{Act, Attempt, Progress, Run, Stage, Watching},
    state::Illegal,
};

/// Most turns of one run within one decision: each step takes a few.
const TURNS_MAX: usize = 10_000;

/// Runs in line for a lock that go on in one item.
const QUEUE_TURNS: usize = 16;

/// What a run wants next.
pub(crate) enum Next {
    /// This happens.
    Event(RunEvent),
    /// A step says something to somebody.
    Say { instance: Instance, to: Arc<str>, text: Arc<str> },
    /// A step moves a service to another group.
    Move { instance: Instance, service: Arc<str>, active: Arc<str> },
    /// It waits.
    Wait,
}

impl Decider<'_> {
    /// Takes a run as far as it goes now.
    pub(crate) fn advance(&mut self, id: &RunId) -> Result<(), Illegal> {
        for _ in 0..TURNS_MAX {
            let Some(run) = self.s.runs.get(id).cloned() else { return Ok(()) };
            match self.next(&run) {
                Next::Wait => return Ok(()),
                Next::Event(RunEvent::Ended { result, reason }) => return self.end(&run, result, reason),
                Next::Event(what @ RunEvent::SubEnded { .. }) => self.end_sub(&run, what)?,
                Next::Event(RunEvent::ApprovalExpired { instance }) => self.expired(id, instance)?,
                Next::Event(what) => self.run_event(id, what)?,
                Next::Say { instance, to, text } => {
                    self.say(&run, &instance, &to, text)?;
                    self.run_event(id, RunEvent::StepSucceeded { instance, result: Value::Null })?;
                }
                Next::Move { instance, service, active } => {
                    let before = self.pinned(&run).and_then(|set| self.s.serving(&set, &service));
                    self.emit(Event::ServiceMoved { service, active, run: id.clone() })?;
                    // Its undo puts that back.
                    let result = serde_json::json!({"before": before});
                    self.run_event(id, RunEvent::StepSucceeded { instance, result })?;
                }
            }
        }
        Err(Illegal(format!("run {id} goes round in circles")))
    }

    /// Ends a run, tells whom it concerns, and lets others follow it.
    fn end(&mut self, run: &Run, result: RunResult, reason: Arc<str>) -> Result<(), Illegal> {
        let (result, reason) = self.judge_drill(run, result, reason);
        self.run_event(&run.id, RunEvent::Ended { result, reason: reason.clone() })?;
        if result.escalates() {
            self.escalate(run, result, &reason)?;
        }
        self.outcome_of(&run.playbook, run, result, run.trial)?;
        self.after_end(run, result)
    }

    fn end_sub(&mut self, run: &Run, what: RunEvent) -> Result<(), Illegal> {
        let RunEvent::SubEnded { instance, result, .. } = &what else { return Ok(()) };
        let (result, playbook) =
            (*result, run.subs.get(instance).map(|sub| (sub.playbook.clone(), sub.effects_before)));
        self.run_event(&run.id, what)?;
        match playbook {
            // What did nothing says nothing about repairs of its kind.
            Some((playbook, before)) if run.effects > before => {
                self.outcome_of(&playbook, run, result, false)
            }
            _ => Ok(()),
        }
    }

    /// A lock was released: those in line for one go on, a few an item, so that a queue of thousands fits no single
    /// record.
    pub(crate) fn look_at_queue(&mut self) -> Result<(), Illegal> {
        let next: Vec<RunId> = self.s.first_in_lines().take(QUEUE_TURNS).cloned().collect();
        next.iter().try_for_each(|id| self.advance(id))?;
        self.emit(Event::QueueLooked { more: !next.is_empty() })
    }

    fn next(&self, run: &Run) -> Next {
        let set = self.pinned(run);
        let Some((set, playbook)) =
            set.as_ref().and_then(|set| Some((set, set.playbooks.get(&run.playbook)?)))
        else {
            // The shell brings every set that an open run pins before it decides: this is our own mistake.
            return Next::Wait;
        };
        if run.progress == Progress::Queued {
            return self.queued(run, playbook);
        }
        let cx = Cx::root(&self.s, set, run, playbook);
        if let Some(next) = self.cut(&cx) {
            return next;
        }
        match self.level(&cx) {
            Flow::Next(next) => *next,
            Flow::Over(result, _) if result.is_well() && self.drill_waits(run) => Next::Wait,
            Flow::Over(result, reason) => ended(result, reason),
            // A playbook as a whole neither fails nor goes well: it ends.
            Flow::Wait | Flow::Well | Flow::Failed(_) => Next::Wait,
        }
    }

    /// What ends a run before its end: a person, or that its alerts are over.
    fn cut(&self, cx: &Cx<'_>) -> Option<Next> {
        let run = cx.run;
        if run.concluded.is_some() {
            return None;
        }
        let under_way = run.calls().next().is_some() || run.in_doubt().next().is_some();
        let untouched = run.effects == 0 && !under_way;
        if let Some(why) = &run.cancelled {
            return Some(if untouched {
                ended(RunResult::Cancelled, why.clone())
            } else {
                self.conclude_run(RunResult::Cancelled, why.clone())
            });
        }
        if !run.resolved {
            return None;
        }
        let nothing = "the alert resolved before anything was done";
        if untouched {
            return Some(ended(RunResult::Cancelled, nothing));
        }
        if run.effects == 0 {
            return Some(self.conclude_run(RunResult::Cancelled, nothing));
        }
        // A playbook within that goes on is not cut short.
        let goes_on = run.subs.values().any(|sub| sub.goes_on && sub.ended.is_none());
        let why = "its alerts are over: what was left is dropped";
        (!goes_on && self.steps_are_open(cx)).then(|| self.conclude_run(RunResult::Done, why))
    }

    /// A run whose moment has come and that did not move: a mistake of ours. It alone ends, and people hear of it.
    pub(crate) fn stands_still(&mut self, id: &RunId) -> Result<(), Illegal> {
        let Some(run) = self.s.runs.get(id).cloned() else { return Ok(()) };
        let text = format!("run {id} of {} stood still and is ended: look what it left behind", run.playbook);
        self.tell_system(&format!("still/{id}"), &text)?;
        let unknown = run.concluded.as_ref().is_some_and(|end| end.result == RunResult::Unknown);
        if !unknown {
            let until = self.s.now + bounds::GRACE;
            let (result, reason) = (RunResult::Unknown, "it stood still: a mistake of ours".into());
            let what = RunEvent::Concluded { instance: None, result, reason, undo: false, until };
            self.run_event(id, what)?;
            return self.advance(id);
        }
        let stays = |stage: &Stage| {
            matches!(
                stage,
                Stage::Dispatched(_) | Stage::Revoking(..) | Stage::Running(..) | Stage::Looking(..)
            )
        };
        for (instance, _) in run.stages().filter(|(_, stage)| !stays(stage)) {
            self.run_event(id, RunEvent::StepSkipped { instance: instance.clone() })?;
        }
        self.advance(id)
    }

    /// Whether there is anything left to be dropped.
    fn steps_are_open(&self, cx: &Cx<'_>) -> bool {
        !matches!(self.list(cx, &cx.level().playbook.steps), Flow::Well)
    }

    fn conclude_run(&self, result: RunResult, reason: impl Into<Arc<str>>) -> Next {
        let until = self.s.now + bounds::GRACE;
        Next::Event(RunEvent::Concluded { instance: None, result, reason: reason.into(), undo: false, until })
    }

    fn queued(&self, run: &Run, playbook: &Playbook) -> Next {
        if let Some(why) = &run.cancelled {
            return ended(RunResult::Cancelled, why.clone());
        }
        if run.resolved {
            return ended(RunResult::Cancelled, "the alert resolved while it waited for the lock");
        }
        let taken = Next::Event(RunEvent::LockTaken { deadline: self.s.now + playbook.deadline });
        if run.locks.is_empty() {
            return taken;
        }
        match self.s.locks_holder(&run.locks) {
            None if self.s.first_in_line(run.order, &run.locks) => taken,
            holder if self.s.now >= run.wait_until => match holder {
                Some((held, by)) => ended(RunResult::Blocked, format!("lock: {held} is held by run {by}")),
                None => ended(RunResult::Blocked, "lock: others were before it in line"),
            },
            _ => Next::Wait,
        }
    }

    /// Nobody can begin any more. A ticket must be won back first; a look has no ticket, its answer is lost.
    pub(crate) fn overdue(&self, act: &Act, attempt: &Attempt, budget: u32) -> Next {
        let (instance, number) = (attempt.instance.clone(), attempt.number);
        if attempt.task.effect == Effect::Read {
            // It may have been read, in vain: what was to be told by then should not wait for it for ever.
            return Next::Event(RunEvent::AttemptFailed {
                instance,
                attempt: number,
                kind: Failure::Transient,
                reason: "no answer in time".into(),
                again_at: (act.tries < budget).then(|| self.s.now + backoff(act.tries)),
            });
        }
        let ticketless = attempt.overdue() != attempt.task.claim_by;
        if ticketless || mutation::is(Mutation::RepeatBlindly) {
            // Nothing was changed by it: it is simply asked again, with a new number.
            return Next::Event(RunEvent::Revoked {
                instance,
                attempt: number,
                not_called: None,
                again_at: self.s.now,
            });
        }
        Next::Event(RunEvent::Overdue { instance, attempt: number, refused: None })
    }

    /// The same effect again, unless the step has run out of time.
    pub(crate) fn again(
        &self,
        cx: &Cx<'_>,
        act: &Act,
        attempt: &Attempt,
        action: Option<&Use>,
        then: Then,
    ) -> Flow {
        let instance = attempt.instance.clone();
        if self.s.now >= attempt.until {
            let reason = match self.kept(cx.run, &instance) {
                Some(kept) if !cx.ending => {
                    let why = format!("the deadline passed while {kept}");
                    return self.conclude(cx, RunResult::Blocked, why, false);
                }
                Some(kept) => format!("no time was left while {kept}"),
                None => {
                    format!("no runner took {} in zone {} in time", attempt.task.action, attempt.task.zone)
                }
            };
            return Flow::event(RunEvent::StepFailed { instance, reason: reason.into(), then });
        }
        match action {
            Some(action) => self.perform(cx, instance, action, Some((act, attempt)), then),
            None => Flow::Wait,
        }
    }

    /// What is done about an unknown outcome, by effect class (rule 17).
    pub(crate) fn unknown(&self, act: &Act, attempt: &Attempt, budget: u32, reason: &str) -> RunEvent {
        let next = match attempt.task.effect {
            Effect::Reconcilable => AfterUnknown::Observe,
            Effect::Read | Effect::Idempotent | Effect::Tell if act.tries < budget => {
                AfterUnknown::Retry { at: self.s.now + backoff(act.tries) }
            }
            Effect::Read | Effect::Tell => AfterUnknown::Fail,
            Effect::Idempotent | Effect::AtMostOnce => AfterUnknown::Ask,
        };
        RunEvent::AttemptUnknown {
            instance: attempt.instance.clone(),
            attempt: attempt.number,
            reason: reason.into(),
            next,
        }
    }

    /// What a step instance of a run may do: attempts, and what follows its failure.
    pub(crate) fn terms(&self, run: &Run, instance: &Instance) -> Terms {
        let once = Terms { attempts: 1, then: Then::Stop };
        let set = self.pinned(run);
        let Some((set, playbook)) =
            set.as_ref().and_then(|set| Some((set, set.playbooks.get(&run.playbook)?)))
        else {
            return once;
        };
        let cx = Cx::root(&self.s, set, run, playbook);
        let Some((_, step)) = cx.locate(instance) else { return once };
        let regreen_playbook::model::StepKind::Use(action) = &step.kind else { return once };
        let undoes = instance.as_str().ends_with(')');
        match &action.undo {
            regreen_playbook::model::Undo::Action(undo) if undoes => {
                Terms { attempts: undo.attempts, then: Then::Stop }
            }
            _ => Terms { attempts: action.attempts, then: then(step) },
        }
    }

    /// Two looks that agree settle an outcome; anything else is a human's.
    pub(crate) fn settle_looks(act: &Act, budget: u32, second: &Answer) -> Settled {
        match (&act.seen, second) {
            (Some(Answer::Done { .. }), Answer::Done { result }) => Settled::Done(result.clone()),
            // Seen not done twice: one more try beyond `attempts` is safe.
            (Some(Answer::NotDone), Answer::NotDone) if act.tries <= budget => Settled::Retry,
            (Some(Answer::NotDone), Answer::NotDone) => Settled::NotDone,
            _ => Settled::Ask,
        }
    }

    /// Why nothing may be dispatched for a run now.
    pub(crate) fn holds(&self) -> Option<Block> {
        if self.may_dispatch() {
            return None;
        }
        Some(match &self.s.stopped {
            Some(_) => Block::Stopped { stop_no: self.s.stop_no },
            None => Block::Suspect,
        })
    }

    /// The end of a failed step follows at once where no try is left.
    pub(crate) fn fail_step(
        &mut self,
        run: &RunId,
        instance: &Instance,
        reason: Arc<str>,
    ) -> Result<(), Illegal> {
        let Some(open) = self.s.runs.get(run).cloned() else { return Ok(()) };
        let then = self.terms(&open, instance).then;
        self.run_event(run, RunEvent::StepFailed { instance: instance.clone(), reason, then })?;
        self.advance(run)
    }

    /// The set that a run pins, with the inventory as it is now.
    pub(crate) fn pinned(&self, run: &Run) -> Option<Arc<Set>> {
        self.library.set(&self.s, &run.set)
    }
}

/// What a step instance may do.
pub(crate) struct Terms {
    /// Attempts, the first included.
    pub attempts: u32,
    /// What follows its failure.
    pub then: Then,
}

/// How two looks at an unknown outcome ended.
pub(crate) enum Settled {
    /// The effect is there.
    Done(Value),
    /// It is not, and may be tried again.
    Retry,
    /// It is not.
    NotDone,
    /// They do not tell.
    Ask,
}

/// What a verify comes to now; none: it waits.
pub(crate) fn verifying(instance: &Instance, watching: &[Watching], now: Timestamp) -> Option<RunEvent> {
    if watching.iter().all(|w| w.held(now)) {
        return Some(RunEvent::VerifyHeld { instance: instance.clone() });
    }
    watching.iter().find(|w| now >= w.watch.until && !w.held(now))?;
    let wanted = |w: &Watching| {
        let (check, is, hold) = (&w.watch.check, w.watch.is.word(), w.watch.hold);
        format!("{check} is {}, {is} for {hold} was wanted", w.status(now).word())
    };
    let seen: Vec<String> = watching.iter().filter(|w| !w.held(now)).map(wanted).collect();
    Some(RunEvent::VerifyMissed { instance: instance.clone(), reason: seen.join("; ").into() })
}

pub(crate) fn ended(result: RunResult, reason: impl Into<Arc<str>>) -> Next {
    Next::Event(RunEvent::Ended { result, reason: reason.into() })
}

/// Doubles from [`bounds::RETRY_MIN`] to [`bounds::RETRY_MAX`]. No jitter: decisions replay, and one engine decides.
pub(crate) fn backoff(tries: u32) -> regreen_schemas::Span {
    let doublings = tries.saturating_sub(1).min(10);
    regreen_schemas::Span((bounds::RETRY_MIN.0 << doublings).min(bounds::RETRY_MAX.0))
}

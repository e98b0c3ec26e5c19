//! What a run does next: looked at again and again until it waits for a fact or a moment. Each turn writes one
//! event; the transition itself stands in `run`.

use std::sync::Arc;

use regreen_playbook::{
    Set,
    model::{Playbook, Step, StepKind, Verify},
    template::plain,
};
use regreen_schemas::{
    Instance, RunId, Timestamp,
    action::Effect,
    command::Kind,
    event::{AfterUnknown, Event, Mode, RunEvent, Watch},
    fact::Answer,
    mutation::{self, Mutation},
    run::{Block, RunResult},
    view::Check,
};
use serde_json::Value;

use crate::{
    bounds,
    decide::Decider,
    dispatch::held,
    env::World,
    evaluate::judge,
    run::{Attempt, CLOSING, Run, Stage},
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
                Next::Event(RunEvent::VerifyMissed { instance, reason }) => {
                    self.missed(&run, instance, reason)?;
                }
                Next::Event(what) => self.run_event(id, what)?,
            }
        }
        Err(Illegal(format!("run {id} goes round in circles")))
    }

    /// Ends a run and tells whom it concerns.
    fn end(&mut self, run: &Run, result: RunResult, reason: Arc<str>) -> Result<(), Illegal> {
        self.run_event(&run.id, RunEvent::Ended { result, reason: reason.clone() })?;
        if result.escalates() {
            self.escalate(run, result, &reason)?;
        }
        Ok(())
    }

    /// A lock was released: those in line for one go on, a few an item, so that a queue of thousands fits no single
    /// record.
    pub(crate) fn look_at_queue(&mut self) -> Result<(), Illegal> {
        let next: Vec<RunId> = self.s.first_in_lines().take(QUEUE_TURNS).cloned().collect();
        next.iter().try_for_each(|id| self.advance(id))?;
        self.emit(Event::QueueLooked { more: !next.is_empty() })
    }

    /// A verify did not hold in time: the closing one ends the run, any other fails its step at once.
    fn missed(&mut self, run: &Run, instance: Instance, reason: Arc<str>) -> Result<(), Illegal> {
        self.run_event(
            &run.id,
            RunEvent::VerifyMissed { instance: instance.clone(), reason: reason.clone() },
        )?;
        if instance.as_str() == CLOSING {
            return Ok(());
        }
        let goes_on =
            self.plan(run).and_then(|(_, playbook)| playbook.steps.get(run.at).map(|step| step.goes_on));
        self.run_event(&run.id, RunEvent::StepFailed { instance, reason, goes_on: goes_on.unwrap_or(false) })
    }

    fn next(&self, run: &Run) -> Next {
        let now = self.s.now;
        let Some((set, playbook)) = self.plan(run) else {
            // The shell brings every set that an open run pins before it decides: this is our own mistake.
            return Next::Wait;
        };
        if let Some(next) = run.cancelled.as_ref().and_then(|why| cancelled(&run.stage, why)) {
            return next;
        }
        match &run.stage {
            Stage::Queued => self.queued(run, &playbook),
            Stage::Ready => self.ready(run, &set, &playbook),
            Stage::Dispatched(attempt) if now >= attempt.overdue() => self.overdue(attempt),
            Stage::Running(attempt, until) if now >= *until => {
                Next::Event(self.unknown(run, attempt, "no answer in time"))
            }
            Stage::Again(attempt, at) if now >= (*at).min(attempt.until) => {
                self.again(run, &set, &playbook, attempt)
            }
            Stage::Looking(attempt, at, _) if now >= (*at).min(attempt.until) => self.look(run, attempt),
            Stage::Approving(ask) => self.unanswered(run, ask),
            Stage::Asking(_) if run.until.is_some_and(|until| now >= until) => {
                ended(RunResult::Unknown, "nobody said whether the effect took place")
            }
            Stage::Waiting(instance, until) if now >= *until => {
                Next::Event(RunEvent::StepSucceeded { instance: instance.clone(), result: Value::Null })
            }
            Stage::Verifying(instance, watching) => verifying(instance, watching, now),
            Stage::Ending(result, reason) => ended(*result, reason.as_ref()),
            _ => Next::Wait,
        }
    }

    fn queued(&self, run: &Run, playbook: &Playbook) -> Next {
        if run.resolved {
            return ended(RunResult::Cancelled, "the alert resolved while it waited for the lock");
        }
        let taken = Next::Event(RunEvent::LockTaken { deadline: self.s.now + playbook.deadline });
        let Some(lock) = &run.lock else { return taken };
        match self.s.lock_holder(lock) {
            None if self.s.first_in_line(run.order, lock) => taken,
            holder if self.s.now >= run.wait_until => match holder {
                Some((held, by)) => ended(RunResult::Blocked, format!("lock: {held} is held by run {by}")),
                None => ended(RunResult::Blocked, "lock: others were before it in line"),
            },
            _ => Next::Wait,
        }
    }

    fn ready(&self, run: &Run, set: &Set, playbook: &Playbook) -> Next {
        if playbook.mode == Mode::Observe {
            let plan = self.plan_lines(run, set, &playbook.steps).join("; ");
            return ended(RunResult::Observed, format!("it would do {plan}"));
        }
        if run.resolved && run.effects == 0 {
            return ended(RunResult::Cancelled, "the alert resolved before anything was done");
        }
        let step = playbook.steps.get(run.at).filter(|_| !run.resolved);
        let Some(step) = step else { return self.closing(run, set, playbook) };
        if run.until.is_some_and(|until| self.s.now >= until) {
            return match &run.held {
                Some(by) => ended(RunResult::Blocked, format!("the deadline passed while it was held: {by}")),
                None => ended(RunResult::Failed, format!("the deadline passed before step {}", step.id)),
            };
        }
        let instance = Instance::new(step.id.clone());
        let world = World::of(&self.s, set, run);
        if let Some(condition) = &step.condition {
            match judge(condition, &world).0 {
                Ok(true) => {}
                Ok(false) => return Next::Event(RunEvent::StepSkipped { instance }),
                Err(because) => return failed(instance, format!("`if`: {because}"), step.goes_on),
            }
        }
        match &step.kind {
            StepKind::Wait(span) => Next::Event(RunEvent::WaitBegan { instance, until: self.s.now + *span }),
            StepKind::Verify(verify) => match self.watches(run, set, playbook, verify) {
                Ok(watches) => Next::Event(RunEvent::VerifyBegan { instance, watches }),
                Err(why) => failed(instance, why, step.goes_on),
            },
            StepKind::Approve(approve) => match self.holds() {
                // While catching up `now` is of the past: nobody could answer in time.
                Some(by) => held(run, by),
                None => self.step_asks(run, set, step, approve),
            },
            StepKind::Use(action) if action.effect != Effect::Read && self.holds().is_none() => self
                .first_asks(run, set, playbook)
                .unwrap_or_else(|| self.perform(run, set, playbook, step, action)),
            StepKind::Use(action) => self.perform(run, set, playbook, step, action),
        }
    }

    fn closing(&self, run: &Run, set: &Set, playbook: &Playbook) -> Next {
        if playbook.verify.is_empty() {
            return ended(RunResult::Done, "all steps went well");
        }
        let watches: Result<Vec<Vec<Watch>>, String> =
            playbook.verify.iter().map(|verify| self.watches(run, set, playbook, verify)).collect();
        match watches {
            Ok(watches) => {
                let watches = watches.concat();
                Next::Event(RunEvent::VerifyBegan { instance: Instance::from(CLOSING), watches })
            }
            Err(why) => ended(RunResult::Failed, format!("closing verify: {why}")),
        }
    }

    /// What a verify waits for: the check, or all that an `all` joins.
    fn watches(
        &self,
        run: &Run,
        set: &Set,
        playbook: &Playbook,
        verify: &Verify,
    ) -> Result<Vec<Watch>, String> {
        let name = verify.check.render(&World::of(&self.s, set, run), plain)?.to_string();
        let looked_at = set.looked_at(&name, verify.is)?;
        Ok(looked_at.into_iter().map(|check| self.watch(run, check, playbook, verify)).collect())
    }

    /// Only looks begun after the record that took in the last effect count.
    fn watch(&self, run: &Run, check: &Check, playbook: &Playbook, verify: &Verify) -> Watch {
        Watch {
            check: check.name.clone(),
            is: verify.is,
            hold: verify.hold,
            until: self.s.now + verify.within,
            fresh: check.fresh,
            quorum: playbook.guard.quorum.unwrap_or(check.quorum),
            after: run.effect_seq,
        }
    }

    /// Nobody can begin any more. A ticket must be won back first; a look has no ticket, its answer is lost.
    fn overdue(&self, attempt: &Attempt) -> Next {
        let (instance, number) = (attempt.instance.clone(), attempt.number);
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
    fn again(&self, run: &Run, set: &Set, playbook: &Playbook, attempt: &Attempt) -> Next {
        let step = playbook.steps.get(run.at);
        if run.resolved {
            // What is under way was settled; a new try would be a new effect.
            return failed(attempt.instance.clone(), "the alert resolved before the next try".into(), true);
        }
        if self.s.now >= attempt.until {
            let reason = match &run.held {
                Some(by) => {
                    return ended(RunResult::Blocked, format!("the deadline passed while it was held: {by}"));
                }
                None => {
                    format!("no runner took {} in zone {} in time", attempt.task.action, attempt.task.zone)
                }
            };
            return failed(attempt.instance.clone(), reason, step.is_some_and(|step| step.goes_on));
        }
        match step.map(|step| (step, &step.kind)) {
            Some((step, StepKind::Use(action))) => self.perform(run, set, playbook, step, action),
            _ => Next::Wait,
        }
    }

    /// What is done about an unknown outcome, by effect class (rule 17).
    pub(crate) fn unknown(&self, run: &Run, attempt: &Attempt, reason: &str) -> RunEvent {
        let budget = self.step(run).map_or(1, |(attempts, _)| attempts);
        let next = match attempt.task.effect {
            Effect::Reconcilable => AfterUnknown::Observe,
            Effect::Read | Effect::Idempotent | Effect::Tell if run.tries < budget => {
                AfterUnknown::Retry { at: self.s.now + backoff(run.tries) }
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

    /// Attempts of the run's step, and whether the run goes on without it.
    pub(crate) fn step(&self, run: &Run) -> Option<(u32, bool)> {
        let (_, playbook) = self.plan(run)?;
        let Step { kind: StepKind::Use(action), goes_on, .. } = playbook.steps.get(run.at)? else {
            return None;
        };
        Some((action.attempts, *goes_on))
    }

    /// Two looks that agree settle an outcome; anything else is a human's.
    pub(crate) fn settle_looks(&self, run: &Run, second: &Answer) -> Settled {
        let budget = self.step(run).map_or(1, |(attempts, _)| attempts);
        match (&run.seen, second) {
            (Some(Answer::Done { .. }), Answer::Done { result }) => Settled::Done(result.clone()),
            // Seen not done twice: one more try beyond `attempts` is safe.
            (Some(Answer::NotDone), Answer::NotDone) if run.tries <= budget => Settled::Retry,
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
        let goes_on = self.s.runs.get(run).and_then(|run| self.step(run)).is_some_and(|(_, goes_on)| goes_on);
        self.run_event(run, RunEvent::StepFailed { instance: instance.clone(), reason, goes_on })?;
        self.advance(run)
    }
}

/// What a person's end means where the run stands; `None`: what is under way is settled first, as always.
fn cancelled(stage: &Stage, why: &Arc<str>) -> Option<Next> {
    match stage {
        Stage::Queued
        | Stage::Ready
        | Stage::Again(..)
        | Stage::Approving(_)
        | Stage::Waiting(..)
        | Stage::Verifying(..) => Some(ended(RunResult::Cancelled, why.clone())),
        Stage::Asking(attempt) => {
            let reason = format!("{why}; nobody said whether {} took place", attempt.instance);
            Some(ended(RunResult::Unknown, reason))
        }
        // Perhaps nobody has begun yet.
        Stage::Dispatched(attempt) if attempt.task.kind == Kind::Perform => {
            let (instance, attempt) = (attempt.instance.clone(), attempt.number);
            Some(Next::Event(RunEvent::Overdue { instance, attempt, refused: None }))
        }
        _ => None,
    }
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

fn verifying(instance: &Instance, watching: &[crate::run::Watching], now: Timestamp) -> Next {
    if watching.iter().all(|w| w.held(now)) {
        return Next::Event(RunEvent::VerifyHeld { instance: instance.clone() });
    }
    let missed = watching.iter().find(|w| now >= w.watch.until);
    missed.map_or(Next::Wait, |_| {
        let seen: Vec<String> = watching
            .iter()
            .filter(|w| !w.held(now))
            .map(|w| {
                format!(
                    "{} is {}, {} for {} was wanted",
                    w.watch.check,
                    w.status(now).word(),
                    w.watch.is.word(),
                    w.watch.hold
                )
            })
            .collect();
        Next::Event(RunEvent::VerifyMissed { instance: instance.clone(), reason: seen.join("; ").into() })
    })
}

pub(crate) fn ended(result: RunResult, reason: impl Into<Arc<str>>) -> Next {
    Next::Event(RunEvent::Ended { result, reason: reason.into() })
}

pub(crate) fn failed(instance: Instance, reason: String, goes_on: bool) -> Next {
    Next::Event(RunEvent::StepFailed { instance, reason: reason.into(), goes_on })
}

/// Doubles from [`bounds::RETRY_MIN`] to [`bounds::RETRY_MAX`]. No jitter: decisions replay, and one engine decides.
pub(crate) fn backoff(tries: u32) -> regreen_schemas::Span {
    let doublings = tries.saturating_sub(1).min(10);
    regreen_schemas::Span((bounds::RETRY_MIN.0 << doublings).min(bounds::RETRY_MAX.0))
}

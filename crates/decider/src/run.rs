//! A run: where it stands, and every legal transition of it in one `match`. What is not listed there is illegal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::{
    CheckName, Fingerprint, Instance, PlaybookName, RunId, SetHash, Span, Timestamp,
    alert::Alert,
    check::Status,
    command::{Kind, Task},
    event::{AfterUnknown, Mode, Origin, RunEvent, Target, Watch},
    fact::Answer,
    id::Vantage,
    message::Ask,
    mutation::{self, Mutation},
    run::{Block, RunResult},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::Illegal;

/// One attempt at a step's effect, or a look at its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The step instance.
    pub instance: Instance,
    /// The ticket's number.
    pub number: u32,
    /// What was dispatched.
    pub task: Task,
    /// The stop number it went under.
    pub stop_no: u64,
    /// When it was dispatched.
    pub at: Timestamp,
    /// The step gives up at this moment.
    pub until: Timestamp,
}

/// A look that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it saw.
    pub status: Status,
    /// Its tick: the same look may be told again.
    pub tick: u64,
    /// When it was taken in.
    pub at: Timestamp,
}

/// A check that a verify watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watching {
    /// What must hold.
    pub watch: Watch,
    /// Newest counting look of each vantage.
    pub seen: BTreeMap<Vantage, Seen>,
    /// Since when it has held.
    pub since: Option<Timestamp>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stage {
    /// Waits for its lock.
    Queued,
    /// Before step `at`; behind the last one stands the closing verify.
    Ready,
    /// A command is out; nobody is known to have begun.
    Dispatched(Attempt),
    /// The engine tries to revoke the ticket; with the reason if a runner refused for good.
    Revoking(Attempt, Option<Arc<str>>),
    /// A runner has begun; past the moment its outcome is unknown.
    Running(Attempt, Timestamp),
    /// The same effect is tried again at the moment.
    Again(Attempt, Timestamp),
    /// The outcome is looked up at the moment, with the answers so far.
    Looking(Attempt, Timestamp, Option<Answer>),
    /// A person must say whether the effect took place.
    Asking(Attempt),
    /// A person is asked whether it may go on.
    Approving(Box<Ask>),
    /// Lets time pass.
    Waiting(Instance, Timestamp),
    /// Watches checks.
    Verifying(Instance, Vec<Watching>),
    /// Only its end is left to be written.
    Ending(RunResult, Arc<str>),
    /// Ended.
    Over,
}

/// What became of an earlier step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Done {
    /// With the action's result.
    Ok(Value),
    /// With the reason.
    Failed(Arc<str>),
    /// Its `if` was false.
    Skipped,
}

/// An open run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its playbook.
    pub playbook: PlaybookName,
    /// The set that it pins.
    pub set: SetHash,
    /// What it acts on.
    pub target: Option<Target>,
    /// How it came to be.
    pub origin: Origin,
    /// Its inputs.
    pub inputs: BTreeMap<Arc<str>, Value>,
    /// Whether it may act.
    pub mode: Mode,
    /// The alert that started it.
    pub alert: Option<Alert>,
    /// When it started.
    pub started: Timestamp,
    /// No step begins later; counts from the lock.
    pub until: Option<Timestamp>,
    /// The lock it needs, or holds.
    pub lock: Option<Arc<str>>,
    /// When it stops waiting for the lock.
    pub wait_until: Timestamp,
    /// Its place in line.
    pub order: u64,
    /// Where it stands.
    pub stage: Stage,
    /// Index of the step.
    pub at: usize,
    /// What became of earlier steps.
    pub steps: BTreeMap<Arc<str>, Done>,
    /// Effects dispatched: anything but reads.
    pub effects: u32,
    /// The record that took in the last result of an effect, or began the run.
    pub effect_seq: u64,
    /// Tickets used for the step.
    pub attempts: u32,
    /// Tries of the step that count.
    pub tries: u32,
    /// Alerts that started or joined it.
    pub episodes: BTreeSet<Fingerprint>,
    /// All of them are resolved and the playbook goes by that.
    pub resolved: bool,
    /// Who said yes before its first effect.
    pub approved: Option<Arc<str>>,
    /// Who ended it, and why.
    pub cancelled: Option<Arc<str>>,
    /// Answer of the first look at an unknown outcome, while the second is out.
    pub seen: Option<Answer>,
    /// What holds it now.
    pub held: Option<Block>,
    /// Trace context of the request that started it.
    pub trace: Option<Arc<str>>,
}

impl Run {
    /// A run from its first event.
    #[must_use]
    pub fn started(id: RunId, event: &RunEvent, now: Timestamp, order: u64) -> Option<Self> {
        let RunEvent::Started { playbook, set, target, origin, inputs, mode, lock, wait_until, trace } =
            event
        else {
            return None;
        };
        let episodes = match origin {
            Origin::Alert { fingerprint } => BTreeSet::from([fingerprint.clone()]),
            Origin::Manual { .. } => BTreeSet::new(),
        };
        Some(Self {
            id,
            playbook: playbook.clone(),
            set: set.clone(),
            target: target.clone(),
            origin: origin.clone(),
            inputs: inputs.clone(),
            mode: *mode,
            alert: None,
            started: now,
            until: None,
            lock: lock.clone(),
            wait_until: *wait_until,
            order,
            stage: Stage::Queued,
            at: 0,
            steps: BTreeMap::new(),
            effects: 0,
            effect_seq: 0,
            attempts: 0,
            tries: 0,
            episodes,
            resolved: false,
            approved: None,
            cancelled: None,
            seen: None,
            held: None,
            trace: trace.clone(),
        })
    }

    /// **Every legal transition of a run.** `seq` is the record that holds the event.
    ///
    /// # Errors
    /// [`Illegal`] for everything that is not listed.
    #[expect(clippy::too_many_lines, reason = "every legal transition stands in this one match, on purpose")]
    pub fn next(&mut self, event: &RunEvent, now: Timestamp, seq: u64) -> Result<(), Illegal> {
        use RunEvent as E;
        use Stage as S;
        let stage = std::mem::replace(&mut self.stage, S::Over);
        if !matches!(event, E::Held { .. }) {
            self.held = None;
        }
        self.stage = match (stage, event) {
            // What changes no stage.
            (stage, E::Joined { fingerprint }) => {
                self.episodes.insert(fingerprint.clone());
                stage
            }
            (stage, E::Held { by }) => {
                self.held = Some(by.clone());
                stage
            }
            (stage, E::Resolved) => {
                self.resolved = true;
                stage
            }
            (stage, E::Cancelled { by, reason }) => {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                self.cancelled = Some(format!("cancelled by {by}{why}").into());
                stage
            }

            // In line for the lock.
            (S::Queued, E::LockTaken { deadline }) => {
                self.until = Some(*deadline);
                self.effect_seq = seq;
                S::Ready
            }

            // A step begins.
            (S::Ready, E::StepSkipped { instance }) => self.step_over(instance, Done::Skipped),
            (S::Ready, E::WaitBegan { instance, until }) => S::Waiting(instance.clone(), *until),
            (S::Ready, E::VerifyBegan { instance, watches }) => S::Verifying(
                instance.clone(),
                watches
                    .iter()
                    .map(|watch| Watching { watch: watch.clone(), seen: BTreeMap::new(), since: None })
                    .collect(),
            ),
            (
                S::Ready | S::Again(..) | S::Looking(_, _, None),
                E::Dispatched { instance, attempt, task, stop_no, until, .. },
            ) => self.dispatch(instance, *attempt, task, *stop_no, *until, now, None),
            (S::Looking(_, _, seen), E::Dispatched { instance, attempt, task, stop_no, until, .. }) => {
                self.dispatch(instance, *attempt, task, *stop_no, *until, now, seen)
            }

            // A command is out.
            (S::Dispatched(attempt), E::Overdue { refused, .. }) => S::Revoking(attempt, refused.clone()),
            (S::Dispatched(attempt) | S::Revoking(attempt, _), E::Began { until, .. }) => {
                S::Running(attempt, *until)
            }
            (
                S::Dispatched(attempt) | S::Revoking(attempt, _) | S::Running(attempt, _),
                E::Revoked { again_at, .. },
            ) => {
                if matches!(attempt.task.kind, Kind::Observe(_)) {
                    // A look that was lost is looked again; the effect's own outcome is as unknown as before.
                    S::Looking(attempt, *again_at, self.seen.take())
                } else {
                    // It never began, so it does not count towards `attempts`.
                    self.tries = self.tries.saturating_sub(1);
                    S::Again(attempt, *again_at)
                }
            }
            (S::Dispatched(_) | S::Revoking(..) | S::Running(..), E::StepSucceeded { instance, result }) => {
                self.effect_seq = seq;
                self.step_over(instance, Done::Ok(result.clone()))
            }
            (
                S::Dispatched(attempt) | S::Revoking(attempt, _) | S::Running(attempt, _),
                E::AttemptFailed { again_at, .. },
            ) => {
                self.effect_seq = seq;
                // Without a next try the failure of the step follows in the same item.
                S::Again(attempt, again_at.unwrap_or(Timestamp(i64::MAX)))
            }
            (
                S::Dispatched(attempt) | S::Revoking(attempt, _) | S::Running(attempt, _),
                E::AttemptUnknown { next, .. },
            ) => {
                self.effect_seq = seq;
                match next {
                    AfterUnknown::Retry { at } => S::Again(attempt, *at),
                    AfterUnknown::Observe => S::Looking(attempt, now, None),
                    AfterUnknown::Ask => S::Asking(attempt),
                    AfterUnknown::Fail => S::Again(attempt, Timestamp(i64::MAX)),
                }
            }

            // The outcome is looked up: two looks that agree settle it (rule 17).
            (S::Dispatched(attempt), E::Observed { look, answer, again_at, .. }) => {
                self.effect_seq = seq;
                match again_at {
                    Some(at) if *look == 1 => S::Looking(attempt, *at, Some(answer.clone())),
                    Some(at) => S::Again(attempt, *at),
                    None => S::Asking(attempt),
                }
            }
            (S::Asking(_) | S::Looking(..) | S::Again(..), E::StepSucceeded { instance, result }) => {
                self.step_over(instance, Done::Ok(result.clone()))
            }
            (S::Looking(attempt, ..), E::AttemptUnknown { next: AfterUnknown::Ask, .. }) => {
                S::Asking(attempt)
            }
            (S::Asking(attempt), E::Settled { done, .. }) => {
                self.effect_seq = seq;
                // Done: success follows. Not done: failure follows, or another try.
                S::Again(attempt, if *done { Timestamp(i64::MAX) } else { now })
            }

            // A person is asked, and answers or does not.
            (S::Ready, E::ApprovalAsked { ask }) => S::Approving(ask.clone()),
            (S::Approving(_), E::Approved { instance, by }) => {
                self.effect_seq = seq;
                if instance.as_str() == crate::approve::GUARD {
                    self.approved = Some(by.clone());
                    S::Ready
                } else {
                    self.step_over(instance, Done::Ok(Value::Null))
                }
            }
            (S::Approving(_), E::Denied { by, reason, .. }) => {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                S::Ending(RunResult::Denied, format!("{by} said no{why}").into())
            }
            (S::Approving(ask), E::ApprovalExpired { .. }) => {
                let why = format!("nobody of `{}` said yes until {}", ask.by, ask.until);
                S::Ending(RunResult::Expired, why.into())
            }
            (S::Approving(_), E::StepSkipped { instance }) => self.step_over(instance, Done::Skipped),

            // A step ends.
            (S::Waiting(..), E::StepSucceeded { instance, result }) => {
                self.step_over(instance, Done::Ok(result.clone()))
            }
            (S::Verifying(..), E::VerifyHeld { instance }) => {
                if instance.as_str() == CLOSING {
                    S::Ending(RunResult::Repaired, "the closing verify held".into())
                } else {
                    self.step_over(instance, Done::Ok(Value::Null))
                }
            }
            (S::Verifying(..), E::VerifyMissed { instance, reason }) if instance.as_str() == CLOSING => {
                S::Ending(RunResult::Failed, reason.clone())
            }
            (S::Verifying(instance, _), E::VerifyMissed { .. }) => S::Waiting(instance, Timestamp(i64::MAX)),
            (
                S::Ready | S::Again(..) | S::Waiting(..) | S::Asking(_) | S::Looking(..),
                E::StepFailed { instance, reason, goes_on },
            ) => {
                let next = self.step_over(instance, Done::Failed(reason.clone()));
                if *goes_on {
                    next
                } else {
                    S::Ending(RunResult::Failed, format!("{instance}: {reason}").into())
                }
            }

            // The end. A run with a call under way never ends before the call is settled.
            (
                S::Queued
                | S::Ready
                | S::Again(..)
                | S::Asking(_)
                | S::Looking(..)
                | S::Approving(_)
                | S::Waiting(..)
                | S::Verifying(..)
                | S::Ending(..),
                E::Ended { .. },
            ) => S::Over,

            (stage, event) => return Err(Illegal(format!("run {}: {event:?} in {stage:?}", self.id))),
        };
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event, taken apart by the match above")]
    fn dispatch(
        &mut self,
        instance: &Instance,
        number: u32,
        task: &Task,
        stop_no: u64,
        until: Timestamp,
        now: Timestamp,
        seen: Option<Answer>,
    ) -> Stage {
        if task.kind == Kind::Perform {
            self.attempts = number;
            self.tries += 1;
            self.effects += u32::from(task.effect != regreen_schemas::action::Effect::Read);
        }
        self.seen = seen;
        Stage::Dispatched(Attempt {
            instance: instance.clone(),
            number,
            task: task.clone(),
            stop_no,
            at: now,
            until,
        })
    }

    fn step_over(&mut self, instance: &Instance, done: Done) -> Stage {
        self.steps.insert(instance.as_str().into(), done);
        self.at += 1;
        self.attempts = 0;
        self.tries = 0;
        Stage::Ready
    }

    /// The run's next moment; none while it waits for a fact alone.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        if mutation::is(Mutation::NoDeadline) {
            return None;
        }
        match &self.stage {
            Stage::Queued => Some(self.wait_until),
            // A run only rests here while something holds it; released, it is due at once.
            Stage::Ready if self.held.is_none() => Some(Timestamp(0)),
            Stage::Ready | Stage::Asking(_) => self.until,
            Stage::Dispatched(attempt) => Some(attempt.overdue()),
            Stage::Revoking(..) | Stage::Over => None,
            // Once its alerts are over it is due at once.
            Stage::Approving(_) if self.resolved => Some(Timestamp(0)),
            Stage::Approving(ask) => Some(ask.until),
            Stage::Running(_, at) | Stage::Waiting(_, at) => Some(*at),
            Stage::Again(attempt, _) | Stage::Looking(attempt, ..) if self.held.is_some() => {
                Some(attempt.until)
            }
            Stage::Again(attempt, at) | Stage::Looking(attempt, at, _) => Some((*at).min(attempt.until)),
            Stage::Verifying(_, watching) => watching.iter().map(|w| w.watch.until).min(),
            Stage::Ending(..) => Some(Timestamp(0)),
        }
    }

    /// An effect that is under way may have been done: nobody can say from what is left of the streams.
    pub fn doubt(&mut self, now: Timestamp) {
        if let Stage::Dispatched(open) | Stage::Revoking(open, _) | Stage::Running(open, _) = &self.stage
            && open.task.kind == Kind::Perform
        {
            self.stage = Stage::Running(open.clone(), now);
        }
    }

    /// Moves what concludes from absence (rule 13). Run deadlines and `claim_by` stay.
    pub fn shift(&mut self, away: Span) {
        self.wait_until = self.wait_until + away;
        if let Stage::Verifying(_, watching) = &mut self.stage {
            for w in watching {
                w.watch.until = w.watch.until + away;
                w.seen = BTreeMap::new();
                w.since = None;
            }
        }
    }

    /// Checks that an open verify watches.
    #[must_use]
    pub fn watched(&self) -> Vec<CheckName> {
        match &self.stage {
            Stage::Verifying(_, watching) => watching.iter().map(|w| w.watch.check.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The open attempt, if a call may be under way.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        match &self.stage {
            Stage::Dispatched(attempt) | Stage::Revoking(attempt, _) | Stage::Running(attempt, _) => {
                Some(attempt)
            }
            _ => None,
        }
    }
}

impl Attempt {
    /// When nobody can begin it any more: the engine asks for the ticket then. A look needs no ticket: its answer
    /// is late then.
    #[must_use]
    pub fn overdue(&self) -> Timestamp {
        let ticketless = matches!(self.task.kind, Kind::Observe(_))
            || self.task.effect == regreen_schemas::action::Effect::Read;
        let margin = if ticketless { self.task.timeout + crate::bounds::CALL_WINDOW } else { Span::ZERO };
        self.task.claim_by + margin
    }
}

/// Instance of the closing verify.
pub const CLOSING: &str = "closing";

//! A run: where it stands, and every legal transition of it in one `match`. What is not listed there is illegal.
//! Its steps are a tree; where it stands in that tree follows from what is done and what is under way, each by its path.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::{
    CheckName, Fingerprint, Instance, PlaybookName, RunId, SetHash, Span, Timestamp,
    alert::Alert,
    check::Status,
    command::{Kind, Task},
    event::{AfterUnknown, Asks, Mode, Origin, RunEvent, Source, Target, Then, Watch},
    fact::Answer,
    id::Vantage,
    message::Ask,
    mutation::{self, Mutation},
    run::{Block, RunResult},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{pace::Pace, state::Illegal};

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

/// Where a run stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Waits for its locks.
    Queued,
    /// Has them.
    Going,
    /// Ended.
    Over,
}

/// What is under way at one step instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stage {
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
    Waiting(Timestamp),
    /// Watches checks.
    Verifying(Vec<Watching>),
    /// Only its failure is left to be written.
    Failing(Arc<str>),
    /// This branch of a `choose` was taken.
    Branch(u32),
    /// Several steps at once.
    Parallel,
    /// The same steps for each of some items: which, stands in the run's `loops`.
    Loop,
    /// Another playbook within this run: which, stands in the run's `subs`.
    Sub,
}

/// The items of a `for_each`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// What each is called in the paths of its steps.
    pub names: Vec<Arc<str>>,
    /// The items, as in the event that began it.
    pub items: Vec<Value>,
}

/// A playbook that runs within a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sub {
    /// The playbook.
    pub playbook: PlaybookName,
    /// What it acts on.
    pub target: Option<Target>,
    /// The group that served its target, a service, when it began.
    pub active: Option<Arc<str>>,
    /// Its inputs.
    pub inputs: BTreeMap<Arc<str>, Value>,
    /// Whether it may act.
    pub mode: Mode,
    /// None of its steps begins later.
    pub until: Timestamp,
    /// It goes on though the alert is over.
    pub goes_on: bool,
    /// Effects of the run before it.
    pub effects_before: u32,
    /// How it will end, where that is known before its end.
    pub concluded: Option<Conclusion>,
    /// How it ended.
    pub ended: Option<RunResult>,
}

/// How a run or sub-run will end: only settling, undoing and `finally` are left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// How.
    pub result: RunResult,
    /// Why, for people.
    pub reason: Arc<str>,
    /// What was done is undone first.
    pub undo: bool,
    /// Nothing of what is left begins later.
    pub until: Timestamp,
}

/// What is under way at a step instance, with what was tried there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// Where it stands.
    pub stage: Stage,
    /// Tickets used.
    pub attempts: u32,
    /// Tries that count.
    pub tries: u32,
    /// Answer of the first look at an unknown outcome, while the second is out.
    pub seen: Option<Answer>,
    /// The outcome of an earlier try is not known.
    pub doubtful: bool,
}

/// What became of a step instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Its place among all that are done, from 0.
    pub order: u32,
    /// How it ended.
    pub how: How,
}

/// How a step instance ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum How {
    /// With the action's result.
    Ok(Value),
    /// With the reason, and what follows.
    Failed(Arc<str>, Then),
    /// Its `if` was false, or it was dropped.
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
    /// The group that served its target, a service, when it began.
    pub active: Option<Arc<str>>,
    /// How it came to be.
    pub origin: Origin,
    /// Which of the playbook's triggers started it.
    pub trigger: Option<Arc<str>>,
    /// Its inputs.
    pub inputs: BTreeMap<Arc<str>, Value>,
    /// Whether it may act.
    pub mode: Mode,
    /// Who must say yes before its first effect.
    pub asks: Option<Asks>,
    /// It is the one that is tried after the breaker's rest.
    pub trial: bool,
    /// The alert that started it, or what was written like one.
    pub alert: Option<Alert>,
    /// What that is.
    pub source: Source,
    /// When it started.
    pub started: Timestamp,
    /// No step begins later; counts from the lock.
    pub until: Option<Timestamp>,
    /// The locks it needs, or holds.
    pub locks: Vec<Arc<str>>,
    /// When it stops waiting for them.
    pub wait_until: Timestamp,
    /// Its place in line.
    pub order: u64,
    /// Where it stands as a whole.
    pub progress: Progress,
    /// What is under way, by path.
    pub acts: BTreeMap<Instance, Act>,
    /// What is done, by path.
    pub done: BTreeMap<Instance, Done>,
    /// Every loop that began, by path.
    pub loops: BTreeMap<Instance, Loop>,
    /// Every playbook that ran within it, by path.
    pub subs: BTreeMap<Instance, Sub>,
    /// How it will end, where that is known before its end.
    pub concluded: Option<Conclusion>,
    /// Effects dispatched: anything but reads.
    pub effects: u32,
    /// When the first of them was.
    pub first_effect: Option<Timestamp>,
    /// The record that took in the last result of an effect, or began the run.
    pub effect_seq: u64,
    /// Alerts that started or joined it.
    pub episodes: BTreeSet<Fingerprint>,
    /// All of them are resolved and the playbook goes by that.
    pub resolved: bool,
    /// Who ended it, and why.
    pub cancelled: Option<Arc<str>>,
    /// What holds it now.
    pub held: Option<Block>,
    /// Its steps that wait in line for a credential's rate.
    pub paced: BTreeMap<Instance, Pace>,
    /// When it last went as far as it could.
    pub looked: Timestamp,
    /// What held it is gone, and it was not looked at since.
    pub woken: bool,
    /// Of a drill: the run that repaired, and how long it took.
    pub measured: Option<(RunId, RunResult, Span)>,
    /// Trace context of the request that started it.
    pub trace: Option<Arc<str>>,
}

/// What an event leaves at its step instance.
enum Left {
    /// This is under way.
    Under(Stage),
    /// It is over.
    Over(How),
}

impl Run {
    /// A run from its first event.
    #[must_use]
    pub fn started(id: RunId, event: &RunEvent, now: Timestamp, order: u64) -> Option<Self> {
        let RunEvent::Started {
            playbook,
            set,
            target,
            origin,
            inputs,
            mode,
            locks,
            wait_until,
            trigger,
            asks,
            trial,
            active,
            trace,
        } = event
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
            active: active.clone(),
            origin: origin.clone(),
            trigger: trigger.clone(),
            inputs: inputs.clone(),
            mode: *mode,
            asks: asks.clone(),
            trial: *trial,
            alert: None,
            source: Source::Alert,
            started: now,
            until: None,
            locks: locks.clone(),
            wait_until: *wait_until,
            order,
            progress: Progress::Queued,
            acts: BTreeMap::new(),
            done: BTreeMap::new(),
            loops: BTreeMap::new(),
            subs: BTreeMap::new(),
            concluded: None,
            effects: 0,
            first_effect: None,
            effect_seq: 0,
            episodes,
            resolved: false,
            cancelled: None,
            held: None,
            paced: BTreeMap::new(),
            looked: now,
            woken: false,
            measured: None,
            trace: trace.clone(),
        })
    }

    /// Takes an event in. `seq` is the record that holds it.
    ///
    /// # Errors
    /// [`Illegal`] for everything that is not listed in the two matches below.
    pub fn next(&mut self, event: &RunEvent, now: Timestamp, seq: u64) -> Result<(), Illegal> {
        // Who joins it, or ends it, changes nothing about what holds it.
        let about_alerts =
            matches!(event, RunEvent::Joined { .. } | RunEvent::Resolved | RunEvent::Cancelled { .. });
        if !about_alerts {
            self.looked = now;
        }
        // What waits in line stands beside what is held.
        if !about_alerts && !matches!(event, RunEvent::Paced { .. }) {
            self.held = None;
        }
        if !matches!(event, RunEvent::Joined { .. }) {
            self.woken = false;
        }
        match event.instance() {
            Some(instance) if self.progress == Progress::Going => self.step(instance, event, now, seq),
            Some(_) => Err(self.illegal(event)),
            None => self.whole(event, seq),
        }
    }

    fn illegal(&self, event: &RunEvent) -> Illegal {
        let at = event.instance().and_then(|instance| self.acts.get(instance)).map(|act| &act.stage);
        Illegal(format!("run {}: {event:?} in {:?}, {at:?}", self.id, self.progress))
    }

    /// **Every legal transition of a run as a whole.**
    fn whole(&mut self, event: &RunEvent, seq: u64) -> Result<(), Illegal> {
        use RunEvent as E;
        match (self.progress, event) {
            (Progress::Queued | Progress::Going, E::Joined { fingerprint }) => {
                self.episodes.insert(fingerprint.clone());
            }
            (Progress::Queued | Progress::Going, E::Held { by }) => self.held = Some(by.clone()),
            (Progress::Queued | Progress::Going, E::Resolved) => self.resolved = true,
            (Progress::Queued | Progress::Going, E::Cancelled { by, reason }) => {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                self.cancelled = Some(format!("cancelled by {by}{why}").into());
            }
            (Progress::Queued, E::LockTaken { deadline }) => {
                self.until = Some(*deadline);
                self.effect_seq = seq;
                self.progress = Progress::Going;
            }
            (Progress::Going, E::Concluded { instance, result, reason, undo, until }) => {
                let concluded =
                    Conclusion { result: *result, reason: reason.clone(), undo: *undo, until: *until };
                let place = match instance {
                    None => Some(&mut self.concluded),
                    Some(sub) => {
                        self.subs.get_mut(sub).filter(|sub| sub.ended.is_none()).map(|sub| &mut sub.concluded)
                    }
                };
                // What was concluded first stays, but for what turns out unknown.
                let graver = |before: &Conclusion| {
                    *result == RunResult::Unknown && before.result != RunResult::Unknown
                };
                match place {
                    Some(place) if place.as_ref().is_none_or(graver) => *place = Some(concluded),
                    _ => return Err(self.illegal(event)),
                }
                // What is dropped does not wait any more; what is left comes in line again.
                self.paced.clear();
            }
            // A run with a call under way never ends before the call is settled.
            (Progress::Queued | Progress::Going, E::Ended { .. }) if self.calls().next().is_none() => {
                self.progress = Progress::Over;
                self.acts.clear();
                self.paced.clear();
            }
            _ => return Err(self.illegal(event)),
        }
        Ok(())
    }

    /// **Every legal transition of a step.**
    #[expect(clippy::too_many_lines, reason = "every legal transition stands in this one match, on purpose")]
    fn step(
        &mut self,
        instance: &Instance,
        event: &RunEvent,
        now: Timestamp,
        seq: u64,
    ) -> Result<(), Illegal> {
        use Left::{Over, Under};
        use RunEvent as E;
        use Stage as S;
        if self.done.contains_key(instance) {
            return Err(self.illegal(event));
        }
        let illegal = self.illegal(event);
        self.paced.remove(instance);
        let before = self.acts.remove(instance);
        let mut act = Act { stage: S::Parallel, attempts: 0, tries: 0, seen: None, doubtful: false };
        let stage = before.map(|before| {
            act = before;
            std::mem::replace(&mut act.stage, S::Parallel)
        });
        let left = match (stage, event) {
            // A step begins.
            (None, E::WaitBegan { until, .. }) => Under(S::Waiting(*until)),
            (None, E::VerifyBegan { watches, .. }) => Under(S::Verifying(
                watches
                    .iter()
                    .map(|watch| Watching { watch: watch.clone(), seen: BTreeMap::new(), since: None })
                    .collect(),
            )),
            (None, E::ApprovalAsked { ask }) => Under(S::Approving(ask.clone())),
            (None, E::Chosen { branch, .. }) => Under(S::Branch(*branch)),
            (None, E::ParallelBegan { .. }) => Under(S::Parallel),
            (None, E::LoopBegan { names, items, .. }) => {
                self.loops.insert(instance.clone(), Loop { names: names.clone(), items: items.clone() });
                Under(S::Loop)
            }
            (None, E::SubBegan { playbook, target, inputs, mode, deadline, goes_on, active, .. }) => {
                let sub = Sub {
                    playbook: playbook.clone(),
                    target: target.clone(),
                    active: active.clone(),
                    inputs: inputs.clone(),
                    mode: *mode,
                    until: *deadline,
                    goes_on: *goes_on,
                    effects_before: self.effects,
                    concluded: None,
                    ended: None,
                };
                self.subs.insert(instance.clone(), sub);
                Under(S::Sub)
            }
            // It waits in line where it stands.
            (None, E::Paced { credential, requests, until, .. }) => {
                self.paced.insert(instance.clone(), Pace::new(credential, *requests, *until));
                return Ok(());
            }
            (Some(stage @ (S::Again(..) | S::Looking(..))), E::Paced { credential, requests, until, .. }) => {
                self.paced.insert(instance.clone(), Pace::new(credential, *requests, *until));
                Under(stage)
            }
            (
                None | Some(S::Again(..) | S::Looking(_, _, None)),
                E::Dispatched { instance, attempt, task, stop_no, until, .. },
            ) => Under(self.dispatch(&mut act, instance, *attempt, task, *stop_no, *until, now, None)),
            (Some(S::Looking(_, _, seen)), E::Dispatched { instance, attempt, task, stop_no, until, .. }) => {
                Under(self.dispatch(&mut act, instance, *attempt, task, *stop_no, *until, now, seen))
            }

            // A command is out.
            (Some(S::Dispatched(attempt)), E::Overdue { refused, .. }) => {
                Under(S::Revoking(attempt, refused.clone()))
            }
            (Some(S::Dispatched(attempt) | S::Revoking(attempt, _)), E::Began { until, .. }) => {
                Under(S::Running(attempt, *until))
            }
            (
                Some(S::Dispatched(attempt) | S::Revoking(attempt, _) | S::Running(attempt, _)),
                E::Revoked { again_at, .. },
            ) => Under(if matches!(attempt.task.kind, Kind::Observe(_)) {
                // A look that was lost is looked again; the effect's own outcome is as unknown as before.
                S::Looking(attempt, *again_at, act.seen.take())
            } else {
                // It never began, so it does not count towards `attempts`.
                act.tries = act.tries.saturating_sub(1);
                S::Again(attempt, *again_at)
            }),
            (Some(S::Dispatched(_) | S::Revoking(..) | S::Running(..)), E::StepSucceeded { result, .. }) => {
                self.effect_seq = seq;
                Over(How::Ok(result.clone()))
            }
            (
                Some(S::Dispatched(attempt) | S::Revoking(attempt, _) | S::Running(attempt, _)),
                E::AttemptFailed { again_at, reason, .. },
            ) => {
                self.effect_seq = seq;
                Under(again_at.map_or_else(|| S::Failing(reason.clone()), |at| S::Again(attempt, at)))
            }
            (
                Some(S::Dispatched(attempt) | S::Revoking(attempt, _) | S::Running(attempt, _)),
                E::AttemptUnknown { next, reason, .. },
            ) => {
                self.effect_seq = seq;
                act.doubtful = true;
                Under(match next {
                    AfterUnknown::Retry { at } => S::Again(attempt, *at),
                    AfterUnknown::Observe => S::Looking(attempt, now, None),
                    AfterUnknown::Ask => S::Asking(attempt),
                    AfterUnknown::Fail => S::Failing(reason.clone()),
                })
            }

            // The outcome is looked up: two looks that agree settle it (rule 17).
            (Some(S::Dispatched(attempt)), E::Observed { look, answer, again_at, .. }) => {
                self.effect_seq = seq;
                Under(match again_at {
                    Some(at) if *look == 1 => S::Looking(attempt, *at, Some(answer.clone())),
                    Some(at) => S::Again(attempt, *at),
                    None => S::Asking(attempt),
                })
            }
            (
                Some(S::Looking(attempt, ..) | S::Again(attempt, _)),
                E::AttemptUnknown { next: AfterUnknown::Ask, .. },
            ) => Under(S::Asking(attempt)),
            (Some(S::Asking(attempt)), E::Settled { done, .. }) => {
                self.effect_seq = seq;
                // Done: success follows. Not done: failure follows, or another try.
                Under(S::Again(attempt, if *done { Timestamp(i64::MAX) } else { now }))
            }
            (Some(S::Asking(_) | S::Looking(..) | S::Again(..)), E::StepSucceeded { result, .. }) => {
                Over(How::Ok(result.clone()))
            }

            // A person answers or does not.
            (Some(S::Approving(_)), E::Approved { deadline, .. }) => {
                self.effect_seq = seq;
                self.until = deadline.or(self.until);
                Over(How::Ok(Value::Null))
            }
            (Some(S::Approving(_)), E::Denied { .. } | E::ApprovalExpired { .. }) => Over(How::Skipped),

            // A step ends.
            (Some(S::Verifying(..)), E::VerifyHeld { .. }) => Over(How::Ok(Value::Null)),
            (Some(S::Verifying(..)), E::VerifyMissed { reason, .. }) => Under(S::Failing(reason.clone())),
            (
                // What the decider does itself succeeds at once.
                None | Some(S::Waiting(..) | S::Branch(_) | S::Parallel | S::Loop),
                E::StepSucceeded { result, .. },
            ) => Over(How::Ok(result.clone())),
            (Some(S::Sub), E::SubEnded { result, reason, outputs, then, .. }) => {
                self.subs.entry(instance.clone()).and_modify(|sub| sub.ended = Some(*result));
                // Its closing verify may still watch.
                let within = format!("{instance}.");
                self.acts.retain(|other, _| !other.as_str().starts_with(&within));
                Over(if result.is_well() {
                    How::Ok(outputs.clone())
                } else {
                    How::Failed(reason.clone(), *then)
                })
            }
            (
                None
                | Some(
                    S::Again(..)
                    | S::Failing(_)
                    | S::Asking(_)
                    | S::Looking(..)
                    | S::Branch(_)
                    | S::Parallel
                    | S::Loop,
                ),
                E::StepFailed { reason, then, .. },
            ) => Over(How::Failed(reason.clone(), *then)),
            // Left out, or dropped: nothing of it may be under way.
            (
                None
                | Some(
                    S::Again(..)
                    | S::Failing(_)
                    | S::Approving(_)
                    | S::Waiting(_)
                    | S::Verifying(_)
                    | S::Branch(_)
                    | S::Parallel
                    | S::Loop
                    | S::Sub,
                ),
                E::StepSkipped { .. },
            ) => Over(How::Skipped),

            _ => return Err(illegal),
        };
        match left {
            Under(stage) => drop(self.acts.insert(instance.clone(), Act { stage, ..act })),
            Over(how) => {
                let order = u32::try_from(self.done.len()).unwrap_or(u32::MAX);
                self.done.insert(instance.clone(), Done { order, how });
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event, taken apart by the match above")]
    fn dispatch(
        &mut self,
        act: &mut Act,
        instance: &Instance,
        number: u32,
        task: &Task,
        stop_no: u64,
        until: Timestamp,
        now: Timestamp,
        seen: Option<Answer>,
    ) -> Stage {
        if task.kind == Kind::Perform {
            act.attempts = number;
            act.tries += 1;
            if task.effect != regreen_schemas::action::Effect::Read {
                self.effects += 1;
                self.first_effect.get_or_insert(now);
            }
        }
        act.seen = seen;
        Stage::Dispatched(Attempt {
            instance: instance.clone(),
            number,
            task: task.clone(),
            stop_no,
            at: now,
            until,
        })
    }

    /// The run's next moment; none while it waits for a fact alone.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        if mutation::is(Mutation::NoDeadline) {
            return None;
        }
        match self.progress {
            Progress::Over => None,
            _ if self.woken => Some(Timestamp(0)),
            Progress::Queued => Some(self.wait_until),
            Progress::Going => {
                let acts = self.acts.values().filter_map(|act| self.due(&act.stage));
                // A run only rests without any act while something holds it.
                // The other time is that of a drill whose repair is not over.
                let rests = self.held.is_some()
                    || !self.paced.is_empty()
                    || !self.acts.values().any(|act| act.stage.is_leaf());
                acts.chain(self.next_end().filter(|_| rests)).min()
            }
        }
    }

    /// The next moment after which something of it may not begin any more: of the run, or of a playbook within it.
    fn next_end(&self) -> Option<Timestamp> {
        let ends = |concluded: &Option<Conclusion>, until: Option<Timestamp>| match concluded {
            Some(concluded) => [Some(concluded.until), None],
            // What is done at the end has a time of its own.
            None => [until, until.map(|until| until + crate::bounds::GRACE)],
        };
        let subs = self.subs.values().filter(|sub| sub.ended.is_none());
        let subs = subs.flat_map(|sub| ends(&sub.concluded, Some(sub.until)));
        ends(&self.concluded, self.until)
            .into_iter()
            .chain(subs)
            .flatten()
            .filter(|at| *at > self.looked)
            .min()
    }

    /// When an act must be looked at again.
    fn due(&self, stage: &Stage) -> Option<Timestamp> {
        match stage {
            Stage::Dispatched(attempt) => Some(attempt.overdue()),
            Stage::Revoking(..) | Stage::Branch(_) | Stage::Parallel | Stage::Loop | Stage::Sub => None,
            Stage::Approving(ask) => Some(ask.until),
            Stage::Asking(_) => self.last(),
            Stage::Running(_, at) | Stage::Waiting(at) => Some(*at),
            // What is due and did not go on is held, or waits in line.
            Stage::Again(attempt, at) | Stage::Looking(attempt, at, _)
                if (self.held.is_some() || self.paced.contains_key(&attempt.instance))
                    && *at <= self.looked =>
            {
                Some(attempt.until)
            }
            Stage::Again(attempt, at) | Stage::Looking(attempt, at, _) => Some((*at).min(attempt.until)),
            Stage::Verifying(watching) => watching.iter().map(|w| w.watch.until).min(),
            Stage::Failing(_) => Some(Timestamp(0)),
        }
    }

    /// Nothing of it begins after this.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.concluded.as_ref().map(|concluded| concluded.until).or(self.until)
    }

    /// An effect that is under way may have been done: nobody can say from what is left of the streams.
    pub fn doubt(&mut self, now: Timestamp) {
        for act in self.acts.values_mut() {
            if let Stage::Dispatched(open) | Stage::Revoking(open, _) | Stage::Running(open, _) = &act.stage
                && open.task.kind == Kind::Perform
            {
                act.stage = Stage::Running(open.clone(), now);
            }
        }
    }

    /// Moves what concludes from absence (rule 13). Run deadlines and `claim_by` stay.
    pub fn shift(&mut self, away: Span) {
        self.wait_until = self.wait_until + away;
        for w in self.watching_mut() {
            w.watch.until = w.watch.until + away;
            w.seen = BTreeMap::new();
            w.since = None;
        }
    }

    /// Every check that an open verify watches.
    pub(crate) fn watching_mut(&mut self) -> impl Iterator<Item = &mut Watching> {
        let verifying = |act| match act {
            &mut Act { stage: Stage::Verifying(ref mut watching), .. } => Some(watching),
            _ => None,
        };
        self.acts.values_mut().filter_map(verifying).flatten()
    }

    /// Checks that an open verify watches.
    #[must_use]
    pub fn watched(&self) -> Vec<CheckName> {
        let watched = |act: &Act| match &act.stage {
            Stage::Verifying(watching) => watching.iter().map(|w| w.watch.check.clone()).collect(),
            _ => Vec::new(),
        };
        self.acts.values().flat_map(watched).collect()
    }

    /// Where its acts stand, by path.
    pub fn stages(&self) -> impl Iterator<Item = (&Instance, &Stage)> {
        self.acts.iter().map(|(instance, act)| (instance, &act.stage))
    }

    /// What it asks people to say yes to.
    pub fn approvals(&self) -> impl Iterator<Item = &Ask> {
        self.stages().filter_map(|(_, stage)| match stage {
            Stage::Approving(ask) => Some(&**ask),
            _ => None,
        })
    }

    /// Effects of which a person must say whether they took place.
    pub fn in_doubt(&self) -> impl Iterator<Item = &Attempt> {
        self.stages().filter_map(|(_, stage)| match stage {
            Stage::Asking(attempt) => Some(attempt),
            _ => None,
        })
    }

    /// Attempts whose call may be under way, and outcomes that are being looked up.
    pub fn calls(&self) -> impl Iterator<Item = &Attempt> {
        self.stages().filter_map(|(_, stage)| match stage {
            Stage::Dispatched(attempt)
            | Stage::Revoking(attempt, _)
            | Stage::Running(attempt, _)
            | Stage::Looking(attempt, ..) => Some(attempt),
            _ => None,
        })
    }

    /// The attempt at a step instance whose call may be under way.
    #[must_use]
    pub fn attempt(&self, instance: &Instance) -> Option<(&Act, &Attempt)> {
        let act = self.acts.get(instance)?;
        match &act.stage {
            Stage::Dispatched(attempt) | Stage::Revoking(attempt, _) | Stage::Running(attempt, _) => {
                Some((act, attempt))
            }
            _ => None,
        }
    }
}

impl Stage {
    /// Whether it holds no other steps.
    #[must_use]
    pub const fn is_leaf(&self) -> bool {
        !matches!(self, Self::Branch(_) | Self::Parallel | Self::Loop | Self::Sub)
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

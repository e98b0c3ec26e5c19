//! Reads the log as somebody who knows only events: locks, cooldowns, waits, attempts, phases. An independent model of
//! what the decider must keep.

use std::collections::{BTreeMap, BTreeSet};

use regreen_schemas::{
    RunId, Span, Timestamp,
    command::{Kind, Task},
    event::{AfterUnknown, Event, RunEvent},
    fact::{Answer, NotCalled},
    id::action_key,
    run::RunResult,
    ticket::Ticket,
};

use super::{Attempt, Decided, LATE, Oracle};
use crate::world::VANTAGES;

/// How old what is believed of a node may be: three looks, their report, and what our own absence adds.
const SEEN: Span = Span::seconds(120);

/// How far the server's clock may be ahead unnoticed (rule 14).
const SKEW: Span = Span::seconds(30);

/// How long the step `wait` of the set waits.
const WAIT: Span = Span::seconds(5);

/// What a reader of events alone knows.
#[derive(Default)]
pub struct Model {
    pub found: Vec<String>,
    /// The event at hand was decided after this, truly.
    pub since: Timestamp,
    catching_up: bool,
    suspect: bool,
    frozen: bool,
    stopped: bool,
    takeover: Option<Timestamp>,
    runs: BTreeMap<RunId, Run>,
    /// When runs with effects ended, by playbook and node.
    ended: BTreeMap<(String, String), (Timestamp, bool)>,
    pub revoked: BTreeSet<Attempt>,
    /// When `once` began to act.
    spent: Vec<Timestamp>,
}

#[derive(Clone, Debug, Default)]
struct Run {
    playbook: String,
    node: String,
    lock: Option<String>,
    locked: bool,
    performed: u32,
    /// The attempt that may act.
    open: Option<(String, u32)>,
    /// It is looked up.
    looking: bool,
    /// Attempts that are over for sure, by instance.
    over: BTreeMap<String, u32>,
    /// When the newest result was taken in.
    result_at: Option<Timestamp>,
    /// Since when it lets time pass.
    waits: Option<Timestamp>,
}

impl Model {
    pub fn event(&mut self, oracle: &Oracle<'_>, decided: &Decided, event: &Event) {
        let at = decided.kept.at;
        match event {
            Event::Takeover { suspect, .. } => {
                (self.catching_up, self.takeover) = (true, Some(at));
                // It goes on by the server's clock, which may be so far ahead that nobody is suspicious yet.
                self.runs.values_mut().for_each(|run| run.waits = None);
                for (ended, shifted) in self.ended.values_mut().filter(|(_, shifted)| !shifted) {
                    (*ended, *shifted) = (*ended + Span(-SKEW.0), true);
                }
                self.suspect |= suspect.is_some();
            }
            Event::FellBehind { .. } => self.catching_up = true,
            Event::CaughtUp => self.catching_up = false,
            Event::Suspected { .. } => self.suspect = true,
            Event::SuspectCleared { .. } => self.suspect = false,
            Event::Stopped { .. } => self.stopped = true,
            Event::Resumed { .. } => self.stopped = false,
            Event::Frozen { reason } => {
                self.frozen = true;
                self.found.push(format!("frozen though nobody touched the streams: {reason}"));
            }
            Event::Run { run, what } => self.run(oracle, decided, run, what),
            _ => {}
        }
    }

    fn run(&mut self, oracle: &Oracle<'_>, decided: &Decided, id: &RunId, what: &RunEvent) {
        let at = decided.kept.at;
        if let RunEvent::Started { playbook, target, locks, .. } = what {
            let node = target.as_ref().map(|target| target.name().to_string()).unwrap_or_default();
            // The playbooks of the simulation need one lock at most.
            let lock = locks.first().map(ToString::to_string);
            let run = Run { playbook: playbook.to_string(), node, lock, ..Run::default() };
            if self.runs.insert(id.clone(), run).is_some() {
                self.found.push(format!("run {id} started twice"));
            }
            return;
        }
        let Some(mut run) = self.runs.get(id).cloned() else {
            self.found.push(format!("{what:?} of {id}, which is not open"));
            return;
        };
        let over = |run: &mut Run, instance: String, number: u32| {
            run.over.insert(instance, number);
            run.open = None;
            run.result_at = Some(at);
        };
        match what {
            RunEvent::LockTaken { .. } => {
                run.locked = true;
                run.result_at = Some(at);
                self.lock(id, &run);
            }
            RunEvent::Dispatched { instance, attempt, task, .. } => {
                self.dispatch(oracle, at, id, &run, &instance.token(), *attempt, task);
                if task.kind == Kind::Perform {
                    run.performed += 1;
                    run.open = Some((instance.token(), *attempt));
                }
                run.looking = task.kind != Kind::Perform;
            }
            // A look has no ticket: it is only asked for again.
            RunEvent::Revoked { instance, attempt, not_called, .. } if !run.looking => {
                self.revoked(oracle, id, &instance.token(), *attempt, *not_called);
                over(&mut run, instance.token(), *attempt);
            }
            RunEvent::AttemptFailed { instance, attempt, .. } => over(&mut run, instance.token(), *attempt),
            RunEvent::AttemptUnknown { instance, attempt, next, .. } => {
                run.result_at = Some(at);
                if matches!(next, AfterUnknown::Retry { .. } | AfterUnknown::Fail) {
                    over(&mut run, instance.token(), *attempt);
                }
            }
            RunEvent::Observed { instance, attempt, look, answer, .. } => {
                run.result_at = Some(at);
                if *look == 2 && *answer == Answer::NotDone {
                    over(&mut run, instance.token(), *attempt);
                }
            }
            RunEvent::Settled { instance, attempt, done, .. } => {
                let key = action_key(id, instance);
                if *done == oracle.world.cloud.happened(&key) || *done {
                    over(&mut run, instance.token(), *attempt);
                }
            }
            RunEvent::StepSucceeded { .. } | RunEvent::StepFailed { .. } => {
                // The one wait of the set is five seconds long.
                if let Some(since) = run.waits.take().filter(|since| at - *since < WAIT) {
                    self.found.push(format!("{id} waited from {since} to {at} and no longer"));
                }
                run.result_at = Some(at);
                run.open = None;
            }
            // While it catches up it goes by the server's clock.
            RunEvent::WaitBegan { .. } => run.waits = Some(self.since).filter(|_| !self.catching_up),
            RunEvent::VerifyHeld { instance } => {
                let from = run.result_at.unwrap_or(at);
                if !oracle.world.cloud.was(&run.node, true, from, at) {
                    self.found.push(format!(
                        "verify of {id} ({instance}) held at {at}, and {} was never up since {from}",
                        run.node
                    ));
                }
            }
            RunEvent::Ended { result, .. } => {
                if *result == RunResult::Cancelled
                    && let Some((instance, number)) = &run.open
                {
                    self.found.push(format!("{id} was ended while attempt {number} of {instance} may act"));
                }
                if run.performed > 0 {
                    let since = if self.catching_up { self.since + Span(-SKEW.0) } else { self.since };
                    let key = (run.playbook.clone(), run.node.clone());
                    self.ended.insert(key, (since, self.catching_up));
                }
                self.runs.remove(id);
                return;
            }
            _ => {}
        }
        self.runs.insert(id.clone(), run);
    }

    fn lock(&mut self, id: &RunId, run: &Run) {
        let Some(wanted) = &run.lock else { return };
        let below = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        for (other, held) in self.runs.iter().filter(|(other, held)| *other != id && held.locked) {
            let Some(lock) = &held.lock else { continue };
            if below(wanted, lock) || below(lock, wanted) {
                self.found.push(format!("{id} took lock {wanted} while {other} holds {lock}"));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a dispatch is judged by")]
    fn dispatch(
        &mut self,
        oracle: &Oracle<'_>,
        at: Timestamp,
        id: &RunId,
        run: &Run,
        instance: &str,
        number: u32,
        task: &Task,
    ) {
        let mut wrong =
            |why: String| self.found.push(format!("{id} {instance} attempt {number} at {at}: {why}"));
        if self.catching_up || self.suspect || self.frozen {
            wrong("dispatched while catching up, suspect or frozen".into());
        }
        if self.stopped {
            wrong("dispatched while stopped".into());
        }
        if !run.locked && run.lock.is_some() {
            wrong("dispatched without its lock".into());
        }
        if task.kind != Kind::Perform {
            return;
        }
        if let Some((open, before)) = &run.open {
            wrong(format!("attempt {before} of {open} may still act"));
        }
        if number > 1 && run.over.get(instance).is_none_or(|over| *over + 1 < number) {
            wrong("the attempt before is not over".into());
        }
        // What has no node has no guards.
        if run.performed > 0 || run.node.is_empty() {
            return;
        }
        let cooldown = Span::seconds(if run.playbook == "once" { 40 } else { 20 });
        if let Some((ended, _)) = self.ended.get(&(run.playbook.clone(), run.node.clone()))
            && at - *ended < cooldown
        {
            wrong(format!("within the cooldown: the run before ended at {ended}"));
        }
        // The budget of `once`: six destructive attempts in ten minutes.
        if run.playbook == "once" {
            let lately = at + Span(-Span::minutes(10).0 + LATE.0);
            self.spent.retain(|spent| *spent > lately);
            self.spent.push(at);
            if self.spent.len() > 6 {
                wrong(format!("the budget of six was spent since {}", self.spent[0]));
            }
        }
        // Truly down, and another one truly up, as far as anybody could have seen: a vantage that lies decides nothing.
        let (cloud, seen_from) = (&oracle.world.cloud, at + Span(-SEEN.0));
        if !cloud.was(&run.node, false, seen_from, at) {
            wrong(format!("{} has been up since {seen_from}", run.node));
        }
        let others = oracle.world.nodes().iter().filter(|node| **node != run.node);
        if !others.clone().any(|node| cloud.was(node, true, seen_from, at)) {
            wrong(format!("none of the others has been up since {seen_from}"));
        }
        // Both vantages must have said so lately; a takeover moves on what concludes from absence.
        let grace = Span::seconds(15 + 8);
        if self.takeover.is_none_or(|takeover| at - takeover > Span::seconds(60)) {
            for vantage in VANTAGES {
                let said = oracle.last_look(vantage, at);
                if said.is_none_or(|said| at - said > grace) {
                    wrong(format!("{vantage} has been silent since {said:?}"));
                }
            }
        }
    }

    fn revoked(
        &mut self,
        oracle: &Oracle<'_>,
        id: &RunId,
        instance: &str,
        number: u32,
        not_called: Option<NotCalled>,
    ) {
        let key = (id.to_string(), instance.to_owned(), number);
        let started = matches!(oracle.tickets.get(&key), Some((_, Ticket::Started { .. })));
        if started && not_called.is_none() {
            self.found.push(format!("{key:?} was given up though its ticket was taken"));
        }
        self.revoked.insert(key);
    }
}

//! One function a kind of fact: what it means for the state.

use std::sync::Arc;

use regreen_schemas::{
    Instance, RunId, Timestamp,
    command::Kind,
    event::{Event, RunEvent, Suspicion},
    fact::{Answer, Engine, Failure, Item, Outcome, Serves, Verb},
    id::{RunnerName, Vantage},
    mutation::{self, Mutation},
    roster::DISCOVER,
    ticket::Holder,
};

use crate::{
    advance::{Settled, backoff},
    bounds,
    decide::Decider,
    run::{Act, Attempt, Run, Stage},
    state::Illegal,
};

/// The source of sets that an engine read from its own files.
const LOADER: &str = "loader";
/// Attempts that are asked for when a runner was started anew; others wait for their `claim_by`.
const ASKED_AT_ONCE: usize = 500;

impl Decider<'_> {
    pub(crate) fn fact(
        &mut self,
        source: &str,
        seq: u64,
        item: &Item,
        ticket: Option<&Holder>,
    ) -> Result<(), Illegal> {
        match item {
            Item::Alerts(alerts) => {
                alerts.alerts.iter().try_for_each(|alert| self.alert(alert, alerts.trace.as_ref()))?;
                self.truncated(alerts)?;
            }
            Item::Looks(looks) => self.looks(&Vantage::from(source), looks)?,
            Item::Result(outcome) => self.result(source, outcome, ticket)?,
            Item::Serves(serves) => self.serves(RunnerName::from(source), serves)?,
            Item::Operator(operator) => self.operator(source, operator)?,
            Item::Set(_) if source != LOADER && !self.operates(source) => {
                self.refuse(
                    source,
                    "bring files in force",
                    "policy does not count them among the operators",
                )?;
            }
            Item::Set(set) => {
                let by = (source != LOADER).then(|| source.into());
                self.emit(Event::SetAccepted { set: set.clone(), hash: set.hash(), by })?;
                self.discover_all()?;
                self.forget_gone()?;
                self.verdicts_changed(None)?;
                self.forget_verdicts()?;
                self.schedule_all()?;
                self.expect_watchdog()?;
                self.compare()?;
            }
            Item::Engine(engine) => self.engine(engine)?,
            Item::Event(event) => self.webhook(event)?,
        }
        self.caught_up(seq)
    }

    /// A runner is there. When it was started anew, what it may have held is asked for at once, and not only when
    /// `claim_by` has passed: its earlier process will never tell.
    fn serves(&mut self, runner: RunnerName, serves: &Serves) -> Result<(), Illegal> {
        let anew = self.s.servers.get(&runner).is_some_and(|before| before.nonce != serves.nonce);
        self.emit(Event::RunnerServes { runner, serves: serves.clone() })?;
        if !anew {
            return Ok(());
        }
        let out = |(id, run): (&RunId, &Arc<Run>)| -> Vec<_> {
            let open = run.stages().filter_map(|(_, stage)| match stage {
                Stage::Dispatched(open) if open.task.zone == serves.zone => {
                    Some((id.clone(), open.instance.clone(), open.number, open.task.kind))
                }
                _ => None,
            });
            open.collect()
        };
        let out: Vec<_> = self.s.runs.iter().flat_map(out).take(ASKED_AT_ONCE).collect();
        for (run, instance, attempt, kind) in out {
            let what = match kind {
                Kind::Perform => RunEvent::Overdue { instance, attempt, refused: None },
                // A look has no ticket: it is simply asked for again.
                Kind::Observe(_) => {
                    RunEvent::Revoked { instance, attempt, not_called: None, again_at: self.s.now }
                }
            };
            self.run_event(&run, what)?;
        }
        Ok(())
    }

    fn engine(&mut self, engine: &Engine) -> Result<(), Illegal> {
        match engine {
            Engine::Here { .. } => Ok(()),
            Engine::Revoked { run, instance, attempt } => {
                self.with_attempt(run, instance, *attempt, |this, open, _| {
                    let again_at = this.s.now + bounds::RETRY_MIN;
                    this.run_event(
                        run,
                        RunEvent::Revoked {
                            instance: instance.clone(),
                            attempt: *attempt,
                            not_called: None,
                            again_at,
                        },
                    )?;
                    match open.acts.get(instance).map(|act| &act.stage) {
                        Some(Stage::Revoking(_, Some(why))) => this.fail_step(run, instance, why.clone()),
                        _ => this.advance(run),
                    }
                })
            }
            Engine::Started { run, instance, attempt, .. } => {
                self.with_attempt(run, instance, *attempt, |this, _, open| {
                    let until = this.s.now + bounds::CALL_WINDOW + open.task.timeout;
                    this.run_event(
                        run,
                        RunEvent::Began { instance: instance.clone(), attempt: *attempt, until },
                    )
                })
            }
            Engine::Stopped { stop_no, by, .. } => {
                if *stop_no != self.s.stop_no || self.s.stopped.is_some() {
                    return Ok(());
                }
                self.emit(Event::Stopped { stop_no: *stop_no, by: by.clone() })
            }
        }
    }

    /// Runs `then` when it is not known yet what became of this attempt's ticket. A late word changes nothing: neither
    /// about another attempt, nor about one whose result was there first and that is looked up by now.
    fn with_attempt(
        &mut self,
        run: &RunId,
        instance: &Instance,
        number: u32,
        then: impl FnOnce(&mut Self, &Run, &Attempt) -> Result<(), Illegal>,
    ) -> Result<(), Illegal> {
        let Some(open) = self.s.runs.get(run).cloned() else { return Ok(()) };
        match open.attempt(instance) {
            Some((act, attempt))
                if attempt.number == number
                    && attempt.task.kind == Kind::Perform
                    && matches!(act.stage, Stage::Dispatched(_) | Stage::Revoking(..)) =>
            {
                then(self, &open, attempt)
            }
            _ => Ok(()),
        }
    }

    fn result(&mut self, source: &str, outcome: &Outcome, ticket: Option<&Holder>) -> Result<(), Illegal> {
        if outcome.instance.as_str().starts_with("tell/") {
            return self.told(outcome);
        }
        self.rate_told(source, outcome)?;
        if outcome.instance.as_str().starts_with(DISCOVER) {
            return self.discovered(outcome);
        }
        let ignored = |reason: &str| Event::ResultIgnored {
            run: outcome.run.clone(),
            instance: outcome.instance.clone(),
            attempt: outcome.attempt,
            reason: reason.into(),
        };
        let Some(run) = self.s.runs.get(&outcome.run).cloned() else {
            return self.emit(ignored("late: the run has ended"));
        };
        let open = run.attempt(&outcome.instance).filter(|(_, open)| open.number == outcome.attempt);
        let Some((act, open)) = open else { return self.emit(ignored("late: this attempt is closed")) };
        if let Verb::Observed { look, answer } = &outcome.outcome {
            return self.observed(&run, act, open, *look, answer);
        }
        if matches!(open.task.kind, Kind::Observe(_)) {
            // A look that went wrong says nothing about the effect: it is looked again.
            let again_at = self.s.now + bounds::SECOND_LOOK;
            let what = RunEvent::Revoked {
                instance: open.instance.clone(),
                attempt: open.number,
                not_called: None,
                again_at,
            };
            return self.run_event(&run.id, what);
        }
        let ticketless = open.overdue() != open.task.claim_by;
        let holds =
            ticket.is_some_and(|holder| holder.nonce == outcome.nonce && holder.runner.as_str() == source);
        if !holds && !ticketless && !mutation::is(Mutation::AnyHands) {
            return match &outcome.outcome {
                // A refusal without ticket: the engine must win the ticket before it believes that nothing began.
                Verb::NotCalled { reason, detail }
                    if ticket.is_none() && matches!(act.stage, Stage::Dispatched(_)) =>
                {
                    let refused = (!reason.again()).then(|| detail.clone());
                    let (instance, attempt) = (open.instance.clone(), open.number);
                    self.run_event(&run.id, RunEvent::Overdue { instance, attempt, refused })
                }
                _ => self.emit(ignored("the sender does not hold the ticket")),
            };
        }
        self.outcome(&run, act, open, &outcome.outcome)
    }

    fn outcome(&mut self, run: &Run, act: &Act, open: &Attempt, outcome: &Verb) -> Result<(), Illegal> {
        let (id, instance, attempt) = (&run.id, open.instance.clone(), open.number);
        let budget = self.terms(run, &open.instance).attempts;
        match outcome {
            Verb::Ok { result } => {
                self.run_event(id, RunEvent::StepSucceeded { instance, result: result.clone() })?;
                self.advance(id)
            }
            Verb::Failed { kind, reason, retry_after } => {
                let again = *kind == Failure::Transient && act.tries < budget;
                let pause = backoff(act.tries).max(retry_after.unwrap_or_default());
                let again_at = again.then(|| self.s.now + pause);
                let what = RunEvent::AttemptFailed {
                    instance: instance.clone(),
                    attempt,
                    kind: *kind,
                    reason: reason.clone(),
                    again_at,
                };
                self.run_event(id, what)?;
                self.advance(id)
            }
            Verb::Unknown { reason } => {
                let what = self.unknown(act, open, budget, reason);
                self.run_event(id, what)?;
                self.advance(id)
            }
            Verb::NotCalled { reason, detail } => {
                let again_at =
                    if reason.again() { self.s.now + bounds::RETRY_MIN } else { Timestamp(i64::MAX) };
                let what = RunEvent::Revoked {
                    instance: instance.clone(),
                    attempt,
                    not_called: Some(*reason),
                    again_at,
                };
                self.run_event(id, what)?;
                if reason.again() { self.advance(id) } else { self.fail_step(id, &instance, detail.clone()) }
            }
            Verb::Observed { .. } => Ok(()),
        }
    }

    fn observed(
        &mut self,
        run: &Run,
        act: &Act,
        open: &Attempt,
        look: u8,
        answer: &Answer,
    ) -> Result<(), Illegal> {
        if open.task.kind != Kind::Observe(look) {
            return Ok(());
        }
        let (id, instance) = (&run.id, &open.instance);
        let said = |again_at: Option<Timestamp>| RunEvent::Observed {
            instance: instance.clone(),
            attempt: open.number,
            look,
            answer: answer.clone(),
            again_at,
        };
        if look == 1 {
            let at = self.s.now + bounds::SECOND_LOOK;
            return self.run_event(id, said(Some(at)));
        }
        let budget = self.terms(run, instance).attempts;
        match Self::settle_looks(act, budget, answer) {
            Settled::Done(result) => {
                self.run_event(id, said(None))?;
                self.run_event(id, RunEvent::StepSucceeded { instance: instance.clone(), result })?;
                self.advance(id)
            }
            Settled::Retry => {
                let at = self.s.now;
                self.run_event(id, said(Some(at)))?;
                self.advance(id)
            }
            Settled::NotDone => {
                self.run_event(id, said(None))?;
                self.fail_step(id, instance, "it was looked up and is not done".into())
            }
            Settled::Ask => {
                self.run_event(id, said(None))?;
                self.ask(id, instance)
            }
        }
    }
}

/// Whether a takeover is suspect (rule 14): the log was silent too long, or the clocks are too far apart.
#[must_use]
pub fn suspicion(silence: regreen_schemas::Span, skew: regreen_schemas::Span) -> Option<Suspicion> {
    if silence > bounds::SUSPECT_SILENCE {
        Some(Suspicion::Silent { silence })
    } else if skew.0.abs() > bounds::SUSPECT_SKEW.0 {
        Some(Suspicion::Skewed { skew })
    } else {
        None
    }
}

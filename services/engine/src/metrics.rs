//! The engine's metrics: what became of alerts and runs, and how far the log is. Labels are bounded; every value that
//! one may have is there from the beginning, or the first of its kind would be no increase.

mod stand;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use regreen_decider::State;
use regreen_schemas::{
    CheckName,
    check::Status,
    event::{Event, RunEvent, TellEvent},
    record::Record,
    run::{Outcome, RunResult},
};

pub use stand::{Stand, Standing};

/// One bounded label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    kind: &'static str,
}

/// A check and one of the statuses that its verdict may have.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Verdict {
    check: String,
    status: &'static str,
}

/// A credential.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Key {
    credential: String,
}

/// The engine's metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    alerts: Family<Kind, Counter>,
    runs: Family<Kind, Counter>,
    dispatched: Counter,
    rejected: Counter,
    records: Counter,
    open: Gauge,
    left: Family<Key, Gauge>,
    paced: Counter,
    verdicts: Family<Verdict, Gauge>,
    flapping: Counter,
    asked: Counter,
    answered: Family<Kind, Counter>,
    attempts: Family<Kind, Counter>,
    steps: Family<Kind, Counter>,
    verifies: Family<Kind, Counter>,
    tells: Family<Kind, Counter>,
    untold: Counter,
    /// Where it stands.
    pub standing: Standing,
}

/// What may become of an alert.
const DECIDED: [&str; 4] = ["started", "joined", "blocked", "skipped"];
/// What may become of an approval that was asked for.
const ANSWERED: [&str; 3] = ["approved", "denied", "expired"];
/// What may go wrong with an attempt.
const TROUBLED: [&str; 4] = ["failed", "unknown", "refused", "overdue"];
/// How a step may end.
const STEPS: [&str; 2] = ["succeeded", "failed"];
/// How a verify may end.
const VERIFIES: [&str; 2] = ["held", "missed"];
/// What may become of a message.
const TOLD: [&str; 2] = ["told", "failed"];

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("alerts_decided", "Alerts decided, by the strongest outcome", self.alerts.clone());
        registry.register("runs_ended", "Runs ended, by result", self.runs.clone());
        registry.register("attempts_dispatched", "Commands sent for steps", self.dispatched.clone());
        registry.register(
            "attempts_troubled",
            "Attempts that failed, whose outcome is unknown, that a runner refused, or that nobody took in time",
            self.attempts.clone(),
        );
        registry.register("steps_ended", "Actions that were done, and steps that failed", self.steps.clone());
        registry.register("verifies_ended", "Verifies, by whether they held in time", self.verifies.clone());
        registry.register("facts_rejected", "Facts put aside", self.rejected.clone());
        registry.register("records", "Decision records acknowledged", self.records.clone());
        registry.register("runs_open", "Runs open now", self.open.clone());
        registry.register(
            "credential_requests_left",
            "Requests that there is room for in a credential's rate",
            self.left.clone(),
        );
        registry.register("steps_paced", "Steps that waited for a credential's rate", self.paced.clone());
        registry.register(
            "check_verdict",
            "1 for the status that the check's verdict has",
            self.verdicts.clone(),
        );
        registry.register(
            "verdicts_flapping",
            "Verdicts that began to change to and fro",
            self.flapping.clone(),
        );
        registry.register("approvals_asked", "Approvals asked for", self.asked.clone());
        registry.register("approvals_answered", "Approvals, by the answer", self.answered.clone());
        registry.register("tells", "Tries to tell people, by how they ended", self.tells.clone());
        registry.register("tells_given_up", "Messages that nobody could be told", self.untold.clone());
        self.standing.register(registry);
        self.begin();
    }

    fn begin(&self) {
        let results = RunResult::ALL.map(RunResult::word);
        let kinds: [(&Family<Kind, Counter>, &[&'static str]); 7] = [
            (&self.alerts, &DECIDED),
            (&self.runs, &results),
            (&self.answered, &ANSWERED),
            (&self.attempts, &TROUBLED),
            (&self.steps, &STEPS),
            (&self.verifies, &VERIFIES),
            (&self.tells, &TOLD),
        ];
        for (family, kinds) in kinds {
            for kind in kinds {
                drop(family.get_or_create(&Kind { kind }));
            }
        }
    }

    /// Shows a check's verdict.
    pub fn verdict(&self, check: &CheckName, now: Status) {
        for status in [Status::Up, Status::Degraded, Status::Down, Status::Unknown] {
            let of = Verdict { check: check.to_string(), status: status.word() };
            self.verdicts.get_or_create(&of).set(i64::from(status == now));
        }
    }

    /// Shows how much is left of each credential's rate; of one that nobody counts, nothing.
    pub fn rates(&self, state: &State) {
        for (name, rate) in &state.rates {
            if let Some(left) = rate.left(state.now) {
                self.left.get_or_create(&Key { credential: name.to_string() }).set(left);
            }
        }
    }

    /// Checks and vantages may have left with the set; those that stay are shown again.
    pub fn forget_set(&self) {
        self.verdicts.clear();
        self.standing.forget();
    }

    /// Counts an acknowledged record.
    pub fn count(&self, record: &Record, open: usize) {
        self.records.inc();
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
        for event in record.items.iter().flat_map(|item| &item.events) {
            match event {
                Event::AlertDecided { decisions, .. } => {
                    let strongest = decisions
                        .iter()
                        .map(|decision| &decision.outcome)
                        .max_by_key(|outcome| outcome.strength());
                    let kind = match strongest {
                        Some(Outcome::Started { .. }) => "started",
                        Some(Outcome::Joined { .. }) => "joined",
                        Some(Outcome::Blocked(_)) => "blocked",
                        Some(Outcome::Skipped(_)) | None => "skipped",
                    };
                    one_more(&self.alerts, kind);
                }
                Event::FactRejected { .. } => drop(self.rejected.inc()),
                // Those that are still named are shown again.
                Event::RunnerServes { .. } => self.left.clear(),
                Event::Flapping { .. } => drop(self.flapping.inc()),
                Event::Tell { what, .. } => self.tell(what),
                Event::Run { what, .. } => self.run(what),
                _ => {}
            }
        }
    }

    fn tell(&self, what: &TellEvent) {
        match what {
            TellEvent::Told | TellEvent::Posted { .. } => one_more(&self.tells, "told"),
            TellEvent::Failed { .. } => one_more(&self.tells, "failed"),
            TellEvent::GivenUp { .. } => drop(self.untold.inc()),
            TellEvent::Queued { .. }
            | TellEvent::Renewed { .. }
            | TellEvent::Dispatched { .. }
            | TellEvent::Dropped => {}
        }
    }

    fn run(&self, what: &RunEvent) {
        match what {
            RunEvent::Dispatched { .. } => drop(self.dispatched.inc()),
            RunEvent::Paced { .. } => drop(self.paced.inc()),
            RunEvent::Overdue { refused: None, .. } => one_more(&self.attempts, "overdue"),
            RunEvent::Overdue { refused: Some(_), .. } => one_more(&self.attempts, "refused"),
            // Of what needs no ticket there is none to win back.
            RunEvent::Revoked { not_called: Some(reason), .. } if !reason.again() => {
                one_more(&self.attempts, "refused");
            }
            RunEvent::AttemptFailed { .. } => one_more(&self.attempts, "failed"),
            RunEvent::AttemptUnknown { .. } => one_more(&self.attempts, "unknown"),
            RunEvent::StepSucceeded { .. } => one_more(&self.steps, "succeeded"),
            RunEvent::StepFailed { .. } => one_more(&self.steps, "failed"),
            RunEvent::VerifyHeld { .. } => one_more(&self.verifies, "held"),
            RunEvent::VerifyMissed { .. } => one_more(&self.verifies, "missed"),
            RunEvent::ApprovalAsked { .. } => drop(self.asked.inc()),
            RunEvent::Approved { .. } => one_more(&self.answered, "approved"),
            RunEvent::Denied { .. } => one_more(&self.answered, "denied"),
            RunEvent::ApprovalExpired { .. } => one_more(&self.answered, "expired"),
            RunEvent::Ended { result, .. } => one_more(&self.runs, result.word()),
            _ => {}
        }
    }
}

fn one_more(family: &Family<Kind, Counter>, kind: &'static str) {
    family.get_or_create(&Kind { kind }).inc();
}

#[cfg(test)]
mod tests {
    use regreen_schemas::{Instance, Timestamp, fact::NotCalled};

    use super::*;

    #[test]
    fn a_refusal_is_counted_once_with_a_ticket_and_without() {
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let instance = || Instance::from("step");
        let revoked = |not_called| RunEvent::Revoked {
            instance: instance(),
            attempt: 1,
            not_called,
            again_at: Timestamp(0),
        };
        let overdue = |refused: Option<&str>| RunEvent::Overdue {
            instance: instance(),
            attempt: 1,
            refused: refused.map(Into::into),
        };
        // With a ticket it is won back, which says nothing new; without one there is nothing to win back.
        for event in [overdue(Some("no secret")), revoked(None), revoked(Some(NotCalled::Refused))] {
            metrics.run(&event);
        }
        // Nobody was there in time, and the stop switch: neither is a refusal.
        for event in [overdue(None), revoked(Some(NotCalled::Late)), revoked(Some(NotCalled::Stopped))] {
            metrics.run(&event);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for (kind, wanted) in [("refused", 2), ("overdue", 1), ("failed", 0), ("unknown", 0)] {
            let line = format!("attempts_troubled_total{{kind=\"{kind}\"}} {wanted}");
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}

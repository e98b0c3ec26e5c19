//! The engine's metrics: what became of alerts and runs, and how far the log is. Labels are bounded.

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
    run::Outcome,
};

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
    untold: Counter,
}

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("alerts_decided", "Alerts decided, by the strongest outcome", self.alerts.clone());
        registry.register("runs_ended", "Runs ended, by result", self.runs.clone());
        registry.register("attempts_dispatched", "Commands sent for steps", self.dispatched.clone());
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
        registry.register("tells_given_up", "Messages that nobody could be told", self.untold.clone());
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

    /// Checks may have left with the set; those that stay are shown again.
    pub fn forget_verdicts(&self) {
        self.verdicts.clear();
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
                    self.alerts.get_or_create(&Kind { kind }).inc();
                }
                Event::FactRejected { .. } => drop(self.rejected.inc()),
                // Those that are still named are shown again.
                Event::RunnerServes { .. } => self.left.clear(),
                Event::Flapping { .. } => drop(self.flapping.inc()),
                Event::Tell { what: TellEvent::GivenUp { .. }, .. } => drop(self.untold.inc()),
                Event::Run { what: RunEvent::ApprovalAsked { .. }, .. } => drop(self.asked.inc()),
                Event::Run { what: RunEvent::Dispatched { .. }, .. } => drop(self.dispatched.inc()),
                Event::Run { what: RunEvent::Paced { .. }, .. } => drop(self.paced.inc()),
                Event::Run { what: RunEvent::Ended { result, .. }, .. } => {
                    self.runs.get_or_create(&Kind { kind: result.word() }).inc();
                }
                _ => {}
            }
        }
    }
}

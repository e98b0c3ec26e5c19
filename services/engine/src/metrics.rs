//! The engine's metrics: what became of alerts and runs, and how far the log is. Labels are bounded.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use regreen_schemas::{
    event::{Event, RunEvent},
    record::Record,
    run::Outcome,
};

/// One bounded label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    kind: &'static str,
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
                Event::Run { what: RunEvent::Dispatched { .. }, .. } => drop(self.dispatched.inc()),
                Event::Run { what: RunEvent::Ended { result, .. }, .. } => {
                    self.runs.get_or_create(&Kind { kind: result.word() }).inc();
                }
                _ => {}
            }
        }
    }
}

//! A host's metrics: how its calls end, and what waits to be stored.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use regreen_schemas::fact::Verb;

/// Labels are bounded: actions are those that the host serves.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    action: &'static str,
    outcome: &'static str,
}

/// What a call may come to.
const OUTCOMES: [&str; 5] = ["ok", "failed", "unknown", "not_called", "observed"];

/// A host's metrics. They count nothing for anybody before they are registered.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    calls: Family<Ended, Counter>,
    waiting: Gauge,
}

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "calls",
            "Commands that this host answered, by action and outcome",
            self.calls.clone(),
        );
        registry.register("outcomes_waiting", "Outcomes that FACTS does not have yet", self.waiting.clone());
    }

    /// Shows an action before its first call: else that would be no increase.
    pub(crate) fn serves(&self, action: &'static str) {
        for outcome in OUTCOMES {
            drop(self.calls.get_or_create(&Ended { action, outcome }));
        }
    }

    pub(crate) fn ended(&self, action: &'static str, verb: &Verb) {
        let outcome = match verb {
            Verb::Ok { .. } => "ok",
            Verb::Failed { .. } => "failed",
            Verb::Unknown { .. } => "unknown",
            Verb::NotCalled { .. } => "not_called",
            Verb::Observed { .. } => "observed",
        };
        self.calls.get_or_create(&Ended { action, outcome }).inc();
    }

    pub(crate) fn waits(&self) {
        self.waiting.inc();
    }

    pub(crate) fn stored(&self) {
        self.waiting.dec();
    }
}

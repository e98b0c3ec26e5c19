//! Where the engine stands now, in gauges: what it is, whom it hears, how much it has not read.

use std::collections::BTreeSet;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use regreen_decider::{Phase, State};
use regreen_playbook::Set;
use regreen_schemas::id::Vantage;

/// What an engine is, as far as people must know. All of them are exported, one of them is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It reads the log, or waits for its turn and has not heard another yet.
    TakingOver,
    /// Another engine is active.
    Standby,
    /// It reads what happened before it, and does nothing.
    CatchingUp,
    /// It decides and acts.
    Live,
    /// It does nothing until a person has said `regreen resume --suspect`.
    Suspect,
    /// It does nothing until a person has said `regreen reconcile`.
    Frozen,
}

impl Stand {
    const ALL: [Self; 6] =
        [Self::TakingOver, Self::Standby, Self::CatchingUp, Self::Live, Self::Suspect, Self::Frozen];

    const fn word(self) -> &'static str {
        match self {
            Self::TakingOver => "taking_over",
            Self::Standby => "standby",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Suspect => "suspect",
            Self::Frozen => "frozen",
        }
    }
}

impl From<&Phase> for Stand {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::CatchingUp { .. } => Self::CatchingUp,
            Phase::Live => Self::Live,
            Phase::Suspect => Self::Suspect,
            Phase::Frozen => Self::Frozen,
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Named {
    phase: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Place {
    vantage: String,
}

/// For a gauge that may be absent.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NoLabel {}

/// The gauges.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    phase: Family<Named, Gauge>,
    stopped: Gauge,
    behind: Gauge,
    heard: Family<Place, Gauge>,
    /// While nobody has counted it is absent: 0 would be a lie that ends with an increase.
    dead: Family<NoLabel, Gauge>,
}

impl Standing {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("engine_phase", "1 for what this engine is", self.phase.clone());
        registry.register("engine_stopped", "1 while the stop switch is on", self.stopped.clone());
        registry.register(
            "facts_behind",
            "Facts stored behind the one that was read last, as of that one",
            self.behind.clone(),
        );
        registry.register("vantage_heard", "1 while the vantage's looks count", self.heard.clone());
        registry.register("dead_letters", "Messages in DEAD, as of the last half minute", self.dead.clone());
        self.is(Stand::TakingOver, false);
    }

    /// Says what the engine is, and whether the stop switch is on.
    pub fn is(&self, now: Stand, stopped: bool) {
        for stand in Stand::ALL {
            self.phase.get_or_create(&Named { phase: stand.word() }).set(i64::from(stand == now));
        }
        self.stopped.set(i64::from(stopped));
        if !matches!(now, Stand::CatchingUp | Stand::Live | Stand::Suspect) {
            // Whoever does not decide knows nothing of its own: another engine says it.
            self.behind.set(0);
            self.forget();
            self.dead.clear();
        }
    }

    /// Vantages may have left with the set; those that stay are shown again.
    pub fn forget(&self) {
        self.heard.clear();
    }

    /// So many facts wait to be read.
    pub fn behind(&self, facts: u64) {
        self.behind.set(i64::try_from(facts).unwrap_or(i64::MAX));
    }

    /// Shows every vantage that a check of the set in force is looked at from. One that was never heard is there, too.
    pub fn hears(&self, state: &State, set: &Set) {
        let vantages: BTreeSet<&Vantage> = set.checks.values().flat_map(|check| &check.vantages).collect();
        for name in vantages {
            let of = Place { vantage: name.to_string() };
            self.heard.get_or_create(&of).set(i64::from(state.sees(name)));
        }
    }

    /// So many messages were put aside.
    pub fn dead(&self, letters: u64) {
        self.dead.get_or_create(&NoLabel {}).set(i64::try_from(letters).unwrap_or(i64::MAX));
    }
}

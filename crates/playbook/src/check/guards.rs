//! Guards of what can destroy: a playbook gives its own to all that it runs, and a caller may give what its callee
//! lacks.

use super::book::{Book, calls};
use crate::{
    model::{Playbook, StepKind},
    read::Places,
};

/// The guards that everything destructive needs, by key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Guards {
    pub cooldown: bool,
    pub budget: bool,
    /// `min_healthy`, or somebody is asked.
    pub min_healthy: bool,
}

impl Guards {
    const ALL: Self = Self { cooldown: true, budget: true, min_healthy: true };

    fn and(self, other: Self) -> Self {
        Self {
            cooldown: self.cooldown || other.cooldown,
            budget: self.budget || other.budget,
            min_healthy: self.min_healthy || other.min_healthy,
        }
    }

    pub fn without(self, other: Self) -> Self {
        Self {
            cooldown: self.cooldown && !other.cooldown,
            budget: self.budget && !other.budget,
            min_healthy: self.min_healthy && !other.min_healthy,
        }
    }

    /// The keys that are there.
    pub fn keys(self) -> Vec<&'static str> {
        let all = [("cooldown", self.cooldown), ("budget", self.budget), ("min_healthy", self.min_healthy)];
        all.into_iter().filter(|(_, there)| *there).map(|(key, _)| key).collect()
    }
}

/// The guards that a playbook has written. What is there but wrong has its own finding.
fn given(playbook: &Playbook, places: &Places) -> Guards {
    let guard = places.document.get("guard");
    let written = |key: &str| guard.is_some_and(|guard| guard.get(key).is_some());
    Guards {
        cooldown: written("cooldown"),
        budget: written("budget"),
        min_healthy: written("min_healthy") || written("approval") || playbook.guard.approval.is_some(),
    }
}

/// The guards that something destructive lacks, here or in what it runs.
pub(super) fn lacks(book: &Book<'_>, playbook: &Playbook, places: &Places) -> Guards {
    let own = playbook
        .all_steps()
        .into_iter()
        .any(|step| matches!(step.kind, StepKind::Use(_)) && book.destroys(step));
    let own = if own { Guards::ALL } else { Guards::default() };
    let callees = calls(playbook).filter_map(|(_, call)| book.reach(call.playbook.as_str()));
    callees.fold(own, |all, callee| all.and(callee.lacks)).without(given(playbook, places))
}

//! Guards: what may forbid or delay a run. Each says what it saw, whether it lets through or not.

use std::sync::Arc;

use imbl::OrdMap;
use regreen_playbook::{
    Set,
    model::{Budget, BudgetScope, LockScope, MinHealthy, Playbook, StepKind},
};
use regreen_schemas::{
    CheckName, PlaybookName, RunId, Span, Timestamp,
    check::Status,
    event::{Read, Spend, Target},
    mutation::{self, Mutation},
    run::Block,
};

use crate::{bounds, state::State};

/// What a guard said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its name.
    pub guard: &'static str,
    /// What it saw, for people.
    pub saw: String,
    /// Why it forbids; `None`: it lets through.
    pub block: Option<Block>,
    /// When a block is sure to end.
    pub until: Option<Timestamp>,
}

fn passes(guard: &'static str, saw: impl Into<String>) -> Said {
    Said { guard, saw: saw.into(), block: None, until: None }
}

/// The lock that a playbook needs for a target; none without target.
#[must_use]
pub fn lock(playbook: &Playbook, target: Option<&Target>) -> Option<Arc<str>> {
    match (playbook.guard.scope, target) {
        (LockScope::Domain, _) => Some(DOMAIN.into()),
        (_, None) => None,
        (LockScope::Group, Some(target)) => Some(target.group().clone()),
        (LockScope::Target, Some(target)) => Some(target.lock()),
    }
}

/// The lock over everything.
const DOMAIN: &str = "*";

/// Whether one lock covers or is covered by the other: a group's covers its nodes'.
#[must_use]
pub fn conflict(a: &str, b: &str) -> bool {
    let covers = |outer: &str, inner: &str| {
        outer == DOMAIN
            || inner == outer
            || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
    };
    covers(a, b) || covers(b, a)
}

/// The entry whose lock conflicts with this one.
fn holder<'m>(locks: &'m OrdMap<Arc<str>, RunId>, lock: &str) -> Option<(&'m Arc<str>, &'m RunId)> {
    if lock == DOMAIN {
        return locks.iter().next();
    }
    let group = lock.split('/').next().unwrap_or(lock);
    let one = |key: &str| locks.get_key_value(key);
    let exact = one(DOMAIN).or_else(|| one(group)).or_else(|| one(lock));
    exact.or_else(|| {
        let below: Arc<str> = format!("{lock}/").into();
        locks.range(below.clone()..).next().filter(|(key, _)| key.starts_with(below.as_ref()))
    })
}

impl State {
    /// Who holds a lock that conflicts with this one.
    #[must_use]
    pub fn lock_holder(&self, lock: &str) -> Option<(&Arc<str>, &RunId)> {
        if mutation::is(Mutation::IgnoreLock) {
            return None;
        }
        holder(&self.locks, lock)
    }

    /// The queued runs that could have their lock now, in their order: none before them in line wants a lock that is
    /// in the way, and nobody holds one.
    pub(crate) fn first_in_lines(&self) -> impl Iterator<Item = &RunId> {
        let mut wanted: OrdMap<Arc<str>, RunId> = OrdMap::new();
        self.queue.values().filter(move |id| {
            let Some(lock) = self.runs.get(*id).and_then(|run| run.lock.clone()) else { return true };
            let free = holder(&self.locks, &lock).is_none() && holder(&wanted, &lock).is_none();
            wanted.insert(lock, (*id).clone());
            free
        })
    }

    /// Whether a queued run is the first in line for what it needs.
    #[must_use]
    pub(crate) fn first_in_line(&self, order: u64, lock: &str) -> bool {
        !self.queue.range(..order).any(|(_, id)| {
            self.runs.get(id).and_then(|run| run.lock.as_deref()).is_some_and(|other| conflict(other, lock))
        })
    }

    /// All guards but the lock, in order, each with what it saw. The first block is the reason.
    #[must_use]
    pub fn guards(
        &self,
        set: &Set,
        playbook: &Playbook,
        target: Option<&Target>,
        reads: &mut Vec<Read>,
    ) -> Vec<Said> {
        let mut said = Vec::new();
        if let Some(cooldown) = playbook.guard.cooldown {
            said.push(self.cooldown(&playbook.name, target, cooldown));
        }
        for budget in &playbook.guard.budgets {
            for key in budget_keys(budget.scope, playbook, target) {
                said.push(self.budget(*budget, &key));
            }
        }
        if let Some(wanted) = playbook.guard.min_healthy {
            said.push(self.min_healthy(set, playbook, target, wanted, reads));
        }
        said
    }

    fn cooldown(&self, playbook: &PlaybookName, target: Option<&Target>, cooldown: Span) -> Said {
        let Some(ended) = self.cooldowns.get(&(playbook.clone(), target.cloned())) else {
            return passes("cooldown", "no run yet");
        };
        let until = *ended + cooldown;
        if self.now >= until || mutation::is(Mutation::IgnoreCooldown) {
            return passes("cooldown", format!("over since {}", self.now - until));
        }
        let saw = format!("{} left of {cooldown}", until - self.now);
        Said { guard: "cooldown", saw, block: Some(Block::Cooldown { until }), until: Some(until) }
    }

    fn budget(&self, budget: Budget, key: &Arc<str>) -> Said {
        let stamps = self.spent.get(key);
        let within = |at: &&Timestamp| self.now - **at < budget.per;
        let spent = stamps.map_or(0, |stamps| stamps.iter().rev().take_while(within).count());
        let saw = format!("{spent} of {} in {} for {key}", budget.max, budget.per);
        if spent < budget.max as usize || mutation::is(Mutation::IgnoreBudget) {
            return passes("budget", saw);
        }
        // The attempt whose leaving makes room is the max-th newest.
        let oldest = stamps
            .and_then(|stamps| stamps.get(stamps.len() - budget.max as usize))
            .copied()
            .unwrap_or(self.now);
        let until = oldest + budget.per;
        Said {
            guard: "budget",
            saw,
            block: Some(Block::Budget { budget: key.clone(), until }),
            until: Some(until),
        }
    }

    fn min_healthy(
        &self,
        set: &Set,
        playbook: &Playbook,
        target: Option<&Target>,
        wanted: MinHealthy,
        reads: &mut Vec<Read>,
    ) -> Said {
        let group = target.and_then(|target| set.inventory.groups.get(target.group()));
        let Some(group) = group else { return passes("min_healthy", "no group") };
        let total = u32::try_from(group.nodes.len()).unwrap_or(u32::MAX);
        let needed = match wanted {
            MinHealthy::AtLeast(n) => n,
            MinHealthy::Percent(share) => (total * share).div_ceil(100),
        };
        let others = group
            .nodes
            .keys()
            .filter(|name| !matches!(target, Some(Target::Node { name: own, .. }) if own == *name));
        let mut healthy = 0;
        for name in others {
            // Without a health check nobody can say that a node is healthy.
            let Some(health) = &group.health else { continue };
            let check = CheckName::from(format!("{health}/{name}"));
            healthy += u32::from(self.verdict(set, check.as_str(), playbook.guard.quorum) == Status::Up);
            reads.push(Read::Verdict(check));
        }
        let saw = format!("{healthy} healthy others, {needed} needed");
        if healthy >= needed || mutation::is(Mutation::IgnoreMinHealthy) {
            return passes("min_healthy", saw);
        }
        Said { guard: "min_healthy", saw, block: Some(Block::MinHealthy { healthy, needed }), until: None }
    }

    /// The first action that nobody serves where the target wants it.
    #[must_use]
    pub fn unserved(&self, set: &Set, playbook: &Playbook, target: Option<&Target>) -> Option<Block> {
        let zone = set.inventory.zone(target);
        playbook.steps.iter().find_map(|step| {
            let StepKind::Use(action) = &step.kind else { return None };
            let mut other = None;
            for (runner, serves) in self.servers.iter().filter(|(_, serves)| serves.zone == zone) {
                match serves.actions.get(action.action.name) {
                    Some(declared) if *declared == action.declared => return None,
                    Some(_) => other = Some(runner.clone()),
                    None => {}
                }
            }
            let action: Arc<str> = action.action.name.into();
            Some(match other {
                Some(runner) => Block::OtherDeclaration { action, runner },
                None => Block::NoServer { action, zone: zone.clone() },
            })
        })
    }

    /// What a destructive attempt counts against: every kind of budget in use, so that one playbook's attempts
    /// count in another's.
    #[must_use]
    pub(crate) fn spends(set: &Set, playbook: &Playbook, target: Option<&Target>) -> Vec<Spend> {
        set.budgets
            .iter()
            .flat_map(|(scope, max)| {
                let keep = (*max).max(bounds::SPENDS_MIN);
                budget_keys(*scope, playbook, target).into_iter().map(move |key| Spend { key, keep })
            })
            .collect()
    }
}

fn budget_keys(scope: BudgetScope, playbook: &Playbook, target: Option<&Target>) -> Vec<Arc<str>> {
    match scope {
        BudgetScope::Playbook => vec![format!("playbook/{}", playbook.name).into()],
        BudgetScope::Domain => vec!["domain".into()],
        BudgetScope::Group => {
            target.map(|target| format!("group/{}", target.group()).into()).into_iter().collect()
        }
        BudgetScope::Provider => {
            let mut keys: Vec<Arc<str>> = playbook
                .steps
                .iter()
                .filter_map(|step| match &step.kind {
                    StepKind::Use(action) if action.destructive => {
                        Some(format!("provider/{}", action.action.provider()).into())
                    }
                    _ => None,
                })
                .collect();
            keys.dedup();
            keys
        }
    }
}

//! Guards: what may forbid or delay a run. Each says what it saw, whether it lets through or not.

use std::{collections::BTreeSet, sync::Arc};

use imbl::OrdMap;
use regreen_playbook::{
    Set,
    action::Action,
    cel::Env as _,
    model::{
        Budget, BudgetScope, LockScope, Maintenance, MinHealthy, Needed, Playbook, StepKind, Subject, Use,
    },
    template::plain,
};
use regreen_schemas::{
    CheckName, PlaybookName, RunId, Span, Timestamp, Zone,
    action::Effect,
    check::Status,
    event::{Read, Target},
    mutation::{self, Mutation},
    run::Block,
};

use crate::{env::World, state::State};

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

pub(crate) fn passes(guard: &'static str, saw: impl Into<String>) -> Said {
    Said { guard, saw: saw.into(), block: None, until: None }
}

/// A playbook at the moment when it wants to begin, or to go on.
pub(crate) struct At<'a> {
    pub set: &'a Set,
    pub playbook: &'a Playbook,
    pub target: Option<&'a Target>,
    /// What the step acts on, where it is about one.
    pub on: Option<&'a Target>,
    pub world: &'a World<'a>,
    pub moment: Moment,
}

/// When a playbook is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It wants to begin.
    Begins,
    /// It waited in line, and is about to do something for the first time.
    First,
    /// It has begun.
    Later,
}

/// The locks that a playbook needs for a target; none without target. A drill takes none: what it measures needs them.
#[must_use]
pub fn locks(set: &Set, playbook: &Playbook, target: Option<&Target>) -> Vec<Arc<str>> {
    if playbook.drill.is_some() {
        return Vec::new();
    }
    match (playbook.guard.scope, target) {
        (LockScope::Domain, _) => vec![DOMAIN.into()],
        (_, None) => Vec::new(),
        (LockScope::Group, Some(target)) => groups(set, target).cloned().collect(),
        (LockScope::Service, Some(target)) => {
            let of = |(name, sides): (&Arc<str>, &Vec<Arc<str>>)| {
                let own = matches!(target, Target::Service { name: own } if own == name);
                let holds = target.group().is_some_and(|group| sides.contains(group));
                (own || holds).then(|| Target::Service { name: name.clone() })
            };
            let services = set.inventory.services.iter().filter_map(of);
            let mut locks: Vec<Arc<str>> =
                services.flat_map(|service| set.inventory.locks(&service)).collect();
            if locks.is_empty() {
                locks = set.inventory.locks(target);
            }
            locks.sort();
            locks.dedup();
            locks
        }
        (LockScope::Target, Some(target)) => set.inventory.locks(target),
    }
}

/// The groups that a target is, stands in, or is served by.
pub(crate) fn groups<'s>(set: &'s Set, target: &'s Target) -> impl Iterator<Item = &'s Arc<str>> {
    let sides = match target {
        Target::Service { name } => set.inventory.services.get(name).map_or(&[][..], |sides| &sides[..]),
        Target::Node { .. } | Target::Group { .. } => &[],
    };
    target.group().into_iter().chain(sides)
}

/// The lock over everything.
const DOMAIN: &str = "*";

/// Whether a lock covers another one: a group's covers its nodes'.
fn covers(outer: &str, inner: &str) -> bool {
    outer == DOMAIN || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether one of the locks that are held covers another one.
pub(crate) fn covered(lock: &str, held: &[Arc<str>]) -> bool {
    held.iter().any(|outer| covers(outer, lock))
}

/// Whether one lock covers or is covered by the other.
#[must_use]
pub fn conflict(a: &str, b: &str) -> bool {
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
    /// Who holds a lock that conflicts with one of these.
    #[must_use]
    pub fn locks_holder(&self, locks: &[Arc<str>]) -> Option<(&Arc<str>, &RunId)> {
        if mutation::is(Mutation::IgnoreLock) {
            return None;
        }
        locks.iter().find_map(|lock| holder(&self.locks, lock))
    }

    /// Everybody who holds a lock that conflicts with one of these.
    pub(crate) fn locks_holders<'s>(&'s self, locks: &'s [Arc<str>]) -> impl Iterator<Item = &'s RunId> {
        let in_the_way = |held: &str| locks.iter().any(|lock| conflict(held, lock));
        self.locks.iter().filter(move |(held, _)| in_the_way(held)).map(|(_, run)| run)
    }

    /// The queued runs that could have their locks now, in their order: none before them in line wants a lock that is
    /// in the way, and nobody holds one.
    pub(crate) fn first_in_lines(&self) -> impl Iterator<Item = &RunId> {
        let mut wanted: OrdMap<Arc<str>, RunId> = OrdMap::new();
        self.queue.values().filter(move |id| {
            let locks = self.runs.get(*id).map(|run| run.locks.clone()).unwrap_or_default();
            let free =
                |lock: &Arc<str>| holder(&self.locks, lock).is_none() && holder(&wanted, lock).is_none();
            let free = locks.iter().all(free);
            wanted.extend(locks.into_iter().map(|lock| (lock, (*id).clone())));
            free
        })
    }

    /// Whether a queued run is the first in line for all that it needs.
    #[must_use]
    pub(crate) fn first_in_line(&self, order: u64, locks: &[Arc<str>]) -> bool {
        let wants = |id: &RunId| {
            let others = self.runs.get(id).map(|run| &run.locks[..]).unwrap_or_default();
            others.iter().any(|other| locks.iter().any(|lock| conflict(other, lock)))
        };
        !self.queue.range(..order).any(|(_, id)| wants(id))
    }

    /// All guards but the lock, in order, each with what it saw. The first block is the reason.
    #[must_use]
    pub(crate) fn guards(&self, at: &At<'_>, reads: &mut Vec<Read>) -> Vec<Said> {
        let (set, playbook, target) = (at.set, at.playbook, at.target);
        let mut said = Vec::new();
        if at.moment != Moment::Later {
            said.extend(self.breaker(playbook));
        }
        if at.moment != Moment::Begins {
            said.extend(self.maintained(at));
        }
        if let Some(cooldown) = playbook.guard.cooldown {
            said.push(self.cooldown(&playbook.name, target, cooldown));
        }
        for budget in playbook.guard.budgets.iter().chain(&set.ceilings.budgets) {
            for key in budget_keys(budget.scope, set, playbook, target) {
                said.push(self.budget(*budget, &key));
            }
        }
        if let Some(wanted) = &playbook.guard.min_healthy {
            said.push(self.min_healthy(at, wanted, reads));
        }
        // Once it has begun, each destructive step is judged for what it acts on.
        if at.moment == Moment::Begins
            && let Some(group) = target.and_then(Target::group).filter(|_| destroys(set, playbook))
        {
            said.extend(self.storm(set, at.world, group, reads));
        }
        said
    }

    /// Too many of a group are not up: what is wrong is bigger than one node.
    pub(crate) fn storm(
        &self,
        set: &Set,
        world: &World<'_>,
        name: &Arc<str>,
        reads: &mut Vec<Read>,
    ) -> Option<Said> {
        let group = set.inventory.groups.get(name)?;
        let health = group.health.as_ref()?;
        let bound = group.storm.unwrap_or(set.ceilings.storm);
        let checks = group.nodes.keys().map(|node| CheckName::from(format!("{health}/{node}")));
        let mut down = 0;
        for check in checks {
            down += u32::from(world.verdict(check.as_str()) != Status::Up);
            reads.push(Read::Verdict(check));
        }
        let of = u32::try_from(group.nodes.len()).unwrap_or(u32::MAX);
        let saw = format!("{down} of {of} nodes of {name} are not up, {bound} % are allowed");
        if u64::from(down) * 100 <= u64::from(of) * u64::from(bound) || mutation::is(Mutation::IgnoreStorm) {
            return Some(passes("storm", saw));
        }
        let block = Some(Block::Storm { group: name.clone(), down, of });
        Some(Said { guard: "storm", saw, block, until: None })
    }

    /// Whether the target is in maintenance, before a destructive step.
    fn maintained(&self, at: &At<'_>) -> Option<Said> {
        let until = self.maintenance(at)?;
        let saw = until.map_or_else(|| "silenced".to_owned(), |until| format!("until {until}"));
        Some(Said { guard: "maintenance", saw, block: Some(Block::Maintenance), until })
    }

    /// The maintenance that the target is in: with its end, where that is known. By the calendar of its groups, or by a
    /// silence that one of the checks for that has found.
    pub(crate) fn maintenance(&self, at: &At<'_>) -> Option<Option<Timestamp>> {
        if at.playbook.guard.maintenance == Maintenance::Ignore {
            return None;
        }
        let target = at.target?;
        let calendar =
            groups(at.set, target).filter_map(|group| at.set.inventory.maintained_until(group, self.now));
        if let Some(until) = calendar.max() {
            return Some(Some(until));
        }
        self.silences(at.set, target)
            .any(|check| at.world.verdict(check.as_str()) == Status::Degraded)
            .then_some(None)
    }

    /// Checks of silences that concern a target.
    pub(crate) fn silences<'s>(
        &self,
        set: &'s Set,
        target: &'s Target,
    ) -> impl Iterator<Item = &'s CheckName> {
        let names = std::iter::once(target.name()).chain(groups(set, target));
        names.filter_map(|name| set.silences.get(name)).flatten()
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

    pub(crate) fn budget(&self, budget: Budget, key: &Arc<str>) -> Said {
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

    fn min_healthy(&self, at: &At<'_>, wanted: &MinHealthy, reads: &mut Vec<Read>) -> Said {
        let named = wanted.group.as_ref().map(|group| {
            let value = group.render(at.world, plain)?;
            Ok::<Arc<str>, String>(value.name().cloned().unwrap_or_else(|| value.to_string().into()))
        });
        let name = match named {
            Some(Ok(name)) => Some(name),
            Some(Err(_)) => None,
            None => at.target.and_then(Target::group).cloned(),
        };
        let group = name.as_ref().and_then(|name| at.set.inventory.groups.get(name));
        let Some(group) = group else {
            if wanted.group.is_none() && at.target.is_none() {
                return passes("min_healthy", "no group");
            }
            // A group that is not there has nobody healthy.
            let block = Some(Block::MinHealthy { healthy: 0, needed: 1 });
            return Said { guard: "min_healthy", saw: "no such group".into(), block, until: None };
        };
        let total = u32::try_from(group.nodes.len()).unwrap_or(u32::MAX);
        let needed = match wanted.needed {
            Needed::AtLeast(n) => n,
            Needed::Percent(share) => (total * share).div_ceil(100),
        };
        let busy = name.as_ref().map(|name| self.under_way_in(name)).unwrap_or_default();
        let acted_on = |node: &Arc<str>| {
            let own =
                |target: Option<&Target>| matches!(target, Some(Target::Node { name, .. }) if name == node);
            own(at.target) || own(at.on) || busy.contains(node)
        };
        let others = group.nodes.keys().filter(|node| !acted_on(node));
        let mut healthy = 0;
        for node in others {
            // Without a health check nobody can say that a node is healthy.
            let Some(health) = &group.health else { continue };
            let check = CheckName::from(format!("{health}/{node}"));
            let quorum = at.playbook.guard.quorum;
            healthy += u32::from(self.verdict(at.set, check.as_str(), quorum) == Status::Up);
            reads.push(Read::Verdict(check));
        }
        let saw = format!("{healthy} healthy others, {needed} needed");
        if healthy >= needed || mutation::is(Mutation::IgnoreMinHealthy) {
            return passes("min_healthy", saw);
        }
        Said { guard: "min_healthy", saw, block: Some(Block::MinHealthy { healthy, needed }), until: None }
    }

    /// Nodes of a group that something is being done to: how they are now says nothing about how they will be.
    fn under_way_in(&self, group: &Arc<str>) -> BTreeSet<Arc<str>> {
        let below: Arc<str> = format!("{group}/").into();
        let nodes =
            self.locks.range(below.clone()..).take_while(|(lock, _)| lock.starts_with(below.as_ref()));
        let holders = nodes.map(|(_, run)| run).chain(self.locks.get(group)).chain(self.locks.get(DOMAIN));
        let calls = holders.filter_map(|id| self.runs.get(id)).flat_map(|run| run.calls());
        let changes = calls.filter(|attempt| attempt.task.effect != Effect::Read);
        changes.filter_map(|attempt| attempt.task.node.clone()).collect()
    }

    /// The first action that nobody serves where the target wants it.
    #[must_use]
    pub fn unserved(&self, set: &Set, playbook: &Playbook, target: Option<&Target>) -> Option<Block> {
        playbook.uses().find_map(|action| self.unserved_action(set, action, target))
    }

    /// The same for one action. What it will act on is not known yet, unless it is named: then the target's zone it is.
    fn unserved_action(&self, set: &Set, action: &Use, target: Option<&Target>) -> Option<Block> {
        let inventory = &set.inventory;
        let named = match &action.subject {
            None => None,
            Some(Subject::Path(_)) => target.cloned(),
            Some(Subject::Node(name)) => inventory.node(name),
            Some(Subject::Group(name)) => inventory.group(name),
            Some(Subject::Service(name)) => inventory.service(name),
        };
        self.unserved_in(&inventory.zone(named.as_ref()), action)
    }

    /// Why nobody does an action in a zone.
    #[must_use]
    pub(crate) fn unserved_in(&self, zone: &Zone, action: &Use) -> Option<Block> {
        self.unserved_by_name(zone, &action.action)
    }

    /// The same of an action that no step uses.
    pub(crate) fn unserved_by_name(&self, zone: &Zone, action: &Action) -> Option<Block> {
        if action.internal() {
            return None;
        }
        let mut other = None;
        for (runner, serves) in self.servers.iter().filter(|(_, serves)| serves.zone == *zone) {
            match serves.actions.get(&action.name) {
                Some(declared) if *declared == action.declared => return None,
                Some(_) => other = Some(runner.clone()),
                None => {}
            }
        }
        let action = action.name.clone();
        Some(match other {
            Some(runner) => Block::OtherDeclaration { action, runner },
            None => Block::NoServer { action, zone: zone.clone() },
        })
    }
}

/// Whether a playbook can destroy, itself or by what it runs.
pub(crate) fn destroys(set: &Set, playbook: &Playbook) -> bool {
    reach(set, playbook).iter().any(|playbook| playbook.destructive())
}

/// A playbook with all that it runs, each once.
fn reach<'s>(set: &'s Set, playbook: &'s Playbook) -> Vec<&'s Playbook> {
    let mut found = vec![playbook];
    let mut next = 0;
    while let Some(playbook) = found.get(next).copied() {
        next += 1;
        for step in playbook.all_steps() {
            let StepKind::Run(call) = &step.kind else { continue };
            let Some(inner) = set.playbooks.get(&call.playbook) else { continue };
            if !found.iter().any(|known| known.name == inner.name) {
                found.push(inner);
            }
        }
    }
    found
}

fn budget_keys(scope: BudgetScope, set: &Set, playbook: &Playbook, target: Option<&Target>) -> Vec<Arc<str>> {
    match scope {
        BudgetScope::Playbook => vec![format!("playbook/{}", playbook.name).into()],
        BudgetScope::Domain => vec!["domain".into()],
        BudgetScope::Group => {
            let groups = target.into_iter().flat_map(|target| groups(set, target));
            groups.map(|group| format!("group/{group}").into()).collect()
        }
        BudgetScope::Provider => {
            let destructive = playbook.uses().filter(|action| action.destructive);
            let mut keys: Vec<Arc<str>> =
                destructive.map(|action| format!("provider/{}", action.action.provider()).into()).collect();
            keys.sort();
            keys.dedup();
            keys
        }
    }
}

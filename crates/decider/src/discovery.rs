//! Discovery: groups whose nodes a provider knows by a tag are looked up again and again. An answer that nobody
//! believes, or none, changes nothing: the last good one stays, and it is said since when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_playbook::{Set, agree::Listed};
use regreen_schemas::{
    Timestamp,
    action::Effect,
    command::{Kind, Task},
    event::{DiscoveryEvent, Event},
    fact::{Outcome, Verb},
    roster::{By, DISCOVER, Member, NODES_MAX, Node, discovery_id},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    bounds,
    decide::Decider,
    state::{Illegal, State, TimerKey},
};

/// Nodes that a message names.
const NAMED_MAX: usize = 5;

/// The look-up of a group's nodes at its provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The provider.
    pub provider: Arc<str>,
    /// The tag.
    pub tag: Arc<str>,
    /// The newest look: the record that asked.
    pub attempt: u32,
    /// Whether one is out.
    pub out: bool,
    /// The next look, or when the one that is out has failed.
    pub due: Timestamp,
    /// Ids and names of all that the last good answer lists.
    pub listed: Option<Listed>,
    /// When that was.
    pub good: Option<Timestamp>,
    /// What has been wrong since.
    pub wrong: Option<Wrong>,
}

/// Looks that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// Since when.
    pub since: Timestamp,
    /// How many.
    pub times: u32,
    /// Why the newest did.
    pub reason: Arc<str>,
}

impl Decider<'_> {
    fn discovery(&mut self, group: &Arc<str>, what: DiscoveryEvent) -> Result<(), Illegal> {
        self.emit(Event::Discovery { group: group.clone(), what })
    }

    /// The set in force is a new one: it says which groups are looked up. What was found for one that is looked up no
    /// longer leaves.
    pub(crate) fn discover_all(&mut self) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let wanted: BTreeMap<&Arc<str>, (&Arc<str>, &Arc<str>)> = set
            .inventory
            .groups
            .iter()
            .filter_map(|(name, group)| Some((name, (group.provider.as_ref()?, group.discover.as_ref()?))))
            .collect();
        for (group, (provider, tag)) in &wanted {
            let known = self.s.discoveries.get(*group);
            if known.is_none_or(|known| known.provider != **provider || known.tag != **tag) {
                let (provider, tag) = (Arc::clone(provider), Arc::clone(tag));
                self.discovery(group, DiscoveryEvent::Wanted { provider, tag })?;
            }
        }
        let over: Vec<Arc<str>> =
            self.s.discoveries.keys().filter(|group| !wanted.contains_key(group)).cloned().collect();
        for group in over {
            self.discovery(&group, DiscoveryEvent::Unwanted)?;
            let members = self.s.roster.groups.get(&group).cloned().unwrap_or_default();
            let found = members.nodes.into_values().filter(|member| member.by == By::Discovery);
            found.map(|member| member.node).try_for_each(|node| self.lose(&group, node))?;
        }
        Ok(())
    }

    fn lose(&mut self, group: &Arc<str>, node: Node) -> Result<(), Illegal> {
        self.emit(Event::NodeRemoved { group: group.clone(), node, by: By::Discovery })
    }

    /// A group's moment: it is looked up, or the look that is out has failed.
    pub(crate) fn discovery_due(&mut self, group: &Arc<str>) -> Result<(), Illegal> {
        let Some(discovery) = self.s.discoveries.get(group).cloned() else { return Ok(()) };
        if discovery.out {
            return self.not_found(group, "no runner answered in time");
        }
        if !self.may_dispatch() {
            // A stopped or suspect system stays away from the provider altogether.
            let again_at = self.s.now + bounds::DISCOVER_EVERY;
            return self.discovery(group, DiscoveryEvent::Postponed { again_at });
        }
        match self.look_up(group, &discovery) {
            Ok(task) => {
                let draws = self.s.draws(&task.zone, &task.action, task.kind, task.effect);
                let again_at = self.s.after_runs(&draws);
                if again_at > self.s.now {
                    // Repairs come first: what was known stays.
                    return self.discovery(group, DiscoveryEvent::Postponed { again_at });
                }
                let until = task.claim_by + bounds::CALL_WINDOW + task.timeout;
                // Never given twice, also when `discover` was out of the files meanwhile: runners remember what they did.
                let attempt = u32::try_from(self.s.seq % u64::from(u32::MAX)).unwrap_or_default();
                self.discovery(group, DiscoveryEvent::Asked { attempt, task, draws, until })
            }
            Err(why) => self.not_found(group, &why),
        }
    }

    /// The read that looks a group up; or why nobody does it.
    fn look_up(&self, group: &Arc<str>, discovery: &Discovery) -> Result<Task, String> {
        let set = self.set().ok_or("no set is in force")?;
        let name = format!("{}.inventory.list", discovery.provider);
        let action = set
            .actions
            .get(name.as_str())
            .filter(|action| action.effect == Effect::Read)
            .ok_or_else(|| format!("there is no action {name} that reads"))?;
        let zone = set.inventory.groups.get(group).ok_or("there is no such group")?.via.clone();
        if let Some(block) = self.s.unserved_by_name(&zone, action) {
            return Err(block.to_string());
        }
        Ok(Task {
            kind: Kind::Perform,
            action: action.name.clone(),
            effect: action.effect,
            zone,
            params: Arc::new(json!({"tag": discovery.tag})),
            node: None,
            claim_by: self.s.now + bounds::CLAIM,
            timeout: action.timeout,
        })
    }

    /// Nothing is known anew: what was known stays.
    fn not_found(&mut self, group: &Arc<str>, why: &str) -> Result<(), Illegal> {
        let again_at = self.s.now + bounds::DISCOVER_EVERY;
        self.discovery(group, DiscoveryEvent::Failed { reason: why.into(), again_at })
    }

    /// A runner answered.
    pub(crate) fn discovered(&mut self, outcome: &Outcome) -> Result<(), Illegal> {
        let Some(group) = outcome.instance.as_str().strip_prefix(DISCOVER).map(Arc::<str>::from) else {
            return Ok(());
        };
        let waits = self.s.discoveries.get(&group).is_some_and(|discovery| {
            discovery.out && discovery.attempt == outcome.attempt && outcome.run == discovery_id(&group)
        });
        if !waits {
            return Ok(());
        }
        match &outcome.outcome {
            Verb::Ok { result } => self.listed(&group, result),
            Verb::Failed { reason, .. } | Verb::Unknown { reason } => self.not_found(&group, reason),
            Verb::NotCalled { detail, .. } => self.not_found(&group, detail),
            Verb::Observed { .. } => Ok(()),
        }
    }

    fn listed(&mut self, group: &Arc<str>, result: &Value) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let Some(list) = result.get("nodes").and_then(Value::as_array) else {
            return self.not_found(group, "the answer has no list `nodes`");
        };
        if list.len() > NODES_MAX {
            let why = format!("it lists {} nodes, and {NODES_MAX} are the most of a group", list.len());
            return self.not_found(group, &why);
        }
        let (good, bad): (Vec<_>, Vec<_>) = list.iter().map(Node::read).partition(Result::is_ok);
        let nodes: Vec<Node> = good.into_iter().flatten().collect();
        if let Some(why) = self.doubted(&set, group, nodes.len()) {
            return self.doubt(group, &why);
        }
        let listed: Listed = nodes.iter().map(|node| (node.id.clone(), node.name.clone())).collect();
        let before = self.s.discoveries.get(group).and_then(|discovery| discovery.listed.as_ref());
        let listed = (before != Some(&listed)).then_some(listed);
        let again_at = self.s.now + bounds::DISCOVER_EVERY;
        self.discovery(group, DiscoveryEvent::Found { listed, again_at })?;
        self.merge(&set, group, nodes)?;
        let bad: Vec<String> = bad.into_iter().filter_map(Result::err).take(NAMED_MAX).collect();
        if bad.is_empty() {
            return Ok(());
        }
        let text = format!("discovery of {group} finds nodes that can't be taken in: {}", bad.join("; "));
        self.tell_system(&format!("discovery/{group}/nodes"), &text)
    }

    /// Why an answer of so many nodes is not believed: a provider that answers with nothing, or with less than half,
    /// is more often wrong than right.
    fn doubted(&self, set: &Set, group: &Arc<str>, count: usize) -> Option<String> {
        let newest = self.s.discoveries.get(group).and_then(|discovery| discovery.listed.as_ref());
        let known = newest.map_or_else(|| set.in_files(group), BTreeMap::len);
        let doubted = known > 0 && (count == 0 || count * 2 < known);
        doubted.then(|| {
            format!(
                "the provider lists {count} nodes where {known} were known: nobody believes it, and the last good answer stays. If it is so, take `discover` out of the group and put it back"
            )
        })
    }

    /// It is told when it begins.
    fn doubt(&mut self, group: &Arc<str>, why: &str) -> Result<(), Illegal> {
        let wrong = self.s.discoveries.get(group).and_then(|discovery| discovery.wrong.as_ref());
        let first = wrong.is_none_or(|wrong| *wrong.reason != *why);
        self.not_found(group, why)?;
        if !first {
            return Ok(());
        }
        self.tell_system(&format!("discovery/{group}"), &format!("discovery of {group}: {why}"))
    }

    /// What is new comes, what is listed no longer goes; the files' nodes and those that runs made stay.
    fn merge(&mut self, set: &Set, group: &Arc<str>, nodes: Vec<Node>) -> Result<(), Illegal> {
        let before = self.set();
        let ids: BTreeSet<Arc<str>> = nodes.iter().map(|node| node.id.clone()).collect();
        let members = self.s.roster.groups.get(group).cloned().unwrap_or_default();
        let mut changed = false;
        let leaves = |member: &Member| {
            let stays = nodes.iter().any(|node| node.id == member.node.id && node.name == member.node.name);
            member.by == By::Discovery && (!stays || set.file_name(group, &member.node).is_some())
        };
        for member in members.nodes.values().filter(|member| leaves(member)) {
            changed = true;
            self.lose(group, member.node.clone())?;
        }
        for node in nodes {
            let gone = members.gone.values().any(|gone| gone.node.id == node.id);
            if gone || set.file_name(group, &node).is_some() {
                continue;
            }
            if let Some(by) = self.newcomer(group, &node, &ids) {
                changed = true;
                self.emit(Event::NodeAdded { group: group.clone(), node, by })?;
            }
        }
        self.forget_gone()?;
        if changed { self.nodes_changed(before.as_deref()) } else { self.compare() }
    }

    /// Whether a listed node is news, and whose it is then. One that a run made stays the run's; a name that is another
    /// node's is a contradiction.
    fn newcomer(&self, group: &Arc<str>, node: &Node, ids: &BTreeSet<Arc<str>>) -> Option<By> {
        let members = self.s.roster.groups.get(group);
        let known = members.and_then(|members| members.nodes.get(&node.name));
        // A run's target is a name: it never becomes another node under an open run.
        if known.is_none_or(|known| known.node.id != node.id) && self.is_asked_for(&node.name) {
            return None;
        }
        let Some(members) = members else { return Some(By::Discovery) };
        if members.nodes.values().any(|known| known.node.id == node.id && known.node.name != node.name) {
            return None;
        }
        match members.nodes.get(&node.name) {
            None => (members.nodes.len() < NODES_MAX).then_some(By::Discovery),
            Some(known) if known.node == *node => None,
            Some(known) if known.node.id == node.id => Some(known.by.clone()),
            Some(known) => {
                let left = known.by == By::Discovery && !ids.contains(&known.node.id);
                left.then_some(By::Discovery)
            }
        }
    }
}

impl State {
    /// Folds what happened to a look-up.
    pub(crate) fn apply_discovery(&mut self, group: &Arc<str>, what: &DiscoveryEvent) -> Result<(), Illegal> {
        let (now, key) = (self.now, TimerKey::Discovery(group.clone()));
        match what {
            DiscoveryEvent::Wanted { provider, tag } => {
                let (provider, tag) = (provider.clone(), tag.clone());
                let attempt = self.discoveries.get(group).map_or(0, |known| known.attempt);
                let (listed, good, wrong) = (None, None, None);
                let discovery =
                    Discovery { provider, tag, attempt, out: false, due: now, listed, good, wrong };
                self.discoveries.insert(group.clone(), discovery);
            }
            DiscoveryEvent::Unwanted => drop(self.discoveries.remove(group)),
            told => {
                if let DiscoveryEvent::Asked { draws, .. } = told {
                    self.apply_draws(draws);
                }
                let known = self.discoveries.get_mut(group);
                known.ok_or_else(|| Illegal(format!("nobody looks {group} up")))?.take(told, now);
            }
        }
        let due = self.discoveries.get(group).map(|discovery| discovery.due);
        self.arm(key, due);
        Ok(())
    }
}

impl Discovery {
    fn take(&mut self, what: &DiscoveryEvent, now: Timestamp) {
        match what {
            DiscoveryEvent::Wanted { .. } | DiscoveryEvent::Unwanted => {}
            DiscoveryEvent::Postponed { again_at } => self.due = *again_at,
            DiscoveryEvent::Asked { attempt, until, .. } => {
                (self.attempt, self.out, self.due) = (*attempt, true, *until);
            }
            DiscoveryEvent::Found { listed, again_at } => {
                (self.out, self.due, self.good, self.wrong) = (false, *again_at, Some(now), None);
                if listed.is_some() {
                    self.listed.clone_from(listed);
                }
            }
            DiscoveryEvent::Failed { reason, again_at } => {
                (self.out, self.due) = (false, *again_at);
                let (since, times) = self.wrong.as_ref().map_or((now, 0), |wrong| (wrong.since, wrong.times));
                let times = times.saturating_add(1);
                self.wrong = Some(Wrong { since, times, reason: reason.clone() });
            }
        }
    }

    /// Where it stands, for people.
    #[must_use]
    pub fn said(&self, now: Timestamp) -> String {
        let good = self.good.map_or_else(|| "never well".to_owned(), |at| format!("well {} ago", now - at));
        match &self.wrong {
            None if self.good.is_none() => "not looked up yet".to_owned(),
            None => good,
            Some(Wrong { since, times, reason }) => {
                format!("{good}; {times} times since {} ago: {reason}", now - *since)
            }
        }
    }
}

//! Nodes that runs make and take away: the step's success and the change of the inventory stand in one record, so that
//! the next decision already sees it.

use std::{collections::BTreeMap, sync::Arc};

use regreen_playbook::{
    Set,
    action::{Action, ParamKind},
};
use regreen_schemas::{
    Instance, RunId,
    action::ParamType,
    check::Status,
    event::{Event, Read, RunEvent, Target},
    roster::{By, GONE_MAX, Gone, Member, NODES_MAX, Node},
    run::RunResult,
};
use serde_json::Value;

use crate::{
    decide::Decider,
    run::{Run, Stage},
    state::{Illegal, State},
};

/// What a step's success means for the inventory.
pub(crate) struct Changes {
    run: RunId,
    instance: Instance,
    action: Arc<Action>,
    params: Arc<Value>,
    node: Option<Arc<str>>,
    result: Value,
}

impl Decider<'_> {
    /// What an event of a run will mean for the inventory: asked before it is applied, while the attempt is at hand.
    pub(crate) fn changes(&self, id: &RunId, what: &RunEvent) -> Option<Changes> {
        let RunEvent::StepSucceeded { instance, result } = what else { return None };
        let run = self.s.runs.get(id)?;
        let task = &run.acts.get(instance)?.stage.attempt()?.task;
        let action = self.pinned(run)?.actions.get(&task.action).cloned()?;
        let changes = action.adds.is_some() || action.removes.is_some();
        let (params, node, result) = (task.params.clone(), task.node.clone(), result.clone());
        changes.then(|| Changes { run: id.clone(), instance: instance.clone(), action, params, node, result })
    }

    /// Writes what a step's success means for the inventory.
    pub(crate) fn change_nodes(&mut self, changes: &Changes) -> Result<(), Illegal> {
        let before = self.set();
        if let Some(field) = &changes.action.adds {
            match self.made(changes, field) {
                Ok(added) => self.emit(added)?,
                Err(why) => self.untaken(changes, &why)?,
            }
        }
        if let Some(param) = &changes.action.removes {
            self.take_away(changes, param)?;
        }
        self.nodes_changed(before.as_deref())
    }

    /// The node that a run made; or why the inventory can't take it.
    fn made(&self, changes: &Changes, field: &str) -> Result<Event, String> {
        let value = changes.result.get(field).ok_or_else(|| format!("the result has no `{field}`"))?;
        let node = Node::read(value)?;
        let asked = changes.action.params.iter().find(|param| param.kind == ParamKind::Is(ParamType::Group));
        let asked = asked.and_then(|param| name_of(changes.params.get(&*param.name)?));
        let group = asked.or_else(|| name_of(value.get("group")?));
        let group = group.ok_or_else(|| format!("nothing says in which group `{}` is", node.name))?;
        let set = self.set().unwrap_or_default();
        if !set.inventory.groups.contains_key(&group) {
            return Err(format!("there is no group {group}"));
        }
        let described = regreen_playbook::value::Value::from_json(value);
        let other = |known: &Target| described.as_ref().is_none_or(|it| !set.inventory.is(known, it));
        if set.inventory.node(&node.name).is_some_and(|known| other(&known)) {
            return Err(format!("`{}` is another node of the inventory", node.name));
        }
        let members = self.s.roster.groups.get(&group);
        let called = members.and_then(|members| members.nodes.get(&node.name));
        if let Some(Member { node: other, .. }) = called.filter(|member| member.node.id != node.id) {
            return Err(format!("`{}` is there already, with the id {}", node.name, other.id));
        }
        if called.is_none() && members.is_some_and(|members| members.nodes.len() >= NODES_MAX) {
            return Err(format!("{NODES_MAX} nodes of {group} stand in no file already"));
        }
        Ok(Event::NodeAdded { group, node, by: By::Run(changes.run.clone()) })
    }

    /// It is there, and counts for nothing: people must know. What follows in its playbook would find nothing of that
    /// name, or something else.
    fn untaken(&mut self, changes: &Changes, why: &str) -> Result<(), Illegal> {
        let Changes { run, instance, action, .. } = changes;
        let text = format!(
            "run {run} did {}, and the inventory can't take what it made: {why}. Add the node to the files, or remove it at the provider",
            action.name
        );
        self.tell_system(&format!("made/{run}"), &text)?;
        self.ended_at(
            run,
            instance,
            RunResult::Failed,
            format!("the inventory can't take what {instance} made: {why}"),
        )
    }

    fn take_away(&mut self, changes: &Changes, param: &str) -> Result<(), Illegal> {
        let name = changes.params.get(param).and_then(name_of).or_else(|| changes.node.clone());
        let set = self.set();
        let found = set.as_ref().zip(name).and_then(|(set, name)| set.inventory.node(&name));
        let (Some(set), Some(Target::Node { group, name })) = (set, found) else { return Ok(()) };
        let given = changes.params.get(param).and_then(regreen_playbook::value::Value::from_json);
        let target = Target::Node { group: group.clone(), name: name.clone() };
        if given.is_some_and(|given| !set.inventory.is(&target, &given)) {
            return Ok(());
        }
        let node = match self.s.roster.groups.get(&group).and_then(|members| members.nodes.get(&name)) {
            Some(member) if set.file_name(&group, &member.node).is_none() => member.node.clone(),
            _ => described(&name, changes.params.get(param).unwrap_or(&Value::Null)),
        };
        self.forget_oldest(&set, &group)?;
        self.emit(Event::NodeRemoved { group, node, by: By::Run(changes.run.clone()) })
    }

    /// Only so many are remembered that no file lists.
    fn forget_oldest(&mut self, set: &Set, group: &Arc<str>) -> Result<(), Illegal> {
        let Some(members) = self.s.roster.groups.get(group) else { return Ok(()) };
        let strangers = members.gone.values().filter(|gone| set.file_name(group, &gone.node).is_none());
        if strangers.clone().count() < GONE_MAX {
            return Ok(());
        }
        let oldest = strangers.min_by_key(|gone| gone.at).map(|gone| gone.node.name.clone());
        oldest.map_or(Ok(()), |node| self.emit(Event::NodeForgotten { group: group.clone(), node }))
    }

    /// Nodes that are gone, that no file and no provider lists, and that no run is about: nobody asks for them again.
    pub(crate) fn forget_gone(&mut self) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let listed = |group: &Arc<str>, gone: &Gone| {
            let newest = self.s.discoveries.get(group).and_then(|discovery| discovery.listed.as_ref());
            newest.is_some_and(|newest| newest.contains_key(&gone.node.id))
        };
        let mut over = Vec::new();
        for (group, members) in &self.s.roster.groups {
            let gone = members.gone.values().filter(|gone| {
                set.file_name(group, &gone.node).is_none()
                    && !listed(group, gone)
                    && !self.is_asked_for(&gone.node.name)
            });
            over.extend(gone.map(|gone| (group.clone(), gone.node.name.clone())));
        }
        over.into_iter().try_for_each(|(group, node)| self.emit(Event::NodeForgotten { group, node }))
    }

    /// Whether an open run is about something of this name.
    pub(crate) fn is_asked_for(&self, name: &Arc<str>) -> bool {
        self.s.runs.values().any(|run| about(run).any(|target| target.name() == name))
    }

    /// Nodes came or went: what nobody looks at any more is unknown, and all else is judged anew.
    pub(crate) fn nodes_changed(&mut self, before: Option<&Set>) -> Result<(), Illegal> {
        let (Some(before), Some(after)) = (before, self.set()) else { return Ok(()) };
        for check in before.checks.keys().filter(|check| !after.checks.contains_key(*check)) {
            let from = self.s.verdicts.get(check).map_or(Status::Unknown, |(status, _)| *status);
            if from != Status::Unknown {
                let reason = "what it looked at has left the inventory".into();
                self.emit(Event::VerdictChanged { check: check.clone(), from, to: Status::Unknown, reason })?;
            }
        }
        self.verdicts_changed(None)?;
        self.forget_verdicts()?;
        self.compare()
    }

    /// Compares what files, runs and providers say of nodes, and tells people once of each contradiction.
    pub(crate) fn compare(&mut self) -> Result<(), Illegal> {
        let Some(set) = self.set() else { return Ok(()) };
        let newest =
            |group: &str| self.s.discoveries.get(group).and_then(|discovery| discovery.listed.as_ref());
        let found = set.disagreements(&self.s.roster, newest, self.s.now);
        let over: Vec<_> =
            self.s.contradicted.keys().filter(|key| !found.contains_key(*key)).cloned().collect();
        for (group, node) in over {
            self.emit(Event::Agreed { group, node })?;
        }
        for ((group, node), why) in found {
            let why: Arc<str> = why.into();
            let known = self.s.contradicted.get(&(group.clone(), node.clone()));
            if known == Some(&why) {
                continue;
            }
            let first = known.is_none();
            let text =
                format!("node {node} of {group}: {why}. Nothing is done about it: put right what is wrong");
            self.emit(Event::Contradicted { group: group.clone(), node: node.clone(), why })?;
            if first {
                self.tell_system(&format!("inventory/{group}/{node}"), &text)?;
            }
        }
        Ok(())
    }
}

/// What a run, or a playbook within it, acts on.
fn about(run: &Run) -> impl Iterator<Item = &Target> {
    run.target.iter().chain(run.subs.values().filter_map(|sub| sub.target.as_ref()))
}

/// An object of the inventory by its name, or the name itself.
fn name_of(value: &Value) -> Option<Arc<str>> {
    value.as_str().or_else(|| value.get("name")?.as_str()).map(Arc::from)
}

/// A node of the files, as a command described it.
fn described(name: &Arc<str>, value: &Value) -> Node {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().into();
    Node { name: name.clone(), id: text("id"), address: text("address"), labels: BTreeMap::new() }
}

impl Stage {
    /// The attempt that it is about, whatever is known of that.
    fn attempt(&self) -> Option<&crate::run::Attempt> {
        match self {
            Self::Dispatched(attempt)
            | Self::Revoking(attempt, _)
            | Self::Running(attempt, _)
            | Self::Again(attempt, _)
            | Self::Looking(attempt, ..)
            | Self::Asking(attempt) => Some(attempt),
            _ => None,
        }
    }
}

impl State {
    /// Why nothing destructive is done to a node: files, runs and provider don't say the same of it.
    pub(crate) fn contradiction(&self, on: &Target) -> Option<String> {
        let Target::Node { group, name } = on else { return None };
        let why = self.contradicted.get(&(group.clone(), name.clone()))?;
        Some(format!("which machine {name} is, is not sure: {why}"))
    }

    /// Folds what happened to nodes.
    pub(crate) fn apply_node(&mut self, event: &Event) {
        let now = self.now;
        match event {
            Event::NodeAdded { group, node, by } => {
                let member = Member { node: node.clone(), by: by.clone(), since: now };
                Arc::make_mut(&mut self.roster).add(group, member);
                self.other_list();
            }
            Event::NodeRemoved { group, node, by } => {
                Arc::make_mut(&mut self.roster).remove(group, node, by, now);
                self.other_list();
            }
            Event::NodeForgotten { group, node } => Arc::make_mut(&mut self.roster).forget(group, node),
            Event::Contradicted { group, node, why } => {
                self.contradicted.insert((group.clone(), node.clone()), why.clone());
            }
            Event::Agreed { group, node } => drop(self.contradicted.remove(&(group.clone(), node.clone()))),
            _ => {}
        }
    }

    /// There is another list of checks; what is known of those that stay is as true as before. Probes say all again
    /// when they have it.
    fn other_list(&mut self) {
        if let Some((_, version)) = &mut self.set {
            *version = self.seq;
        }
        self.changed(&Read::Domain);
    }
}

//! What each place offers its expressions and templates (language.md, sections 1 and 2).

use std::{collections::BTreeSet, sync::Arc};

use regreen_schemas::event::Target;

use super::{
    judge::{record, unread},
    names::Pattern,
};
use crate::{
    cel::{Fact, Gives, Scope, Seen},
    model::{On, Playbook, TargetKind, Trigger},
    names,
    read::Places,
    set::Set,
    value::{Type, Value},
};

/// The roots that a start may bring, each with the word of the trigger that brings it.
const BROUGHT: [(&str, &str); 3] = [("alert", "alert"), ("verdict", "verdict"), ("event", "webhook")];

/// The word of a trigger's kind.
pub(super) fn word(on: &On) -> &'static str {
    match on {
        On::Alert { .. } => "alert",
        On::Verdict { .. } => "verdict",
        On::Schedule(_) => "schedule",
        On::Manual { .. } => "manual",
        On::Run { .. } => "run",
        On::Webhook { .. } => "webhook",
    }
}

/// Whether a trigger's event can be the one that starts a run.
pub(super) fn begins(playbook: &Playbook, trigger: &Trigger) -> bool {
    playbook.correlate.as_ref().is_none_or(|correlate| !correlate.absent.contains(&trigger.id))
}

/// Labels that a trigger's alert is sure to have.
pub(super) fn ensured(trigger: &Trigger) -> BTreeSet<String> {
    match &trigger.on {
        On::Alert { matchers, .. } => {
            matchers.iter().filter(|matcher| matcher.ensures()).map(|matcher| matcher.label.clone()).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn vars(playbook: &Playbook) -> (String, Type) {
    ("vars".into(), record(playbook.vars.iter().map(|(name, value)| (name.clone(), of_value(value)))))
}

/// The type of a constant.
pub(super) fn of_value(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Str(_) => Type::Str,
        Value::Span(_) => Type::Span,
        Value::Time(_) => Type::Time,
        Value::List(items) => Type::List(Box::new(items.first().map_or(Type::Str, of_value))),
        Value::Map(entries) => record(entries.iter().map(|(name, value)| (name.clone(), of_value(value)))),
    }
}

/// What a trigger's verdict tells: of a node's check the node and its group, of a group's check the group.
fn verdict(trigger: &Trigger, set: &Set) -> BTreeSet<&'static str> {
    let mut known: BTreeSet<&'static str> = names::fields("verdict").iter().map(|field| field.name).collect();
    let On::Verdict { check, .. } = &trigger.on else { return known };
    let sides: BTreeSet<&Arc<str>> = set.inventory.services.values().flatten().collect();
    for check in Pattern::of_trigger(check).matching(set) {
        let member = check.name.as_str().rsplit_once('/').map_or("", |(_, member)| member);
        let group = match (set.inventory.node(member), set.inventory.group(member)) {
            (Some(Target::Node { group, .. }), _) => Some(group),
            (_, Some(Target::Group { name })) => {
                known.remove("node");
                Some(name)
            }
            _ => {
                known.remove("node");
                known.remove("group");
                None
            }
        };
        if !group.is_some_and(|group| sides.contains(&group)) {
            known.remove("service");
        }
    }
    known
}

fn verdict_type(known: &BTreeSet<&'static str>) -> Type {
    let fields = names::fields("verdict").iter().filter(|field| known.contains(field.name));
    record(fields.map(|field| (field.name.into(), field.field.kind())))
}

/// What a trigger's `target` sees; with what was posted, its `inputs`.
pub(super) fn trigger(playbook: &Playbook, trigger: &Trigger, set: &Set, inputs: bool) -> Scope {
    let mut roots = vec![vars(playbook)];
    match &trigger.on {
        On::Alert { .. } => roots.push(("alert".into(), Type::Object("alert"))),
        On::Verdict { .. } => roots.push(("verdict".into(), verdict_type(&verdict(trigger, set)))),
        On::Webhook { .. } => {
            let kind = if inputs { "posted event" } else { "event" };
            roots.push(("event".into(), Type::Object(kind)));
        }
        On::Schedule(_) | On::Manual { .. } | On::Run { .. } => {}
    }
    Scope { roots, facts: ensured(trigger).into_iter().map(Fact::Label).collect(), ..Scope::default() }
}

/// What `when` and `guard` see.
pub(super) fn start(playbook: &Playbook, places: &Places, set: &Set) -> Scope {
    let inputs = playbook.inputs.iter().map(|(name, input)| (name.clone(), input.kind.clone()));
    let mut scope = Scope {
        roots: vec![
            ("run".to_owned(), Type::Object("run")),
            ("inputs".to_owned(), record(inputs)),
            vars(playbook),
            ("now".to_owned(), Type::Time),
        ],
        ..Scope::default()
    };
    match playbook.target {
        TargetKind::Node => scope.roots.push(("target".into(), Type::Object("node"))),
        TargetKind::Group => scope.roots.push(("target".into(), Type::Object("group"))),
        TargetKind::Service => scope.roots.push(("target".into(), Type::Object("service"))),
        TargetKind::None => {}
    }
    brought(playbook, places, set, &mut scope);
    scope
}

/// Alert, verdict and event are there when every trigger brings them; labels, when every alert has them.
fn brought(playbook: &Playbook, places: &Places, set: &Set, scope: &mut Scope) {
    let written = super::judge::items(places.document.get("triggers")).len();
    let begin = || playbook.triggers.iter().filter(|trigger| begins(playbook, trigger));
    for (root, kind) in BROUGHT {
        let other = playbook
            .triggers
            .iter()
            .position(|trigger| begins(playbook, trigger) && word(&trigger.on) != kind);
        match other {
            // What can't be read has its own finding.
            _ if written > playbook.triggers.len() => scope.roots.push((root.into(), Type::Object(root))),
            None if written > 0 && root == "verdict" => {
                let known = begin().map(|trigger| verdict(trigger, set)).reduce(|all, more| &all & &more);
                scope.roots.push((root.into(), verdict_type(&known.unwrap_or_default())));
            }
            None if written > 0 => scope.roots.push((root.into(), Type::Object(root))),
            None => scope.absent.push((root, "no trigger: only `run` starts it".to_owned())),
            Some(at) => {
                let why = format!("trigger {}: `{}`", at + 1, word(&playbook.triggers[at].on));
                scope.absent.push((root, why));
            }
        }
    }
    let ensured = begin().map(ensured).reduce(|all, more| &all & &more);
    scope.facts.extend(ensured.unwrap_or_default().into_iter().map(Fact::Label));
}

/// Steps become visible.
pub(super) fn with_steps(scope: &mut Scope, playbook: &Playbook, places: &Places) {
    scope.roots.push(("steps".into(), Type::Object("steps")));
    let unread = unread(playbook, places);
    scope.steps.extend(unread.into_iter().map(|id| Seen { id, gives: Gives::Unclear, sure: true }));
}

/// From here on it is not known how these steps ended.
pub(super) fn forget(steps: &mut [Seen], from: usize) {
    steps.iter_mut().skip(from).for_each(|step| step.sure = false);
}

/// What a step's own name stands for.
pub(super) fn seen(id: &Arc<str>, gives: Gives, sure: bool) -> Seen {
    Seen { id: id.clone(), gives, sure }
}

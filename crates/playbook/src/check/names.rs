//! Names that must exist: checks, playbooks, receivers, approvers, what the inventory holds (RG205). Where a name is
//! put together at run time, its beginning must be that of something.

use std::{
    collections::BTreeSet,
    ops::{Bound, Range},
    sync::Arc,
};

use regreen_schemas::{
    CheckName,
    check::Status,
    view::{self, Check, SearchMeasure},
};

use super::judge::Judge;
use crate::{
    cel::{Binary, Expr, Kind, Tree},
    diagnostic::{Place, nearest},
    model::{On, Playbook, StepKind, TargetKind},
    read::{Places, within},
    set::Set,
    template::{Part, Template},
    tree::Node,
    value::Value,
};

/// The name of a check, as far as the text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// All of it.
    Exact(String),
    /// Its beginning.
    Prefix(String),
}

impl Pattern {
    /// The checks that it may name.
    pub fn matching<'s>(&'s self, set: &'s Set) -> impl Iterator<Item = &'s Check> {
        let text = self.text();
        let exact = matches!(self, Self::Exact(_));
        set.checks
            .range::<str, _>((Bound::Included(text), Bound::Unbounded))
            .take_while(
                move |(name, _)| {
                    if exact { name.as_str() == text } else { name.as_str().starts_with(text) }
                },
            )
            .map(|(_, check)| check)
    }

    fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text,
        }
    }

    /// As `verdict:` of a trigger is written: `name/*` for all members.
    pub fn of_trigger(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => Self::Prefix(prefix.to_owned()),
            _ => Self::Exact(text.to_owned()),
        }
    }

    pub fn of_template(template: &Template) -> Self {
        match template.parts.as_slice() {
            [] => Self::Exact(String::new()),
            [Part::Text(text)] => Self::Exact(text.clone()),
            [Part::Text(text), ..] => Self::Prefix(text.clone()),
            _ => Self::Prefix(String::new()),
        }
    }

    fn of_tree(tree: &Tree) -> Self {
        match &tree.kind {
            Kind::Literal(Value::Str(text)) => Self::Exact(text.to_string()),
            Kind::Binary(Binary::Add, left, _) => Self::Prefix(Self::of_tree(left).text().to_owned()),
            _ => Self::Prefix(String::new()),
        }
    }
}

/// A verdict that an expression asks for.
pub(super) struct Asked<'t> {
    pub function: &'t str,
    pub pattern: Pattern,
    /// Of the check's name.
    pub range: Range<usize>,
}

/// Every verdict that an expression asks for.
pub(super) fn asked(tree: &Tree) -> Vec<Asked<'_>> {
    let mut found = Vec::new();
    collect(tree, &mut found);
    found
}

fn collect<'t>(tree: &'t Tree, found: &mut Vec<Asked<'t>>) {
    if let Kind::Call(name, arguments) = &tree.kind
        && let ("up" | "down" | "degraded" | "known", [check]) = (name.as_str(), arguments.as_slice())
    {
        let pattern = Pattern::of_tree(check);
        found.push(Asked { function: name, pattern, range: check.range.clone() });
    }
    tree.inner().into_iter().for_each(|inner| collect(inner, found));
}

/// Every group that an expression names.
pub(super) fn groups(tree: &Tree) -> Vec<(&str, Range<usize>)> {
    let mut found: Vec<_> = tree.inner().into_iter().flat_map(groups).collect();
    if let Kind::Call(name, arguments) = &tree.kind
        && let ("group", [Tree { kind: Kind::Literal(Value::Str(group)), range }]) =
            (name.as_str(), arguments.as_slice())
    {
        found.push((group, range.clone()));
    }
    found
}

/// Every condition that decides what a playbook does, with its place.
pub(super) fn conditions<'p>(playbook: &'p Playbook, places: &'p Places) -> Vec<(&'p Expr, &'p Node)> {
    let mut found: Vec<(&Expr, &Node)> = Vec::new();
    found.extend(playbook.when.as_ref().zip(places.document.get("when")));
    for step in playbook.all_steps() {
        let Some(node) = places.steps.get(&step.id) else { continue };
        found.extend(step.condition.as_ref().zip(node.get("if")));
        match &step.kind {
            StepKind::ForEach(each) => found.extend(node.get("for_each").map(|node| (&each.list, node))),
            StepKind::Choose(branches) => {
                let nodes = super::judge::items(node.get("choose"));
                let conditions = branches.iter().zip(nodes);
                found.extend(
                    conditions
                        .filter_map(|(branch, node)| Some((branch.condition.as_ref()?, node.get("if")?))),
                );
            }
            _ => {}
        }
    }
    found
}

/// A check of a single vantage on whose verdict the playbook acts, and where it reads it.
pub(super) fn narrow(playbook: &Playbook, places: &Places, set: &Set) -> Option<(Arc<str>, Place)> {
    let single = |pattern: &Pattern| {
        let mut checks = pattern.matching(set);
        checks.find(|check| is_narrow(check, set, 0)).map(|check| Arc::from(check.name.as_str()))
    };
    let at = |range: Range<usize>| Place { file: places.file, range };
    let triggers = playbook.triggers.iter().zip(&places.triggers);
    let by_trigger = triggers.filter_map(|(trigger, node)| match &trigger.on {
        On::Verdict { check, .. } => Some((
            single(&Pattern::of_trigger(check))?,
            at(node.get("verdict").and_then(|verdict| verdict.get("check")).unwrap_or(node).range.clone()),
        )),
        _ => None,
    });
    let conditions = conditions(playbook, places);
    let by_condition = conditions.into_iter().flat_map(|(expr, node)| {
        let asked = asked(&expr.tree).into_iter();
        asked.map(move |asked| (asked.pattern, within(node, &asked.range)))
    });
    let by_condition = by_condition.filter_map(|(pattern, range)| Some((single(&pattern)?, at(range))));
    by_trigger.chain(by_condition).next()
}

/// Most joins between a check and a look.
const JOINS_MAX: usize = 16;

fn is_narrow(check: &Check, set: &Set, depth: usize) -> bool {
    match &check.kind {
        view::Kind::Of { checks, .. } => {
            depth < JOINS_MAX
                && checks
                    .iter()
                    .filter_map(|member| set.checks.get(member))
                    .any(|member| is_narrow(member, set, depth + 1))
        }
        _ => check.vantages.len() == 1,
    }
}

/// Whether a check can ever have this status.
pub(super) fn can_be(check: &Check, status: Status, set: &Set, depth: usize) -> bool {
    match (&check.kind, status) {
        (view::Kind::Of { join: view::Join::All | view::Join::Any, checks }, Status::Degraded) => {
            let mut members = checks.iter().filter_map(|member| set.checks.get(member));
            depth >= JOINS_MAX || members.any(|member| can_be(member, status, set, depth + 1))
        }
        (view::Kind::Silences { .. }, Status::Down) => false,
        (
            view::Kind::Http(_)
            | view::Kind::Tcp { .. }
            | view::Kind::Tls { .. }
            | view::Kind::Dns { .. }
            | view::Kind::Prometheus { .. },
            Status::Degraded,
        ) => check.degraded.is_some(),
        (view::Kind::Elasticsearch(search), Status::Degraded) => {
            let judged = matches!(
                search.measure,
                SearchMeasure::Health | SearchMeasure::Node | SearchMeasure::QuorumMargin
            );
            judged || check.degraded.is_some()
        }
        _ => true,
    }
}

impl<'a> Judge<'a> {
    /// A check's name, or its beginning, must be there.
    pub(super) fn known_check(&mut self, pattern: &Pattern, at: Place) -> bool {
        if pattern.matching(self.set).next().is_some() {
            return true;
        }
        let set = self.set;
        let (message, hint) = match pattern {
            Pattern::Exact(name) => {
                let near = nearest(name, set.checks.keys().map(CheckName::as_str));
                (
                    format!("unknown check `{name}`"),
                    did_you_mean(near, || "declare it under `checks:`".into()),
                )
            }
            Pattern::Prefix(prefix) if prefix.is_empty() => return true,
            Pattern::Prefix(prefix) => {
                let first = |name: &'a CheckName| name.as_str().split_inclusive('/').next();
                let known: BTreeSet<&str> = set.checks.keys().filter_map(first).collect();
                let known = known.into_iter().filter(|first| first.ends_with('/'));
                let near = nearest(prefix, known);
                let message = format!("no check begins with `{prefix}`");
                (message, did_you_mean(near, || "declare it under `checks:`, with `each`".into()))
            }
        };
        self.findings.error(205, at, message, "not declared", hint);
        false
    }

    pub(super) fn known_approvers(&mut self, name: &str, node: &Node) {
        if self.set.approvers.contains_key(name) {
            return;
        }
        let near = nearest(name, self.set.approvers.keys().map(AsRef::as_ref));
        let hint = did_you_mean(near, || format!("under `approvers:` of `policy:` add `{name}: [operator]`"));
        self.error(205, node, format!("unknown approvers `{name}`"), "nobody could say yes", hint);
    }

    pub(super) fn known_receiver(&mut self, name: &str, node: &Node) {
        if !self.set.receivers.contains_key(name) {
            let hint = unknown_receiver(name, self.set);
            self.error(205, node, format!("unknown receiver `{name}`"), "not declared", hint);
        }
    }

    pub(super) fn known_playbook(&mut self, name: &str, node: &Node) -> Option<&'a Playbook> {
        let found = self.book.get(name);
        if found.is_none() {
            let near = nearest(name, self.book.names());
            let hint = did_you_mean(near, || "no file of the set is this playbook".into());
            self.error(205, node, format!("unknown playbook `{name}`"), "not in the set", hint);
        }
        found
    }

    /// The name of something in the inventory.
    pub(super) fn known_object(&mut self, kind: TargetKind, name: &str, at: Place) {
        let inventory = &self.set.inventory;
        let found = match kind {
            TargetKind::Node => inventory.node(name),
            TargetKind::Group => inventory.group(name),
            TargetKind::Service => inventory.service(name),
            TargetKind::None => return,
        };
        if found.is_some() {
            return;
        }
        let near = match kind {
            TargetKind::Node => {
                let nodes = inventory.groups.values().flat_map(|group| group.nodes.keys());
                nearest(name, nodes.map(AsRef::as_ref))
            }
            TargetKind::Group => nearest(name, inventory.groups.keys().map(AsRef::as_ref)),
            _ => nearest(name, inventory.services.keys().map(AsRef::as_ref)),
        };
        let hint = did_you_mean(near, || "add it, or fix the name".into());
        let message = format!("unknown {} `{name}`", kind.word());
        self.findings.error(205, at, message, "not in the inventory", hint);
    }
}

/// What to do: a near name, or something else.
pub(super) fn did_you_mean(near: Option<&str>, otherwise: impl FnOnce() -> String) -> String {
    near.map_or_else(otherwise, |near| format!("did you mean `{near}`?"))
}

pub(super) fn unknown_receiver(name: &str, set: &Set) -> String {
    let near = nearest(name, set.receivers.keys().map(AsRef::as_ref));
    did_you_mean(near, || "declare it under `receivers:` of `policy:`".into())
}

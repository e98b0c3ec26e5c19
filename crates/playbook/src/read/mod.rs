//! Documents to drafts: one function a kind. What needs other files is left to `check`.

mod action;
mod actions;
mod argument;
pub(crate) mod cases;
mod checks;
mod correlate;
mod expect;
mod failback;
mod guard;
mod inputs;
mod inventory;
mod kind;
mod matchers;
mod object;
mod playbook;
mod policy;
mod schedule;
mod shelf;
mod step;
mod trigger;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(crate) use checks::{CheckDraft, Each, SearchWord, What};
pub(crate) use kind::from_json;
pub(crate) use playbook::Places;
pub(crate) use shelf::{Form, Shelf};

use regreen_schemas::Span;

use crate::{
    action::Action,
    cel::{self, Expr},
    diagnostic::{Findings, Place, nearest},
    inventory as model, keys,
    model::Playbook,
    schedule::Schedule,
    set::{Ceilings, Receiver, Watchdog, kind_of},
    template::Template,
    tree::{self, Kind, Node},
    walk::Walk,
};

/// Everything read so far, with the places that cross-checks draw.
#[derive(Default)]
pub(crate) struct Draft {
    pub playbooks: Vec<(Playbook, Places)>,
    pub actions: BTreeMap<Arc<str>, Arc<Action>>,
    /// Where foreign actions are declared.
    pub declared: BTreeMap<Arc<str>, Place>,
    pub groups: BTreeMap<Arc<str>, (model::Draft, Place)>,
    /// Windows of maintenance, with the group of each.
    pub maintenance: Vec<(Arc<str>, Place, Schedule, Span)>,
    pub services: BTreeMap<Arc<str>, Vec<(Arc<str>, Place)>>,
    pub checks: BTreeMap<String, CheckDraft>,
    pub receivers: BTreeMap<Arc<str>, Receiver>,
    pub system: Vec<(Arc<str>, Place)>,
    pub watchdog: Option<Watchdog>,
    pub approvers: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// `default:` of the approvers.
    pub default_approvers: Option<(Arc<str>, Place)>,
    pub ceilings: Option<Ceilings>,
}

/// Reads all files, and what others use first: the order of files means nothing.
pub(crate) fn everything(findings: &mut Findings) -> Draft {
    let (mut shelf, mut documents) = (Shelf::new(), Vec::new());
    for file in 0..findings.sources.len() {
        match Form::of(&findings.sources[file]) {
            Form::Yaml => {
                let parsed = tree::parse(file, findings);
                documents.extend(parsed.into_iter().map(|document| (file, document)));
            }
            Form::Template => shelf.file(file, findings),
            Form::Tests => {}
        }
    }
    all(documents, shelf, findings)
}

/// Reads documents, beside what is on the shelf.
pub(crate) fn all(documents: Vec<(usize, Node)>, mut shelf: Shelf, findings: &mut Findings) -> Draft {
    let mut draft = Draft::default();
    let mut kinds = Vec::new();
    for (file, document) in documents {
        let mut walk = Walk { file, findings: &mut *findings, shelf: &shelf };
        let kind = kind_of(&mut walk, &document);
        kinds.extend(kind.map(|kind| (file, kind, document)));
    }
    let declaring = kinds.iter().filter(|(_, kind, _)| *kind == "actions");
    actions::actions(declaring.map(|(file, _, document)| (*file, document)), &mut shelf, findings);
    for (file, kind, read) in kinds {
        document(&mut Walk { file, findings: &mut *findings, shelf: &shelf }, kind, read, &mut draft);
    }
    maintenance(&mut draft, findings);
    (draft.actions, draft.declared) = (shelf.actions, shelf.declared);
    draft
}

fn document(walk: &mut Walk<'_>, kind: &str, document: Node, draft: &mut Draft) {
    match kind {
        "playbook" => playbook::playbook(walk, document, draft),
        "inventory" => inventory::inventory(walk, &document, draft),
        "policy" => policy::policy(walk, &document, draft),
        "checks" => {
            let Some(fields) = walk.fields(&document, "checks", keys::CHECKS) else { return };
            for (name, value) in
                fields.get("checks").map(|node| walk.named(node, "checks")).unwrap_or_default()
            {
                checks::check(walk, name, value, draft);
            }
        }
        "tests" => {
            let hint = "a file whose name ends in `.test.yaml`";
            walk.missing(&document, "tests stand in a file of their own", "here nothing runs them", hint);
        }
        // `actions` were read before.
        _ => {}
    }
}

/// Windows of maintenance go to their groups, which may stand in another file.
fn maintenance(draft: &mut Draft, findings: &mut Findings) {
    for (name, place, schedule, lasts) in std::mem::take(&mut draft.maintenance) {
        if let Some((group, _)) = draft.groups.get_mut(&name) {
            group.maintenance.push((schedule, lasts));
            continue;
        }
        let near = nearest(&name, draft.groups.keys().map(AsRef::as_ref));
        let hint = near.map_or_else(|| "add it".to_owned(), |near| format!("did you mean `{near}`?"));
        findings.error(205, place, format!("unknown group `{name}`"), "not in the inventory", hint);
    }
}

/// The items of a list that could be read, each with its place.
fn each<T>(
    walk: &mut Walk<'_>,
    node: Option<&Node>,
    key: &str,
    read: fn(&mut Walk<'_>, &Node) -> Option<T>,
) -> (Vec<T>, Vec<Node>) {
    let items = node.map(|node| walk.list(node, key)).unwrap_or_default();
    items.iter().filter_map(|node| Some((read(walk, node)?, node.clone()))).unzip()
}

/// Reads CEL. Braces in it are the commonest slip.
fn expression(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Expr> {
    let Some(text) = node.text() else {
        walk.wrong(node, what, "an expression", "quote it");
        return None;
    };
    if text.contains("{{") {
        walk.error(301, node, "`{{` in CEL", format!("`{what}` is CEL"), "drop the braces");
        return None;
    }
    match cel::parse(text) {
        Ok(expr) => Some(expr),
        Err(error) => {
            let at = walk.place(within(node, &error.range));
            walk.findings.error(300, at, format!("no expression: {}", error.message), "here", "");
            None
        }
    }
}

/// Place of a part of a scalar. Exact for what is written on one line without escapes; else the whole scalar.
pub(crate) fn within(node: &Node, part: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let Kind::Scalar { text, plain } = &node.kind else { return node.range.clone() };
    let quote = usize::from(!plain);
    if node.range.len() == text.len() + 2 * quote {
        let start = node.range.start + quote;
        let end = (start + part.end.max(part.start + 1)).min(node.range.end.max(start + 1));
        (start + part.start).min(end)..end
    } else {
        node.range.clone()
    }
}

/// `name: template`, for inputs.
fn filled(walk: &mut Walk<'_>, node: &Node, what: &str) -> Vec<(Arc<str>, Template)> {
    let entries = walk.identified(node, what);
    entries.into_iter().filter_map(|(name, node)| Some((name.into(), template(walk, node, what)?))).collect()
}

fn template(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Template> {
    let Some(text) = node.text() else {
        walk.error(203, node, format!("`{what}` wants text"), format!("found {}", node.word()), "");
        return None;
    };
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(error) => {
            let at = walk.place(within(node, &error.range));
            walk.findings.error(
                303,
                at,
                error.message,
                "here",
                "compute in `when` or `if`; a template only fills in",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;

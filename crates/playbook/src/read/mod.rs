//! Documents to drafts: one function a kind. What needs other files is left to `check`.

mod argument;
mod checks;
mod guard;
mod inventory;
mod playbook;
mod policy;
mod step;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(crate) use checks::{CheckDraft, Each, SearchWord, What};
pub(crate) use playbook::{Places, parse_input};

use crate::{
    cel::{self, Expr},
    diagnostic::Place,
    inventory as model, keys,
    model::Playbook,
    set::{Receiver, Watchdog, kind_of},
    template::Template,
    tree::{Kind, Node},
    walk::Walk,
};

/// Everything read so far, with the places that cross-checks draw.
#[derive(Default)]
pub(crate) struct Draft {
    pub playbooks: Vec<(Playbook, Places)>,
    pub groups: BTreeMap<Arc<str>, (model::Draft, Place)>,
    pub services: BTreeMap<Arc<str>, Vec<(Arc<str>, Place)>>,
    pub checks: BTreeMap<String, CheckDraft>,
    pub receivers: BTreeMap<Arc<str>, Receiver>,
    pub system: Vec<(Arc<str>, Place)>,
    pub watchdog: Option<Watchdog>,
    pub approvers: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// `default:` of the approvers.
    pub default_approvers: Option<(Arc<str>, Place)>,
}

pub(crate) fn document(walk: &mut Walk<'_>, document: &Node, draft: &mut Draft) {
    match kind_of(walk, document) {
        Some(("playbook", name)) => playbook::playbook(walk, document, name, draft),
        Some(("inventory", _)) => inventory::inventory(walk, document, draft),
        Some(("checks", checks)) => {
            walk.fields(document, "checks", keys::CHECKS);
            for (name, value) in walk.named(checks, "checks") {
                checks::check(walk, name, value, draft);
            }
        }
        Some(("policy", _)) => policy::policy(walk, document, draft),
        _ => {}
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
    let text = node.text()?;
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

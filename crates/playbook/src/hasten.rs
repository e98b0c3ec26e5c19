//! A lens on time: the same playbooks, checks and policy with every duration divided, so that a drill of minutes can be
//! watched in seconds. Only scalars whose key in [`crate::keys`] is a duration are rewritten, and a duration that holds
//! by default is written out, divided, and so is the timeout of an action that this build knows. Expressions, templates, numbers and what is handed to actions stay as they are.

use std::{collections::BTreeMap, num::NonZeroU32};

use regreen_schemas::{Span, time::parse_span};

use crate::{
    action,
    diagnostic::{Findings, Source},
    keys::{DOCUMENTS, Key, STEP_TABLE, Shape, Table},
    tree::{self, Kind, Node},
};

/// Documents whose durations are divided. Calendars of an inventory, timeouts that an `actions:` file declares and the
/// virtual clock of tests are other times.
const HASTENED: [&str; 3] = ["playbook", "checks", "policy"];

/// What a duration is kept at, at least: shorter, and it would measure the machine and not the playbook. Never longer
/// than it was.
const LEAST: Span = Span(50);
/// Keys with a least of their own, by table.
const LEASTS: &[(&str, &str, Span)] = &[
    // A probe asks a node and its peers in one look.
    ("check", "interval", Span(200)),
    // A call is made by a real process, at its own pace.
    ("check", "timeout", Span(1000)),
    ("step", "timeout", Span::seconds(10)),
    // A look counts again once a new tick has come, and ticks come each second where nothing happens.
    ("check", "fresh", Span::seconds(3)),
    // Two looks and a tick must fit into it.
    ("verify", "within", Span::seconds(2)),
    // What is under way at that moment is real as well.
    ("playbook", "deadline", Span::minutes(2)),
];
/// Times that are remembered and not waited for: how long ago something was done.
const REMEMBERED: &[(&str, &str)] =
    &[("guard", "cooldown"), ("budget", "per"), ("circuit_breaker", "within"), ("circuit_breaker", "rest")];

/// By how much durations are divided.
#[derive(Clone, Copy, Debug)]
pub struct Lens {
    /// Waits, intervals and deadlines.
    pub waits: NonZeroU32,
    /// Cooldowns, and the windows of budgets and breakers: between two acts of a drill hours are meant to pass.
    pub memory: NonZeroU32,
}

impl Lens {
    /// What a duration at this key becomes. Nothing at all stays nothing.
    fn divide(self, span: Span, table: &str, key: &str) -> Span {
        let remembered = REMEMBERED.contains(&(table, key));
        let by = if remembered { self.memory } else { self.waits };
        let own = LEASTS.iter().find(|(of, name, _)| (*of, *name) == (table, key));
        let least = own.map_or(LEAST, |(.., least)| *least).min(span);
        Span(span.0 / i64::from(by.get())).max(least)
    }
}

/// The text, hastened. What is no document of [`HASTENED`] comes back as it is.
///
/// # Errors
/// What the parser found, when the text is no YAML of ours.
pub fn hasten(text: &str, lens: Lens) -> Result<String, Findings> {
    let sources = vec![Source { path: "text".into(), text: text.to_owned() }];
    let mut findings = Findings { sources, list: Vec::new() };
    let documents = tree::parse(0, &mut findings);
    if findings.has_errors() {
        return Err(findings);
    }
    let mut edits = Edits { text, lens, list: BTreeMap::new() };
    for document in &documents {
        let kind = DOCUMENTS.iter().find(|table| document.get(table.name).is_some());
        if let Some(table) = kind.filter(|table| HASTENED.contains(&table.name)) {
            edits.map(document, table);
        }
    }
    Ok(edits.apply())
}

/// What is written anew, by place.
struct Edits<'t> {
    text: &'t str,
    lens: Lens,
    /// From where: up to where, and what stands there instead.
    list: BTreeMap<usize, (usize, String)>,
}

impl Edits<'_> {
    fn map(&mut self, node: &Node, table: &Table) {
        let Kind::Map(entries) = &node.kind else { return };
        for (name, value) in entries {
            if let Some(key) = table.keys.iter().find(|key| name.text() == Some(key.name)) {
                self.value(value, &key.shape, table, key);
            }
        }
        let missing =
            table.keys.iter().filter(|key| node.get(key.name).is_none() && can_stand(node, table, key));
        let written: Vec<String> = missing.filter_map(|key| self.default(node, table, key)).collect();
        self.insert(node, entries, &written);
    }

    /// Each shape takes what is of its form, and leaves the rest.
    fn value(&mut self, node: &Node, shape: &Shape, table: &Table, key: &Key) {
        match (shape, &node.kind) {
            (Shape::Duration, Kind::Scalar { text, .. }) => {
                if let Some(span) = parse_span(text) {
                    let divided = self.lens.divide(span, table.name, key.name);
                    self.list.insert(node.range.start, (node.range.end, divided.to_string()));
                }
            }
            (Shape::List(item), Kind::List(items)) => {
                items.iter().for_each(|node| self.value(node, item, table, key));
            }
            (Shape::Steps, Kind::List(items)) => items.iter().for_each(|node| self.map(node, &STEP_TABLE)),
            (Shape::Named(shape), Kind::Map(entries)) => {
                entries.iter().for_each(|(_, node)| self.value(node, shape, table, key));
            }
            (Shape::Keys(inner), Kind::Map(_)) => self.map(node, inner),
            (Shape::Either(shapes), _) => {
                shapes.iter().for_each(|shape| self.value(node, shape, table, key));
            }
            _ => {}
        }
    }

    /// `key: value` of a duration that holds where nothing is written.
    fn default(&self, node: &Node, table: &Table, key: &Key) -> Option<String> {
        let Shape::Duration = key.shape else { return None };
        let written = key.default.and_then(parse_span);
        let span = written.or_else(|| own_timeout(node, table, key)).filter(|span| *span > Span::ZERO)?;
        Some(format!("{}: {}", key.name, self.lens.divide(span, table.name, key.name)))
    }

    /// Before the first key of the map, in its own style.
    fn insert(&mut self, node: &Node, entries: &[(Node, Node)], written: &[String]) {
        if written.is_empty() {
            return;
        }
        let flow = self.text[node.range.start..].starts_with('{');
        let Some((first, _)) = entries.first() else {
            // Only `{}` is a map without keys.
            let inside = node.range.start + 1;
            self.list.insert(inside, (inside, written.join(", ")));
            return;
        };
        let at = first.range.start;
        let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let indent = " ".repeat(self.text[line..at].chars().count());
        let after = if flow { ", ".to_owned() } else { format!("\n{indent}") };
        let text: String = written.iter().flat_map(|line| [line.as_str(), after.as_str()]).collect();
        self.list.insert(at, (at, text));
    }

    fn apply(self) -> String {
        let mut out = String::with_capacity(self.text.len() * 2);
        let mut from = 0;
        for (start, (end, text)) in self.list {
            out.push_str(&self.text[from..start]);
            out.push_str(&text);
            from = end;
        }
        out.push_str(&self.text[from..]);
        out
    }
}

/// The timeout of the action that a step uses, where this build knows it.
fn own_timeout(node: &Node, table: &Table, key: &Key) -> Option<Span> {
    let used = node.get("use").filter(|_| (table.name, key.name) == ("step", "timeout"))?.text()?;
    action::known().into_iter().find(|action| &*action.name == used).map(|action| action.timeout)
}

/// Whether a key may stand beside those that are there.
fn can_stand(node: &Node, table: &Table, key: &Key) -> bool {
    let needed = table.needs.iter().filter(|(name, _)| *name == key.name);
    needed.into_iter().all(|(_, others)| others.iter().any(|other| node.get(other).is_some()))
}

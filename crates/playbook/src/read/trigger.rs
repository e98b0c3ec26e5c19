//! `triggers:`: what starts a playbook.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{PlaybookName, Span, run::RunResult};

use super::{filled, matchers::matchers, schedule::schedule};
use crate::{
    keys,
    model::{Is, On, Trigger},
    tree::Node,
    walk::{Fields, Walk},
};

/// Kinds of triggers, by their keys.
const KINDS: [&str; 6] = ["alert", "verdict", "schedule", "manual", "run", "webhook"];

/// Keys that only some kinds have, and why. A time, a person's word or an event is over at once.
const OWN: [(&str, &[&str]); 4] = [
    ("status", &["alert"]),
    ("for", &["alert", "verdict"]),
    ("target", &["alert", "verdict", "schedule", "run", "webhook"]),
    ("inputs", &["alert", "verdict", "schedule", "run", "webhook"]),
];

pub(super) fn triggers(walk: &mut Walk<'_>, node: &Node) -> (Vec<Trigger>, Vec<Node>) {
    let mut places: BTreeMap<Arc<str>, std::ops::Range<usize>> = BTreeMap::new();
    let mut out = (Vec::new(), Vec::new());
    for (at, node) in walk.list(node, "triggers").iter().enumerate() {
        let Some(trigger) = trigger(walk, node, at + 1) else { continue };
        let place = node.get("id").unwrap_or(node).range.clone();
        if let Some(first) = places.insert(trigger.id.clone(), place.clone()) {
            let message = format!("trigger `{}` is there twice", trigger.id);
            let (again, first) = (walk.place(place), walk.place(first));
            walk.findings.error(102, again, message, "again", "rename one");
            walk.findings.also(first, "first here");
            continue;
        }
        out.0.push(trigger);
        out.1.push(node.clone());
    }
    out
}

fn trigger(walk: &mut Walk<'_>, node: &Node, place: usize) -> Option<Trigger> {
    let fields = walk.fields(node, "trigger", keys::TRIGGER)?;
    // `manual:` may stand there with nothing behind it.
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| node.get(kind).is_some()).collect();
    let kind = match kinds.as_slice() {
        [kind] => *kind,
        [] => {
            let hint = "`alert: [alertname=\"…\"]`, `verdict: {check, is}`, `schedule: {cron}`, `manual: {}`, \
                        `run: {playbook}` or `webhook: {path, secret}`";
            walk.missing(node, "the trigger has no kind", "this trigger", hint);
            return None;
        }
        [first, second, ..] => {
            let at = node.get(second).unwrap_or(node);
            let label = format!("`{first}` and `{second}`");
            walk.error(107, at, "two kinds in a trigger", label, "make two triggers");
            return None;
        }
    };
    walk.owned(node, &OWN, kind, "trigger");
    let id = match fields.get("id") {
        Some(node) => walk.name(node, "id")?.into(),
        None => place.to_string().into(),
    };
    let on = on(walk, kind, fields)?;
    let target = fields.get("target").and_then(|node| super::template(walk, node, "target"));
    let inputs = fields.get("inputs").map(|node| filled(walk, node, "inputs")).unwrap_or_default();
    let hold = fields.get("for").map_or(Some(Span::ZERO), |node| walk.duration(node, "for"))?;
    Some(Trigger { id, on, target, inputs, hold })
}

fn on(walk: &mut Walk<'_>, kind: &str, fields: Fields<'_>) -> Option<On> {
    match kind {
        "alert" => {
            let words = [("firing", false), ("resolved", true)];
            let status = fields.get("status");
            let resolved = status.map_or(Some(false), |node| walk.one_of(node, "status", &words))?;
            Some(On::Alert { matchers: matchers(walk, fields.get("alert")?), resolved })
        }
        "verdict" => {
            let fields = walk.fields(fields.get("verdict")?, "verdict", keys::VERDICT)?;
            let check = walk.plain(fields.get("check")?, "check")?.into();
            let is = walk.one_of(fields.get("is")?, "is", &Is::ALL.map(|is| (is.word(), is)))?;
            Some(On::Verdict { check, is })
        }
        "schedule" => {
            let fields = walk.fields(fields.get("schedule")?, "schedule", keys::SCHEDULE)?;
            let words = [("skip", false), ("once", true)];
            let missed = fields.get("missed");
            let once = missed.map_or(Some(false), |node| walk.one_of(node, "missed", &words))?;
            schedule(walk, fields, once).map(On::Schedule)
        }
        "manual" => {
            let Some(node) = fields.get("manual") else { return Some(On::Manual { by: None }) };
            let fields = walk.fields(node, "manual", keys::MANUAL)?;
            let by = match fields.get("by") {
                Some(node) => Some(walk.name(node, "by")?.into()),
                None => None,
            };
            Some(On::Manual { by })
        }
        "run" => {
            let fields = walk.fields(fields.get("run")?, "run", keys::ON_RUN)?;
            let words = RunResult::ALL.map(|result| (result.word(), result));
            let playbook = PlaybookName::from(walk.name(fields.get("playbook")?, "playbook")?);
            let result = match fields.get("result") {
                Some(node) => Some(walk.one_of(node, "result", &words)?),
                None => None,
            };
            Some(On::Run { playbook, result })
        }
        _ => {
            let fields = walk.fields(fields.get("webhook")?, "webhook", keys::WEBHOOK)?;
            let path = walk.name(fields.get("path")?, "path")?.into();
            Some(On::Webhook { path, secret: walk.name(fields.get("secret")?, "secret")?.into() })
        }
    }
}

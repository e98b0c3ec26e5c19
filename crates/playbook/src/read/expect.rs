//! The second half of a case: what attempts come to, and what must come of it all.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{Span, fact::Failure, run::RunResult};
use serde_json::Value;

use super::cases::{Known, called, json, span, unknown};
use crate::{
    cases::{Answer, Expect, Expected, ExpectedAction, ExpectedTold, Found, Gives, Word},
    diagnostic::nearest,
    keys,
    model::Playbook,
    tree::{Kind, Node},
    walk::Walk,
};

/// How long an attempt takes unless given.
const AFTER: Span = Span::seconds(1);
/// Instance of the approval before the first effect.
const GUARD: &str = "guard";
/// Reasons of `skipped`, `blocked` and `refused`.
const REASONS: [(&str, &[&str]); 3] = [
    (
        "skipped",
        &[
            "unmatched",
            "when_false",
            "when_unknown",
            "correlation",
            "maintenance",
            "resolved",
            "handled",
            "gone",
        ],
    ),
    (
        "blocked",
        &[
            "target",
            "lock",
            "cooldown",
            "budget",
            "min_healthy",
            "quorum",
            "breaker",
            "storm",
            "stopped",
            "suspect",
            "no_server",
            "full",
        ],
    ),
    ("refused", &["open", "manual", "approver", "inputs"]),
];

/// A step's path, as `replace.create`, `each[a1].soft` or `undo(stop)`; each of its names is there.
pub(super) fn step(walk: &mut Walk<'_>, node: &Node, known: &Known<'_>) -> Option<Arc<str>> {
    let path = walk.plain(node, "step")?;
    let (mut playbook, mut rest) = (owner(known, path), path);
    loop {
        let (head, tail) = match rest.split_once('.') {
            Some((head, tail)) => (head, Some(tail)),
            None => (rest, None),
        };
        let id = head.split_once('[').map_or(head, |(id, _)| id);
        let id = id.strip_prefix("undo(").and_then(|id| id.strip_suffix(')')).unwrap_or(id);
        let steps = playbook.all_steps();
        if id != GUARD && !steps.iter().any(|step| *step.id == *id) {
            let within = if playbook.name == known.playbook.name { "" } else { playbook.name.as_str() };
            let what = if within.is_empty() { "step".to_owned() } else { format!("step of {within}") };
            unknown(walk, node, &what, id, steps.iter().map(|step| &*step.id).chain([GUARD]));
            return None;
        }
        let Some(tail) = tail else { return Some(path.into()) };
        if !head.contains('[') {
            let Some(inner) = called(known.set, playbook, id) else {
                let message = format!("step `{id}` runs no playbook");
                let hint = "steps of `choose`, handlers and `parallel` stand alone; of `for_each` as `each[item].step`";
                walk.error(205, node, message, format!("nothing is called `{path}`"), hint);
                return None;
            };
            playbook = inner;
        }
        rest = tail;
    }
}

/// The playbook that a path begins in: the tested one, or one that starts by what it does.
fn owner<'s>(known: &Known<'s>, path: &str) -> &'s Playbook {
    let drilled = known.playbook.drill.as_ref().map(|drill| &drill.of);
    let back = known.playbook.failback.as_ref().map(|failback| &failback.run);
    let others = [drilled, back].into_iter().flatten().filter_map(|name| known.set.playbooks.get(name));
    let head = path.split(['.', '[']).next().unwrap_or(path);
    let has = |playbook: &&Playbook| playbook.all_steps().iter().any(|step| *step.id == *head);
    std::iter::once(known.playbook).chain(others).find(has).unwrap_or(known.playbook)
}

/// Answers by step.
pub(super) fn answers(
    walk: &mut Walk<'_>,
    node: &Node,
    known: &Known<'_>,
) -> BTreeMap<Arc<str>, Vec<Answer>> {
    let mut out = BTreeMap::new();
    for (name, value) in walk.named(node, "answers") {
        let path = step(walk, name, known);
        let list = walk.list(value, "answers");
        let list: Vec<Answer> = list.iter().filter_map(|node| answer(walk, node)).collect();
        out.extend(path.map(|path| (path, list)));
    }
    out
}

fn answer(walk: &mut Walk<'_>, node: &Node) -> Option<Answer> {
    let fields = walk.fields(node, "answer", keys::ANSWER)?;
    let after = fields.get("after").map_or(Some(AFTER), |node| walk.duration(node, "after"))?;
    let given: Vec<&str> =
        keys::ANSWER_KINDS.iter().copied().filter(|kind| node.get(kind).is_some()).collect();
    let result = |key: &str| node.get(key).map_or(Value::Null, json);
    let gives = match (given.as_slice(), node.get(given.first().copied().unwrap_or_default())) {
        (["ok"], _) => Gives::Ok(result("ok")),
        (["error"], Some(value)) => {
            let words = [("transient", Failure::Transient), ("permanent", Failure::Permanent)];
            Gives::Error(walk.one_of(value, "error", &words)?)
        }
        (["timeout"], Some(value)) => {
            walk.one_of(value, "timeout", &[("true", ())])?;
            Gives::Timeout
        }
        (["unknown"], Some(value)) => {
            let words = [("done", 0), ("not_done", 1), ("cannot_tell", 2)];
            Gives::Unknown(match walk.one_of(value, "unknown", &words)? {
                0 => Found::Done(result("result")),
                1 => Found::NotDone,
                _ => Found::CannotTell,
            })
        }
        ([], _) => {
            let hint =
                "one of `ok: result`, `error`, `timeout: true`, `unknown`; `ok: {}` where there is no result";
            walk.missing(node, "the answer says nothing", "this answer", hint);
            return None;
        }
        ([first, second, ..], _) => {
            let message = format!("`{first}` and `{second}` in one answer");
            walk.error(107, node, message, "which of them?", "one answer for each attempt");
            return None;
        }
        _ => return None,
    };
    Some(Answer { after, gives })
}

pub(super) fn expect(walk: &mut Walk<'_>, node: &Node, known: &Known<'_>) -> Option<Expect> {
    let fields = walk.fields(node, "expect", keys::EXPECT)?;
    let golden = fields.get("golden").is_some_and(|node| walk.bool(node, "golden") == Some(true));
    let results = fields
        .get("result")
        .map(|node| Expected { place: walk.place(node.range.clone()), list: results(walk, node) });
    if results.is_none() && !golden {
        let hint = "`result: repaired`, or `none` where nothing starts; or `golden: true`";
        walk.missing(node, "key `result` is missing", "this expect", hint);
        return None;
    }
    let place = walk.place(node.range.clone());
    let runs = results.as_ref().map(|results| results.list.len());
    let mut expect =
        Expect { place: place.clone(), results, actions: None, decisions: None, told: None, golden };
    // What a golden trace holds need not be said again; else what is not said must not be.
    let nothing = |place| (!golden).then_some(place);
    expect.actions = match fields.get("actions") {
        Some(node) => {
            Some(Expected { place: walk.place(node.range.clone()), list: list(walk, node, known, action) })
        }
        None => nothing(place.clone()).map(|place| Expected { place, list: Vec::new() }),
    };
    expect.told = match fields.get("told") {
        Some(node) => {
            Some(Expected { place: walk.place(node.range.clone()), list: list(walk, node, known, told) })
        }
        None => nothing(place.clone()).map(|place| Expected { place, list: Vec::new() }),
    };
    expect.decisions = match (fields.get("decisions"), runs) {
        (Some(node), _) => {
            Some(Expected { place: walk.place(node.range.clone()), list: list(walk, node, known, decision) })
        }
        // Why nothing was started is only compared where it is said.
        (None, Some(1)) if !golden => {
            Some(Expected { place, list: vec![Word { outcome: "started".into(), reason: None }] })
        }
        _ => None,
    };
    Some(expect)
}

fn list<T>(
    walk: &mut Walk<'_>,
    node: &Node,
    known: &Known<'_>,
    read: fn(&mut Walk<'_>, &Node, &Known<'_>) -> Option<T>,
) -> Vec<T> {
    if node.text() == Some("none") {
        return Vec::new();
    }
    walk.list(node, "expect").iter().filter_map(|item| read(walk, item, known)).collect()
}

fn results(walk: &mut Walk<'_>, node: &Node) -> Vec<RunResult> {
    if node.text() == Some("none") {
        return Vec::new();
    }
    let words = RunResult::ALL.map(|result| (result.word(), result));
    let items = match &node.kind {
        Kind::List(items) => &items[..],
        _ => std::slice::from_ref(node),
    };
    items.iter().filter_map(|item| walk.one_of(item, "result", &words)).collect()
}

fn action(walk: &mut Walk<'_>, node: &Node, known: &Known<'_>) -> Option<ExpectedAction> {
    let fields = walk.fields(node, "action", keys::EXPECT_ACTION)?;
    let at = span(walk, fields, "at")?;
    let step = fields.get("step").and_then(|node| step(walk, node, known))?;
    let name = fields.get("use")?;
    let action = walk.plain(name, "use")?;
    if !known.set.actions.contains_key(action) {
        let near = nearest(action, known.set.actions.keys().map(AsRef::as_ref));
        let hint = near.map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        walk.error(201, name, format!("unknown action `{action}`"), "nobody knows it", hint);
        return None;
    }
    let with = fields.get("with").map(|node| walk.named(node, "with")).unwrap_or_default();
    let with = with.iter().filter_map(|(name, value)| Some((name.text()?.into(), json(value)))).collect();
    Some(ExpectedAction { at, step, action: action.into(), with })
}

/// `started`, or `blocked: cooldown`, which is quoted: else YAML reads a map.
fn decision(walk: &mut Walk<'_>, node: &Node, _: &Known<'_>) -> Option<Word> {
    if let Kind::Map(entries) = &node.kind {
        let text = |node: &Node| node.text().unwrap_or_default().to_owned();
        let meant = entries.first().map(|(word, reason)| format!("{}: {}", text(word), text(reason)));
        let hint = format!("quote it: `\"{}\"`", meant.unwrap_or_default());
        walk.error(203, node, "a decision is read as a map", "unquoted", hint);
        return None;
    }
    let text = walk.plain(node, "decisions")?;
    let (word, reason) = match text.split_once(':') {
        Some((word, reason)) => (word, Some(reason.trim())),
        None => (text, None),
    };
    let words = ["started", "joined", "skipped", "blocked", "refused"];
    let outcome = one_of(walk, node, word, &words)?;
    let known = REASONS.iter().find(|(known, _)| *known == outcome).map_or(&[][..], |(_, reasons)| reasons);
    let reason = match reason {
        Some(reason) => Some(one_of(walk, node, reason, known)?),
        None => None,
    };
    Some(Word { outcome: outcome.into(), reason: reason.map(Arc::from) })
}

/// One of a few words within a text.
fn one_of<'w>(walk: &mut Walk<'_>, node: &Node, word: &str, words: &[&'w str]) -> Option<&'w str> {
    let found = words.iter().find(|known| **known == word).copied();
    if found.is_none() {
        let hint = nearest(word, words.iter().copied())
            .map_or_else(|| words.join(", "), |near| format!("did you mean `{near}`?"));
        walk.error(203, node, format!("`{word}` is no decision"), "not known here", hint);
    }
    found
}

fn told(walk: &mut Walk<'_>, node: &Node, known: &Known<'_>) -> Option<ExpectedTold> {
    let (to, at, text) = if node.text().is_some() {
        (node, None, None)
    } else {
        let fields = walk.fields(node, "told", keys::EXPECT_TOLD)?;
        let text = fields.get("text").and_then(|node| walk.plain(node, "text")).map(Arc::from);
        (fields.get("to")?, span(walk, fields, "at"), text)
    };
    let name = walk.plain(to, "told")?;
    if !known.set.receivers.contains_key(name) {
        unknown(walk, to, "receiver", name, known.set.receivers.keys().map(AsRef::as_ref));
        return None;
    }
    Some(ExpectedTold { to: name.into(), at, text })
}

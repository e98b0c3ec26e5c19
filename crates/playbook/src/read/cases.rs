//! `tests:`: cases, with what happens in each. Names of playbooks, checks, steps and actions are looked up at once: a
//! test that waits for a step which is not there would pass or fail for the wrong reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::DateTime;
use regreen_schemas::{
    CheckName, PlaybookName, Span, Timestamp,
    alert::Labels,
    check::Status,
    fact,
    roster::{self, By, Member, Roster},
    view,
};
use serde_json::Value;

use super::expect;
use crate::{
    cases::{Answer, Case, Found, Gives, Moment, Tests, What},
    diagnostic::nearest,
    keys,
    model::{Playbook, StepKind},
    set::Set,
    tree::{Kind, Node},
    walk::{Fields, Walk},
};

/// 2030-01-01T00:00:00Z, when nothing else is said.
const START: Timestamp = Timestamp(1_893_456_000_000);
const STATUSES: [(&str, Status); 4] = [
    ("up", Status::Up),
    ("degraded", Status::Degraded),
    ("down", Status::Down),
    ("unknown", Status::Unknown),
];

/// A document of its own, as which the body of a key of `tests:` is read.
pub(crate) fn as_document(tests: &Node, kind: &str) -> Option<Node> {
    let body = tests.get(kind).filter(|body| !body.is_null())?;
    let at = body.range.start..body.range.start + 1;
    let scalar =
        |text: &str| Node { range: at.clone(), kind: Kind::Scalar { text: text.to_owned(), plain: true } };
    let mut entries = vec![(scalar("apiVersion"), scalar("regreen/v1"))];
    match (&body.kind, kind) {
        (Kind::Map(own), "inventory") => {
            entries.push((scalar(kind), scalar("test")));
            entries.extend(own.iter().cloned());
        }
        _ => entries.push((scalar(kind), body.clone())),
    }
    Some(Node { range: body.range.clone(), kind: Kind::Map(entries) })
}

/// What cases are read with.
pub(super) struct Known<'s> {
    pub set: &'s Set,
    pub playbook: &'s Playbook,
}

pub(crate) fn tests(walk: &mut Walk<'_>, document: &Node, set: Arc<Set>) -> Option<Tests> {
    if crate::set::kind_of(walk, document)? != "tests" {
        walk.missing(document, "only tests stand in this file", "this document", "`tests: <playbook>`");
        return None;
    }
    let fields = walk.fields(document, "tests", keys::TESTS)?;
    let node = fields.get("tests")?;
    let name = walk.plain(node, "tests")?;
    let Some(playbook) = set.playbooks.get(&PlaybookName::from(name)) else {
        let known = set.playbooks.keys().map(PlaybookName::as_str);
        unknown(walk, node, "playbook", name, known);
        return None;
    };
    let known = Known { set: &set, playbook };
    let list = fields.get("cases").map(|node| walk.list(node, "cases")).unwrap_or_default();
    let mut cases: Vec<Case> = Vec::new();
    for node in list {
        let Some(case) = case(walk, node, &known) else { continue };
        if let Some(first) = cases.iter().find(|first| first.name == case.name) {
            let message = format!("case `{}` is there twice", case.name);
            walk.findings.error(102, case.place.clone(), message, "again", "rename one");
            walk.findings.also(first.place.clone(), "first here");
        }
        cases.push(case);
    }
    let (playbook, place) = (playbook.name.clone(), walk.place(node.range.clone()));
    Some(Tests { playbook, place, set, cases })
}

/// A name of something that is not there.
pub(super) fn unknown<'a>(
    walk: &mut Walk<'_>,
    node: &Node,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) {
    let hint = nearest(name, known)
        .map_or_else(|| format!("no {what} is called so"), |near| format!("did you mean `{near}`?"));
    walk.error(205, node, format!("unknown {what} `{name}`"), "not in the set", hint);
}

fn case(walk: &mut Walk<'_>, node: &Node, known: &Known<'_>) -> Option<Case> {
    let fields = walk.fields(node, "case", keys::CASE)?;
    let name = fields.get("name")?;
    let start = fields.get("start").map_or(Some(START), |node| moment_of(walk, node))?;
    let moments = fields.get("timeline").map(|node| walk.list(node, "timeline")).unwrap_or_default();
    let answers = fields.get("answers").map(|node| expect::answers(walk, node, known)).unwrap_or_default();
    // What an answer makes can be seen, and be spoken of.
    let made = made(known.set, &answers);
    let with = (!made.is_empty()).then(|| known.set.with(&made));
    let known = &Known { set: with.as_ref().unwrap_or(known.set), playbook: known.playbook };
    let timeline: Vec<Moment> = moments.iter().filter_map(|node| moment(walk, node, known)).collect();
    let expect = expect::expect(walk, fields.get("expect")?, known)?;
    let place = walk.place(name.range.clone());
    Some(Case { name: walk.plain(name, "name")?.into(), place, start, timeline, answers, expect })
}

/// The nodes that answers say are there from then on.
fn made(set: &Set, answers: &BTreeMap<Arc<str>, Vec<Answer>>) -> Roster {
    let fields: BTreeSet<&Arc<str>> =
        set.actions.values().filter_map(|action| action.adds.as_ref()).collect();
    let results = answers.values().flatten().filter_map(|answer| match &answer.gives {
        Gives::Ok(result) | Gives::Unknown(Found::Done(result)) => Some(result),
        _ => None,
    });
    let mut roster = Roster::default();
    for node in results.flat_map(|result| fields.iter().filter_map(|field| result.get(&***field))) {
        let group = node.get("group").and_then(Value::as_str).map(Arc::from);
        if let (Some(group), Ok(node)) = (group, roster::Node::read(node)) {
            roster.add(&group, Member { node, by: By::Discovery, since: START });
        }
    }
    roster
}

fn moment_of(walk: &mut Walk<'_>, node: &Node) -> Option<Timestamp> {
    let text = walk.plain(node, "start")?;
    let Ok(time) = DateTime::parse_from_rfc3339(text) else {
        walk.wrong(node, "start", "a time", "like `2030-03-31T01:59:00Z`");
        return None;
    };
    Some(Timestamp(time.timestamp_millis()))
}

fn moment(walk: &mut Walk<'_>, node: &Node, known: &Known<'_>) -> Option<Moment> {
    let fields = walk.fields(node, "moment", keys::MOMENT)?;
    let at = fields.get("at").and_then(|node| walk.duration(node, "at"))?;
    let mut kinds = keys::MOMENT_KINDS.iter().filter_map(|kind| Some((*kind, node.get(kind)?)));
    let first = kinds.next();
    if let (Some((first, _)), Some((second, value))) = (first, kinds.next()) {
        let message = format!("`{first}` and `{second}` in one moment");
        walk.error(107, value, message, "what comes first?", "make two of it; they may have the same `at`");
        return None;
    }
    let Some((kind, value)) = first else {
        let hint = format!("one of {}", keys::MOMENT_KINDS.join(", "));
        walk.missing(node, "the moment does not say what happens", "this moment", hint);
        return None;
    };
    Some(Moment { at, what: what(walk, kind, value, fields, known)? })
}

fn what(
    walk: &mut Walk<'_>,
    kind: &str,
    value: &Node,
    moment: Fields<'_>,
    known: &Known<'_>,
) -> Option<What> {
    Some(match kind {
        "firing" => What::Firing { labels: labels(walk, value, kind), annotations: notes(walk, moment) },
        "resolved" => What::Resolved { labels: labels(walk, value, kind), annotations: notes(walk, moment) },
        "verdicts" => What::Verdicts(verdicts(walk, value, known)),
        "event" => What::Event(event(walk, value)?),
        "start" => start(walk, value)?,
        "approve" | "deny" => {
            let fields = walk.fields(value, kind, keys::SAID)?;
            let step = fields.get("step").and_then(|node| expect::step(walk, node, known))?;
            What::Answered { step, by: by(walk, fields), yes: kind == "approve" }
        }
        "settle" => {
            let fields = walk.fields(value, kind, keys::SETTLE)?;
            let step = fields.get("step").and_then(|node| expect::step(walk, node, known))?;
            let done = fields.get("done").and_then(|node| walk.bool(node, "done"))?;
            What::Settle { step, done, by: by(walk, fields) }
        }
        "cancel" => {
            let fields = walk.fields(value, kind, keys::CANCEL)?;
            What::Cancel { by: by(walk, fields) }
        }
        "stop" if truly(walk, value, kind) => What::Stop,
        "resume" if truly(walk, value, kind) => What::Resume,
        "nothing" if truly(walk, value, kind) => What::Pass,
        _ => return None,
    })
}

/// What may only be `true`.
fn truly(walk: &mut Walk<'_>, node: &Node, what: &str) -> bool {
    walk.one_of(node, what, &[("true", ())]).is_some()
}

fn by(walk: &mut Walk<'_>, fields: Fields<'_>) -> Option<Arc<str>> {
    fields.get("by").and_then(|node| walk.plain(node, "by")).map(Arc::from)
}

fn notes(walk: &mut Walk<'_>, moment: Fields<'_>) -> Labels {
    moment.get("annotations").map(|node| labels(walk, node, "annotations")).unwrap_or_default()
}

fn labels(walk: &mut Walk<'_>, node: &Node, what: &str) -> Labels {
    let entries = walk.named(node, what);
    let label = |(name, value): &(Node, Node)| {
        let Some(text) = value.text() else {
            walk.wrong(value, what, "text", "");
            return None;
        };
        Some((name.text()?.into(), text.into()))
    };
    entries.iter().filter_map(label).collect()
}

/// Checks with what they say; `name/*` for each member.
fn verdicts(walk: &mut Walk<'_>, node: &Node, known: &Known<'_>) -> Vec<(CheckName, Status)> {
    let mut out = Vec::new();
    for (name, value) in walk.named(node, "verdicts") {
        let Some(status) = walk.one_of(value, "verdicts", &STATUSES) else { continue };
        let Some(text) = name.text() else { continue };
        let found: Vec<CheckName> = match text.strip_suffix('*').filter(|prefix| prefix.ends_with('/')) {
            Some(prefix) => {
                let members = known.set.checks.keys().filter(|check| check.as_str().starts_with(prefix));
                members.cloned().collect()
            }
            None => {
                known.set.checks.get_key_value(text).map(|(check, _)| check.clone()).into_iter().collect()
            }
        };
        if found.is_empty() {
            unknown(walk, name, "check", text, known.set.checks.keys().map(CheckName::as_str));
        }
        for check in found {
            if matches!(known.set.checks.get(&check).map(|check| &check.kind), Some(view::Kind::Of { .. })) {
                let message = format!("`{check}` is joined from others");
                let hint = "give the verdicts that it is joined from";
                walk.error(203, name, message, "nobody looks at it", hint);
                continue;
            }
            out.push((check, status));
        }
    }
    out
}

fn event(walk: &mut Walk<'_>, node: &Node) -> Option<fact::Event> {
    let fields = walk.fields(node, "event", keys::EVENT)?;
    let path = fields.get("path").and_then(|node| walk.plain(node, "path"))?;
    let secret = fields.get("secret").and_then(|node| walk.plain(node, "secret"))?;
    let mut text = |key: &str, default: &str| -> Arc<str> {
        fields.get(key).and_then(|node| walk.plain(node, key)).unwrap_or(default).into()
    };
    Some(fact::Event {
        path: path.into(),
        secret: secret.into(),
        id: text("id", "1"),
        kind: text("type", "test"),
        source: text("source", "test"),
        data: fields.get("data").map_or(Value::Null, json),
    })
}

fn start(walk: &mut Walk<'_>, node: &Node) -> Option<What> {
    let fields = walk.fields(node, "start", keys::START)?;
    let target = fields.get("target").and_then(|node| walk.plain(node, "target")).map(Arc::from);
    let entries = fields.get("inputs").map(|node| walk.named(node, "inputs")).unwrap_or_default();
    let inputs: BTreeMap<Arc<str>, Value> =
        entries.iter().filter_map(|(name, value)| Some((name.text()?.into(), json(value)))).collect();
    Some(What::Start { target, inputs })
}

/// A value as JSON: YAML 1.2's core schema for what is unquoted, all else is text.
pub(super) fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .filter_map(|(key, value)| Some((key.text()?.to_owned(), json(value))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Scalar { plain: true, .. } if node.is_null() => Value::Null,
        Kind::Scalar { text, plain: true } => serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| !value.is_array() && !value.is_object())
            .unwrap_or_else(|| text.as_str().into()),
        Kind::Scalar { text, plain: false } => text.as_str().into(),
    }
}

/// The playbook that a step runs, where it runs one.
pub(super) fn called<'s>(set: &'s Set, playbook: &Playbook, step: &str) -> Option<&'s Playbook> {
    let step = playbook.all_steps().into_iter().find(|found| *found.id == *step)?;
    let StepKind::Run(call) = &step.kind else { return None };
    set.playbooks.get(&call.playbook)
}

/// A span that is given or not.
pub(super) fn span(walk: &mut Walk<'_>, fields: Fields<'_>, key: &str) -> Option<Span> {
    fields.get(key).and_then(|node| walk.duration(node, key))
}

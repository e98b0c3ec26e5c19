//! A playbook: its triggers, inputs and ends; guards and steps have files of their own.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{PlaybookName, Span, check::Status, event::Mode};

use super::{Draft, each, expression, guard, step, template};
use crate::{
    keys,
    matcher::{self, Matcher},
    model::{
        Approval, DEFAULT_APPROVERS, Escalate, Input, On, OnResolved, Playbook, TargetKind, Trigger, Verify,
    },
    tree::{Kind, Node},
    value::{Type, Value},
    walk::Walk,
};

/// Where the parts of a playbook stand. What has one place in the document is found there by its key.
pub(crate) struct Places {
    pub file: usize,
    /// Of the playbook's name.
    pub name: std::ops::Range<usize>,
    /// All of it.
    pub document: Node,
    /// Every step by its id, however deep it stands.
    pub steps: BTreeMap<Arc<str>, Node>,
    /// As in the model, for lists of which unreadable items are left out.
    pub triggers: Vec<Node>,
    pub verify: Vec<Node>,
    pub escalate: Vec<Node>,
    pub notify: Vec<Node>,
}

pub(super) fn playbook(walk: &mut Walk<'_>, document: &Node, name: &Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(document, "playbook", keys::PLAYBOOK) else { return };
    let name_text = walk.name(name, "playbook").unwrap_or("unnamed").to_owned();
    let get = |key: &str| fields.get(key);
    let modes = [("observe", Mode::Observe), ("approve", Mode::Approve), ("auto", Mode::Auto)];
    let mode = get("mode").and_then(|node| walk.one_of(node, "mode", &modes)).unwrap_or(Mode::Observe);
    let target = get("target").and_then(|node| {
        walk.one_of(
            node,
            "target",
            &[("none", TargetKind::None), ("node", TargetKind::Node), ("group", TargetKind::Group)],
        )
    });
    let on_resolved = get("on_resolved").and_then(|node| {
        walk.one_of(
            node,
            "on_resolved",
            &[("cancel", OnResolved::Cancel), ("continue", OnResolved::Continue)],
        )
    });
    let (triggers, trigger_nodes) = each(walk, get("triggers"), "triggers", trigger);
    let (steps, step_nodes) = each(walk, get("steps"), "steps", step::step);
    let (closing, verify_nodes) = each(walk, get("verify"), "verify", verify);
    let (escalations, escalate_nodes) = each(walk, get("escalate"), "escalate", escalate);
    if let Some(node) =
        get("steps").filter(|node| matches!(&node.kind, Kind::List(items) if items.is_empty()))
    {
        walk.error(108, node, "there is no step", "empty", "a playbook does something");
    }
    let mut guard = guard::guard(walk, get("guard"));
    if mode == Mode::Approve {
        let asks = || Approval { by: DEFAULT_APPROVERS.into(), within: guard::APPROVAL_WITHIN };
        guard.approval.get_or_insert_with(asks);
    }
    let notify = get("notify").map(|node| walk.list(node, "notify")).unwrap_or_default();
    let notify: Vec<(Arc<str>, Node)> =
        notify.iter().filter_map(|node| Some((walk.name(node, "receiver")?.into(), node.clone()))).collect();
    let (notify, notify_nodes) = notify.into_iter().unzip();
    let playbook = Playbook {
        name: PlaybookName::from(name_text.as_str()),
        description: get("description")
            .and_then(|node| walk.plain(node, "description"))
            .unwrap_or_default()
            .to_owned(),
        mode: Some(mode),
        target: target.unwrap_or(TargetKind::None),
        triggers,
        correlate: None,
        when: get("when").and_then(|node| expression(walk, node, "when")),
        inputs: get("inputs").map(|node| inputs(walk, node)).unwrap_or_default(),
        vars: BTreeMap::new(),
        outputs: Vec::new(),
        guard,
        steps,
        finally: Vec::new(),
        verify: closing,
        on_resolved: on_resolved.unwrap_or(OnResolved::Cancel),
        deadline: get("deadline")
            .and_then(|node| walk.duration(node, "deadline"))
            .unwrap_or(Span::minutes(60)),
        failback: None,
        notify,
        escalate: escalations,
        drill: None,
    };
    let places = Places {
        file: walk.file,
        name: name.range.clone(),
        document: document.clone(),
        triggers: trigger_nodes,
        steps: playbook.steps.iter().map(|step| step.id.clone()).zip(step_nodes).collect(),
        verify: verify_nodes,
        escalate: escalate_nodes,
        notify: notify_nodes,
    };
    draft.playbooks.push((playbook, places));
}

fn trigger(walk: &mut Walk<'_>, node: &Node) -> Option<Trigger> {
    let fields = walk.fields(node, "trigger", keys::TRIGGER)?;
    match (fields.get("alert"), node.get("manual")) {
        (Some(alert), None) => {
            let matchers = matchers(walk, alert);
            let target = fields.get("target").and_then(|node| template(walk, node, "target"));
            Some(Trigger {
                id: "1".into(),
                on: On::Alert { matchers, resolved: false },
                target,
                inputs: Vec::new(),
                hold: Span::ZERO,
            })
        }
        (None, Some(manual)) => {
            let by = match &manual.kind {
                Kind::Map(_) => {
                    let fields = walk.fields(manual, "manual", keys::MANUAL)?;
                    fields.get("by").and_then(|node| walk.name(node, "by")).map(Arc::from)
                }
                _ => None,
            };
            Some(Trigger {
                id: "1".into(),
                on: On::Manual { by },
                target: None,
                inputs: Vec::new(),
                hold: Span::ZERO,
            })
        }
        (Some(_), Some(manual)) => {
            walk.error(107, manual, "two kinds in a trigger", "`alert` and `manual`", "make two triggers");
            None
        }
        (None, None) => {
            walk.error(
                108,
                node,
                "the trigger has no kind",
                "this trigger",
                "`alert: [alertname=\"…\"]` or `manual: {}`",
            );
            None
        }
    }
}

/// Alertmanager's matchers: not all alerts, and not none.
pub(super) fn matchers(walk: &mut Walk<'_>, alert: &Node) -> Vec<Matcher> {
    let matchers: Vec<Matcher> =
        walk.list(alert, "alert").to_vec().iter().filter_map(|item| matcher(walk, item)).collect();
    if !matchers.is_empty() && matchers.iter().all(|matcher| !matcher.ensures()) {
        let label = "all of these accept \"\"";
        walk.error(402, alert, "this matches every alert", label, "add `alertname=\"…\"`");
    }
    contradiction(walk, alert, &matchers);
    matchers
}

fn matcher(walk: &mut Walk<'_>, node: &Node) -> Option<Matcher> {
    let text = node.text()?;
    match Matcher::parse(text) {
        Ok(matcher) => Some(matcher),
        Err(matcher::Error::NoOperator) => {
            walk.error(
                401,
                node,
                "no operator in the matcher",
                text.to_owned(),
                format!("`alertname=\"{text}\"`?"),
            );
            None
        }
        Err(matcher::Error::NoLabel) => {
            walk.error(401, node, "no label in the matcher", text.to_owned(), "`label=\"value\"`");
            None
        }
        Err(matcher::Error::Quotes) => {
            walk.error(
                401,
                node,
                "the matcher's value must stand in double quotes",
                text.to_owned(),
                "quote the whole item: 'label=\"value\"'",
            );
            None
        }
        Err(matcher::Error::Regex(why)) => {
            walk.error(
                401,
                node,
                format!("no expression that Alertmanager would read: {why}"),
                text.to_owned(),
                "Go's RE2 syntax, anchored",
            );
            None
        }
    }
}

fn contradiction(walk: &mut Walk<'_>, node: &Node, matchers: &[Matcher]) {
    for (i, a) in matchers.iter().enumerate() {
        let against = matchers[..i]
            .iter()
            .find(|b| b.label == a.label && b.op == matcher::Op::Equal && !a.accepts(&b.value));
        if let Some(b) = against {
            walk.error(
                403,
                node,
                "this can never match",
                format!("{}, {}", b.text, a.text),
                "make two triggers",
            );
        }
    }
}

fn inputs(walk: &mut Walk<'_>, node: &Node) -> BTreeMap<Arc<str>, Input> {
    let mut out = BTreeMap::new();
    for (name, value) in walk.named(node, "inputs") {
        let Some(fields) = walk.fields(value, "input", keys::INPUT) else { continue };
        let kinds = [("string", 0), ("int", 1), ("bool", 2)];
        let kind = match fields.get("type").and_then(|node| walk.one_of(node, "type", &kinds)) {
            Some(1) => Type::Int,
            Some(2) => Type::Bool,
            _ => Type::Str,
        };
        let mut constant = |node: &Node| {
            let value = node.text().and_then(|text| parse_input(text, &kind));
            if value.is_none() {
                walk.error(203, node, format!("this is no {kind}"), "here", "");
            }
            value
        };
        let default = fields.get("default").and_then(&mut constant);
        let one_of = match fields.get("one_of").map(|node| &node.kind) {
            Some(Kind::List(items)) => items.iter().filter_map(&mut constant).collect(),
            _ => Vec::new(),
        };
        out.insert(name.text().unwrap_or_default().into(), Input { kind, default, one_of });
    }
    out
}

/// A value of an input from its text.
#[must_use]
pub(crate) fn parse_input(text: &str, kind: &Type) -> Option<Value> {
    match kind {
        Type::Int => text.parse().ok().map(Value::Int),
        Type::Bool => text.parse().ok().map(Value::Bool),
        _ => Some(Value::str(text)),
    }
}

pub(super) fn verify(walk: &mut Walk<'_>, node: &Node) -> Option<Verify> {
    let fields = walk.fields(node, "verify", keys::VERIFY)?;
    let words = [("up", Status::Up), ("degraded", Status::Degraded), ("down", Status::Down)];
    let verify = Verify {
        check: fields.get("check").and_then(|node| template(walk, node, "check"))?,
        is: fields.get("is").map_or(Some(Status::Up), |node| walk.one_of(node, "is", &words))?,
        hold: fields.get("for").map_or(Some(Span::seconds(30)), |node| walk.duration(node, "for"))?,
        within: fields.get("within").and_then(|node| walk.duration(node, "within"))?,
    };
    if verify.hold >= verify.within {
        let message = "this verify can never hold";
        walk.error(
            601,
            node,
            message,
            format!("`for` {} is not below `within` {}", verify.hold, verify.within),
            "raise `within`",
        );
    }
    Some(verify)
}

pub(super) fn escalate(walk: &mut Walk<'_>, node: &Node) -> Option<Escalate> {
    let fields = walk.fields(node, "escalate", keys::ESCALATE)?;
    Some(Escalate {
        to: fields.get("to").and_then(|node| walk.plain(node, "to"))?.into(),
        after: fields.get("after").map_or(Some(Span::ZERO), |node| walk.duration(node, "after"))?,
        text: fields.get("text").and_then(|node| template(walk, node, "text")),
    })
}

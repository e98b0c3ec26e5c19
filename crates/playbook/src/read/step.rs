//! A step, and the action that it uses.

use std::sync::Arc;

use regreen_schemas::action::{self, Effect, ParamType};

use super::{argument::argument, expression, guard, playbook::verify, template};
use crate::{
    action::{Action, ParamKind, known},
    keys,
    model::{Approve, Arg, OnFailure, Step, StepKind, Subject, Undo, Use},
    tree::{Kind, Node},
    walk::{Fields, Walk},
};

/// Longest name of a step: its path must stay readable.
const STEP_ID_MAX: usize = 40;

/// Ids that the run itself uses: its closing verify, and its approval.
const RESERVED: [&str; 2] = ["closing", "guard"];

pub(super) fn step(walk: &mut Walk<'_>, node: &Node) -> Option<Step> {
    let fields = walk.fields(node, "step", keys::STEP)?;
    let id = fields.get("id").and_then(|node| step_id(walk, node))?;
    let condition = fields.get("if").and_then(|node| expression(walk, node, "if"));
    let goes_on = fields
        .get("on_failure")
        .and_then(|node| match node.text() {
            Some("undo") => {
                walk.error(112, node, "`undo` is not in this release", "comes later", "`stop` or `continue`");
                None
            }
            _ => walk.one_of(node, "on_failure", &[("stop", false), ("continue", true)]),
        })
        .unwrap_or(false);
    let kinds: Vec<&str> =
        ["use", "verify", "approve", "wait"].into_iter().filter(|kind| fields.get(kind).is_some()).collect();
    let kind = match kinds.as_slice() {
        [] => {
            walk.error(
                108,
                node,
                "the step has no kind",
                "this step",
                "`use`, `verify`, `approve` or `wait`",
            );
            return None;
        }
        [first, second, ..] => {
            walk.error(
                107,
                node,
                "two kinds in a step",
                format!("`{first}` and `{second}`"),
                "make two steps",
            );
            return None;
        }
        ["use"] => StepKind::Use(Box::new(action(walk, fields)?)),
        ["verify"] => StepKind::Verify(fields.get("verify").and_then(|node| verify(walk, node))?),
        ["approve"] => {
            if let Some(on_failure) = fields.get("on_failure").filter(|_| goes_on) {
                let hint = "`stop`, or leave `on_failure` out";
                walk.error(508, on_failure, "silence is a no", "`continue` on `approve`", hint);
            }
            StepKind::Approve(fields.get("approve").and_then(|node| approve(walk, node))?)
        }
        [_] => StepKind::Wait(fields.get("wait").and_then(|node| walk.duration(node, "wait"))?),
    };
    let on_failure = if goes_on { OnFailure::Continue } else { OnFailure::Stop };
    Some(Step { id, condition, on_failure, kind })
}

fn approve(walk: &mut Walk<'_>, node: &Node) -> Option<Approve> {
    let asked = guard::approval(walk, node, "approve", keys::APPROVE)?;
    let text = node.get("text").and_then(|node| template(walk, node, "text"));
    Some(Approve { asked, text })
}

fn step_id(walk: &mut Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.plain(node, "id")?;
    let good = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.starts_with(|c: char| c.is_ascii_alphabetic());
    if good && text.len() <= STEP_ID_MAX && !RESERVED.contains(&text) {
        return Some(text.into());
    }
    walk.error(
        109,
        node,
        format!("bad id `{text}`"),
        "letters, digits and `_`; `-` is minus in CEL",
        format!("`{}`?", text.replace(['-', ' '], "_")),
    );
    None
}

fn action(walk: &mut Walk<'_>, fields: Fields<'_>) -> Option<Use> {
    let node = fields.get("use")?;
    let name = walk.plain(node, "use")?;
    let authors = known();
    let Some(declared) = authors.iter().find(|declared| *declared.name == *name) else {
        let near = crate::diagnostic::nearest(name, authors.iter().map(|declared| &*declared.name));
        let hint = near.map_or_else(
            || format!("known: {}", authors.iter().map(|d| &*d.name).collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        walk.error(201, node, format!("unknown action `{name}`"), "no such action", hint);
        return None;
    };
    let parameters: Vec<(&str, &str, bool)> =
        declared.params.iter().map(|param| (&*param.name, &*param.doc, param.required)).collect();
    let empty = Node { range: node.range.clone(), kind: Kind::Map(Vec::new()) };
    let with = walk.parameters(fields.get("with").unwrap_or(&empty), &parameters)?;
    let mut args = Vec::new();
    let mut subject = None;
    for param in &declared.params {
        let Some(value) = with.get(&param.name) else { continue };
        match &param.kind {
            ParamKind::Is(kind @ (ParamType::Node | ParamType::Group)) => {
                subject = object(walk, value, *kind)
            }
            ParamKind::Is(kind) => {
                if let Some(arg) = argument(walk, value, &param.name, *kind) {
                    args.push((param.name.clone(), arg));
                }
            }
            _ => {}
        }
    }
    let (effect, destructive) = http_effect(declared, &args);
    let retries = matches!(effect, Effect::Read | Effect::Idempotent);
    let attempts = fields.get("attempts").and_then(|node| {
        let attempts = walk.int(node, "attempts", 1..=20)?;
        if attempts > 1 && effect == Effect::AtMostOnce {
            walk.error(
                506,
                node,
                "this may act twice",
                format!("`attempts: {attempts}` on an action that may run at most once"),
                "remove it, or say what makes a second try safe: `idempotency_header`, `observe`, `effect`",
            );
        }
        Some(attempts)
    });
    Some(Use {
        action: declared.clone().into(),
        args,
        subject,
        effect,
        destructive,
        timeout: fields
            .get("timeout")
            .and_then(|node| walk.duration(node, "timeout"))
            .unwrap_or(declared.timeout),
        attempts: attempts.unwrap_or(if retries { 3 } else { 1 }),
        undo: Undo::None,
    })
}

/// Effect class of a request and whether it can destroy: anything but GET and HEAD can.
fn http_effect(declared: &Action, args: &[(Arc<str>, Arg)]) -> (Effect, bool) {
    let word = |name: &str| {
        args.iter().find(|(arg, _)| **arg == *name).and_then(|(_, arg)| match arg {
            Arg::Constant(serde_json::Value::String(text)) => Some(text.as_str()),
            _ => None,
        })
    };
    let has = |name: &str| args.iter().any(|(arg, _)| **arg == *name);
    if *declared.name != *action::HTTP_REQUEST.name {
        return (declared.effect, declared.destructive);
    }
    let method = word("method").unwrap_or("GET");
    let reads = matches!(method, "GET" | "HEAD");
    let effect = match word("effect") {
        Some("idempotent") => Effect::Idempotent,
        Some("at_most_once") => Effect::AtMostOnce,
        _ if has("idempotency_header") => Effect::Idempotent,
        _ if has("observe") => Effect::Reconcilable,
        _ if reads => Effect::Read,
        _ if matches!(method, "PUT" | "DELETE") => Effect::Idempotent,
        _ => Effect::AtMostOnce,
    };
    (effect, !reads)
}

fn object(walk: &mut Walk<'_>, node: &Node, kind: ParamType) -> Option<Subject> {
    let template = template(walk, node, "node or group")?;
    Some(match (template.constant(), kind) {
        (None, _) => Subject::Path(template),
        (Some(name), ParamType::Group) => Subject::Group(name.into()),
        (Some(name), _) => Subject::Node(name.into()),
    })
}

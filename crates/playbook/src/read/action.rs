//! `use:` and `with:` of a step: an action with its parameters, and what would undo it.

use std::sync::Arc;

use regreen_schemas::action::{self, Effect};

use super::{argument, object};
use crate::{
    action::{Action, Param},
    diagnostic::nearest,
    model::{Arg, Subject, Undo, Use},
    tree::{Kind, Node},
    walk::{Fields, Walk},
};

/// Most attempts of a step.
const ATTEMPTS_MAX: u32 = 20;
/// Attempts of what may be repeated, unless given.
const ATTEMPTS: u32 = 3;

pub(super) fn action(walk: &mut Walk<'_>, fields: Fields<'_>) -> Option<Use> {
    let node = fields.get("use")?;
    let action = declared(walk, node)?;
    let empty = Node { range: node.range.clone(), kind: Kind::Map(Vec::new()) };
    let with = walk.parameters(fields.get("with").unwrap_or(&empty), &action)?;
    let (args, subject) = parameters(walk, with, &action);
    let (effect, destructive) = http_effect(&action, &args);
    let attempts = fields.get("attempts").and_then(|node| attempts(walk, node, effect));
    let timeout = fields.get("timeout").and_then(|node| walk.duration(node, "timeout"));
    Some(Use {
        args,
        subject,
        effect,
        destructive,
        timeout: timeout.unwrap_or(action.timeout),
        attempts: attempts.unwrap_or(repeats(effect)),
        undo: Undo::None,
        action,
    })
}

/// How often what fails for the moment is tried, unless given.
const fn repeats(effect: Effect) -> u32 {
    if matches!(effect, Effect::Read | Effect::Idempotent) { ATTEMPTS } else { 1 }
}

fn declared(walk: &mut Walk<'_>, node: &Node) -> Option<Arc<Action>> {
    let name = walk.plain(node, "use")?;
    if let Some(action) = walk.shelf.actions.get(name) {
        return Some(action.clone());
    }
    let near = nearest(name, walk.shelf.actions.keys().map(AsRef::as_ref));
    let hint = near.map_or_else(
        || "declare it in a file of kind `actions:`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    walk.error(201, node, format!("unknown action `{name}`"), "no such action", hint);
    None
}

/// Parameters, and the object that it acts on: the first that is given. Further ones are parameters like others.
fn parameters(
    walk: &mut Walk<'_>,
    with: Fields<'_>,
    action: &Action,
) -> (Vec<(Arc<str>, Arg)>, Option<Subject>) {
    let (mut args, mut subject, mut first) = (Vec::new(), None, None::<&Param>);
    for param in &action.params {
        let Some(value) = with.get(&param.name) else { continue };
        let object = object::kind(&param.kind);
        if let (Some(_), Some(first)) = (object, first.filter(|first| !first.required && !param.required)) {
            let label = format!("`{}` and `{}`", first.name, param.name);
            walk.error(107, value, "two objects in a step", label, "say the one that it acts on");
        } else if let (Some(kind), None) = (object, first) {
            subject = object::subject(walk, value, kind);
            first = Some(param);
        } else if let Some(arg) = argument::argument(walk, value, param, action) {
            args.push((param.name.clone(), arg));
        }
    }
    (args, subject)
}

fn attempts(walk: &mut Walk<'_>, node: &Node, effect: Effect) -> Option<u32> {
    let attempts = walk.int(node, "attempts", 1..=ATTEMPTS_MAX)?;
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
}

/// The action's own opposite, with the same parameters as far as it knows them.
pub(super) fn opposite(walk: &mut Walk<'_>, node: &Node, used: &Use) -> Undo {
    let Some(undo) = used.action.undo.as_ref().and_then(|name| walk.shelf.actions.get(name)).cloned() else {
        return Undo::None;
    };
    let with = node.get("with");
    let given = |param: &Param| with.and_then(|with| with.get(&param.name)).is_some_and(|arg| !arg.is_null());
    if let Some(param) = undo.params.iter().find(|param| param.required && !given(param)) {
        let message = format!("parameter `{}` is missing", param.name);
        let hint = format!("give it, or say `undo: none`; {}: {}", param.name, param.doc);
        walk.missing(node, message, format!("`{}`, which undoes it, needs it", undo.name), hint);
        return Undo::None;
    }
    let known = |name: &str| undo.params.iter().any(|param| *param.name == *name);
    let args = used.args.iter().filter(|(name, _)| known(name)).cloned().collect();
    let acts = undo.params.iter().any(|param| object::kind(&param.kind).is_some());
    Undo::Action(Box::new(Use {
        args,
        subject: used.subject.clone().filter(|_| acts),
        effect: undo.effect,
        destructive: undo.destructive,
        timeout: undo.timeout,
        attempts: repeats(undo.effect),
        undo: Undo::None,
        action: undo,
    }))
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

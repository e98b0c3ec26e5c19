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
    let (effect, destructive) = effect_of(&action, &args);
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
    // What the action itself can't do without has its own finding.
    let asked = |param: &Param| used.action.params.iter().any(|own| own.name == param.name && own.required);
    let missing = |param: &&Param| param.required && !given(param) && !asked(param);
    if let Some(param) = undo.params.iter().find(missing) {
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

/// Effect class of a use and whether it can destroy, where its parameters decide it. Of requests anything but GET and HEAD
/// can; of commands what is no `read`, which only the runner's list may confirm.
fn effect_of(declared: &Action, args: &[(Arc<str>, Arg)]) -> (Effect, bool) {
    let word = |name: &str| {
        args.iter().find(|(arg, _)| **arg == *name).and_then(|(_, arg)| match arg {
            Arg::Constant(serde_json::Value::String(text)) => Some(text.as_str()),
            _ => None,
        })
    };
    let has = |name: &str| args.iter().any(|(arg, _)| **arg == *name);
    if *declared.name == *action::EXEC_RUN.name {
        return match word("effect") {
            Some("read") => (Effect::Read, false),
            Some("idempotent") => (Effect::Idempotent, true),
            _ => (declared.effect, declared.destructive),
        };
    }
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

#[cfg(test)]
mod tests {
    use regreen_schemas::{Span, action::Effect};

    use super::super::tests::{each_is_told, good};
    use crate::model::{Arg, StepKind, Subject, Undo, Use};

    fn used(step: &str) -> Use {
        let playbook = good(&format!("steps:\n  - id: a\n    {step}"));
        match playbook.steps.into_iter().next().map(|step| step.kind) {
            Some(StepKind::Use(used)) => *used,
            other => panic!("{other:?}"),
        }
    }

    fn said(arg: &Arg) -> String {
        match arg {
            Arg::Constant(value) => value.to_string(),
            Arg::Template(..) => "template".into(),
            Arg::Map(entries) => {
                let entries = entries.iter().map(|(key, arg)| format!("{key}: {}", said(arg)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
            Arg::List(items) => format!("[{}]", items.iter().map(said).collect::<Vec<_>>().join(", ")),
            Arg::Secret(name) => format!("secret {name}"),
            Arg::File(file) => format!("file {}", file.path),
        }
    }

    #[test]
    fn parameters_are_read_by_their_types() {
        let cases: &[(&str, &str)] = &[
            ("kind: soft", "kind=\"soft\""),
            ("grace: 90s", "grace=\"1m30s\""),
            ("grace: \"{{ inputs.grace }}\"", "grace=template"),
            ("count: 3", "count=3"),
            ("wait: true", "wait=true"),
            ("wait: \"{{ inputs.wait }}\"", "wait=template"),
            ("script: echo", "script=\"echo\""),
            ("token: {secret: cloud}", "token=secret cloud"),
            ("body: {a: [1, x], template: {b: 1}}", "body={a: [1, \"x\"], template: {b: 1}}"),
            ("body: {template: logs}", "body={template: \"logs\"}"),
            ("to: es-b", "to=\"es-b\""),
            ("tell: ops", "tell=\"ops\""),
        ];
        for (with, wanted) in cases {
            let used = used(&format!("use: cloud.node.stop\n    with:\n      node: a1\n      {with}"));
            let args: Vec<String> =
                used.args.iter().map(|(name, arg)| format!("{name}={}", said(arg))).collect();
            assert_eq!(args, [*wanted]);
            assert!(matches!(used.subject, Some(Subject::Node(name)) if *name == *"a1"));
        }
    }

    #[test]
    fn a_command_is_what_its_use_claims_and_the_runner_confirms() {
        for (effect, wanted) in [
            ("", (Effect::AtMostOnce, true)),
            (", effect: read", (Effect::Read, false)),
            (", effect: idempotent", (Effect::Idempotent, true)),
            (", effect: at_most_once", (Effect::AtMostOnce, true)),
        ] {
            let run = used(&format!("use: exec.run\n    with: {{node: a1, command: rotate{effect}}}"));
            assert_eq!((run.effect, run.destructive), wanted, "{effect}");
        }
    }

    #[test]
    fn the_first_object_is_what_it_acts_on() {
        let service = used("use: endpoint.set\n    with: {service: search, active: es-b}");
        assert!(matches!(&service.subject, Some(Subject::Service(name)) if **name == *"search"));
        assert_eq!(said(&service.args[0].1), "\"es-b\"");
        let path = used(
            "use: endpoint.set\n    with: {service: \"{{ target }}\", active: \"{{ target.standby }}\"}",
        );
        assert!(matches!(path.subject, Some(Subject::Path(_))));
        assert_eq!(said(&path.args[0].1), "template");
        let told = used("use: notify.send\n    with: {to: ops, text: \"hello {{ run.id }}\"}");
        assert!(told.subject.is_none());
        assert_eq!(told.effect, Effect::Tell);
    }

    #[test]
    fn what_is_unsaid_is_the_actions_own() {
        let stop = used("use: cloud.node.stop\n    with: {node: a1, kind: hard, grace: 5s}");
        assert_eq!((stop.timeout, stop.attempts, stop.destructive), (Span::minutes(2), 1, true));
        let Undo::Action(undo) = &stop.undo else { panic!("{:?}", stop.undo) };
        assert_eq!((&*undo.action.name, undo.attempts, undo.destructive), ("cloud.node.start", 3, false));
        let names: Vec<&str> = undo.args.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["kind"], "as far as it knows them");
        assert!(undo.subject.is_some());
        let start = used("use: cloud.node.start\n    with: {node: a1}\n    timeout: 5s\n    attempts: 2");
        assert_eq!((start.timeout, start.attempts), (Span::seconds(5), 2));
        assert!(matches!(start.undo, Undo::None));
    }

    #[test]
    fn each_slip_is_told() {
        each_is_told(&[
            ("steps: [{id: a, use: cloud.node.stpo, with: {node: a1}}]", 201, "cloud.node.stpo"),
            ("steps: [{id: a, use: cloud.node.stop}]", 108, "parameter `node`"),
            (
                "steps: [{id: a, use: cloud.node.stop, with: {node: a1, hard: true}}]",
                101,
                "unknown key `hard`",
            ),
            (
                "steps: [{id: a, use: cloud.node.stop, with: {node: a1, kind: sotf}}]",
                203,
                "`kind` wants one of",
            ),
            ("steps: [{id: a, use: cloud.node.stop, with: {node: a1, grace: 5}}]", 106, "`5` is no duration"),
            (
                "steps: [{id: a, use: cloud.node.stop, with: {node: a1, count: 1.5}}]",
                203,
                "`count` wants a whole",
            ),
            ("steps: [{id: a, use: cloud.node.stop, with: {node: a1, wait: yes}}]", 203, "`true` or `false`"),
            ("steps: [{id: a, use: cloud.node.stop, with: {node: {a: 1}}}]", 203, "wants text"),
            (
                "steps: [{id: a, use: cloud.node.stop, with: {node: a1, script: {template: no.hbs}}}]",
                205,
                "no.hbs",
            ),
            (
                "steps: [{id: a, use: http.request, with: {url: 'http://x', node: a1, group: es-a}}]",
                107,
                "`node` and `group`",
            ),
            ("steps: [{id: a, use: cloud.node.tag, with: {node: a1}}]", 108, "which undoes it, needs it"),
            (
                "steps: [{id: a, use: cloud.service.move, with: {service: s, to: g}, attempts: 2}]",
                506,
                "act twice",
            ),
        ]);
    }
}

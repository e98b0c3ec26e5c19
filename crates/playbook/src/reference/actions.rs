//! docs/reference/actions.md: a section for each action.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use regreen_schemas::action::{EXEC_RUN, Effect, HTTP_REQUEST, ParamType};

use super::cell;
use crate::action::{Action, Param, ParamKind};

const HEAD: &str = "# Actions\n\n\
    What a step can `use`. Text parameters are templates; the others take a value, or a template that stands alone where \
    it says so. Actions of your own runners are declared in [`actions:`](keys.md#actions).\n\n\
    | effect | a second try |\n|---|---|\n\
    | `read` | Changes nothing. Tried up to 3 times. |\n\
    | `idempotent` | Twice is as good as once. Tried up to 3 times. |\n\
    | `reconcilable` | After a lost answer a look says whether it took effect. Tried once; once more when the look says that nothing was done. |\n\
    | `at_most_once` | Never. After a lost answer a person says whether it took effect. |\n\
    | `tell` | Tells people: twice is better than never. It may speak while the stop switch is on. |\n";

/// The page.
pub(super) fn page(actions: &BTreeMap<Arc<str>, Arc<Action>>) -> String {
    let mut out = HEAD.to_owned();
    actions.values().for_each(|action| section(&mut out, action));
    out
}

fn section(out: &mut String, action: &Action) {
    let _ = writeln!(out, "\n## {}\n\n{}\n", action.name, action.doc);
    let (effect, harm) = nature(action);
    let undo = action.undo.as_ref().map_or_else(|| "none".to_owned(), |undo| format!("`{undo}`"));
    let _ = writeln!(out, "| effect | can destroy | undo | timeout |\n|---|---|---|---|");
    let _ = writeln!(out, "| {effect} | {harm} | {undo} | {} |\n", action.timeout);
    out.push_str("| parameter | type | | meaning |\n|---|---|---|---|\n");
    action.params.iter().for_each(|param| parameter(out, param));
    let _ = writeln!(out, "\n{}", result(action));
}

/// Its effect, and whether it can destroy.
fn nature(action: &Action) -> (String, &'static str) {
    let effect = format!("`{}`", effect(action.effect));
    if *action.name == *HTTP_REQUEST.name {
        return (
            format!("{effect}, unless its parameters say otherwise"),
            "unless the method is GET or HEAD",
        );
    }
    if *action.name == *EXEC_RUN.name {
        return (format!("{effect}, unless `effect` says otherwise"), "unless `effect` is read");
    }
    let harm = match (action.destructive, action.irreversible) {
        (true, true) => "yes, for ever",
        (true, false) => "yes",
        (false, true) => "no, but it can't be undone",
        (false, false) => "no",
    };
    (effect, harm)
}

fn parameter(out: &mut String, param: &Param) {
    let required = if param.required { "**required**" } else { "" };
    let _ = writeln!(
        out,
        "| `{}` | {} | {required} | {} |",
        param.name,
        cell(&kind(&param.kind)),
        cell(&param.doc)
    );
}

fn result(action: &Action) -> String {
    match &action.result {
        None => "Result: not declared; only templates read it.".to_owned(),
        Some(fields) if fields.is_empty() => "Result: nothing.".to_owned(),
        Some(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, kind)| format!("`{name}` ({kind})")).collect();
            format!("Result: {}.", fields.join(", "))
        }
    }
}

const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Idempotent => "idempotent",
        Effect::Reconcilable => "reconcilable",
        Effect::AtMostOnce => "at_most_once",
        Effect::Tell => "tell",
    }
}

fn kind(kind: &ParamKind) -> String {
    let words = |words: &mut dyn Iterator<Item = &str>| {
        words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    match kind {
        ParamKind::Is(ParamType::Text) => "template, or `{template: file.hbs}`".into(),
        ParamKind::Is(ParamType::Url) => "template; values are percent-encoded".into(),
        ParamKind::Is(ParamType::OneOf(known)) => words(&mut known.iter().copied()),
        ParamKind::OneOf(known) => words(&mut known.iter().map(AsRef::as_ref)),
        ParamKind::Is(ParamType::Ints) => "list of: whole number, 100 to 599".into(),
        ParamKind::Is(ParamType::Headers) => "map of names to: template, or `{secret: name}`".into(),
        ParamKind::Is(ParamType::Json) => "any value; text in it is a template".into(),
        ParamKind::Is(ParamType::Observe) => "[observe](keys.md#observe)".into(),
        ParamKind::Is(ParamType::Node) => "a node: `\"{{ target }}\"`, or its name".into(),
        ParamKind::Is(ParamType::Group) => "a group: `\"{{ target.group }}\"`, or its name".into(),
        ParamKind::Service => "a service: `\"{{ target }}\"`, or its name".into(),
        ParamKind::Receiver => "name of a receiver".into(),
        ParamKind::Is(ParamType::Int) => "whole number, or a template that stands alone".into(),
        ParamKind::Is(ParamType::Bool) => "`true` or `false`, or a template that stands alone".into(),
        ParamKind::Is(ParamType::Duration) => "duration, or a template that stands alone".into(),
        ParamKind::Is(ParamType::Code) => {
            "code, or `{template: file.hbs}`; nothing from outside may stand in it".into()
        }
    }
}

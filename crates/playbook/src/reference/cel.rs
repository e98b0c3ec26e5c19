//! docs/reference/cel.md: the names and functions that expressions and templates see.

use std::fmt::Write as _;

use super::{anchor, cell};
use crate::{
    cel::{HEIGHT_MAX, TOKENS_MAX},
    names::{Field, Form, Function, Object, functions, objects},
};

/// Names that stand for themselves: each with its type and where it is seen.
const ROOTS: &[(&str, &str, &str)] = &[
    (
        "`target`",
        "[node](#node), [group](#group) or [service](#service)",
        "What the run acts on, as of its start. Not where `target: none`.",
    ),
    ("`alert`", "[alert](#alert)", "Where every trigger is an `alert`."),
    ("`verdict`", "[verdict](#verdict)", "Where every trigger is a `verdict`."),
    (
        "`event`",
        "[event](#event)",
        "Where every trigger is a `webhook`; its `data` only in the trigger's `inputs`.",
    ),
    ("`inputs`", "object", "The inputs that the playbook declares."),
    ("`vars`", "object", "The constants of the playbook."),
    ("`run`", "[run](#run)", "The run itself."),
    ("`now`", "timestamp", "The moment of asking. In CEL only."),
    ("`steps`", "object of [step](#step)", "Earlier steps by their ids: `steps.reboot.ok`."),
    ("the name after `as`", "item of the list", "Within `for_each`."),
    ("`node`, `group`", "[node](#node), [group](#group)", "Under `with` of checks."),
    ("`status`, `json`, `before`", "int, JSON, [observation](#observation)", "In `done` of `observe`."),
];

const HEAD: &str = "# CEL and templates\n\n\
    `when`, `if`, `for_each`, `done` and the values of `set` and `outputs` are CEL: typed, without loops or side effects. \
    Templates only fill in: `{{ path }}`, where a path is names joined by dots; computing is for `set`.\n\n\
    A check without verdict makes `up`, `degraded` and `down` *unknown*. Unknown passes `!`, `&&` and `||` and never \
    becomes true: `when` does not start the run, `if` fails the step. `false && unknown` is false, `true || unknown` is \
    true. Only `known()` asks whether there is a verdict.\n\n";

/// The page.
pub(super) fn page() -> String {
    let mut out = HEAD.to_owned();
    let _ = writeln!(
        out,
        "An expression has at most {TOKENS_MAX} words and signs, and is at most {HEIGHT_MAX} levels deep.\n\n\
         Operators: `||`, `&&`, `!`, `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `+`, `-`, `*`, `/`, `%`, `a ? b : c`. Both \
         sides are of one type: labels are text, so compare `int(alert.labels.percent) > 90`.\n\n\
         ## Names\n\n| name | type | |\n|---|---|---|"
    );
    for (name, kind, doc) in ROOTS {
        let _ = writeln!(out, "| {name} | {kind} | {doc} |");
    }
    out.push_str("\n## Functions\n\n| function | takes → gives | meaning |\n|---|---|---|\n");
    functions().iter().for_each(|function| line(&mut out, function));
    out.push_str("\n## Objects\n");
    objects().iter().for_each(|object| section(&mut out, object));
    out
}

fn line(out: &mut String, function: &Function) {
    let forms: Vec<String> = function.forms.iter().map(form).collect();
    let _ = writeln!(out, "| `{}` | {} | {} |", cell(function.usage), forms.join("; "), cell(function.doc));
}

fn form(form: &Form) -> String {
    let takes: Vec<String> = form.takes.iter().map(|field| kind(*field)).collect();
    format!("{} → {}", takes.join(", "), kind(form.gives))
}

fn section(out: &mut String, object: &Object) {
    let _ =
        writeln!(out, "\n### {}\n\n{}\n\n| field | type | meaning |\n|---|---|---|", object.name, object.doc);
    for field in object.fields {
        let _ = writeln!(out, "| `{}` | {} | {} |", field.name, kind(field.field), cell(field.doc));
    }
}

fn kind(field: Field) -> String {
    match field {
        Field::Is(make) => make().to_string(),
        Field::ListOf(object) => format!("list of [{object}](#{})", anchor(object)),
        Field::Object(object) => format!("[{object}](#{})", anchor(object)),
        Field::AnyList => "list".into(),
        Field::Result => "as of the step".into(),
    }
}

//! docs/reference/keys.md: a section for each map, a line for each key.

use std::fmt::Write as _;

use super::{anchor, cell};
use crate::keys::{CHECK_KINDS, DOCUMENTS, EVERYWHERE, Key, OBSERVE_TABLE, STEP_TABLE, Shape, Table, tables};

const HEAD: &str = "# Keys\n\n\
    Everything that may stand in a file. A key that is not listed is an error, never ignored. A key that is left out has \
    its default; **required** ones must be there.\n\n\
    | type | is | example |\n|---|---|---|\n\
    | text | Text as it is. `{{` may not stand in it. | `Restarts a node.` |\n\
    | name | Lower-case letters, digits, `-` and `_`, at most 40. | `web-down` |\n\
    | id | Letters, digits and `_`, beginning with a letter, at most 40: expressions use it. | `back_up` |\n\
    | template | Text in which `{{ path }}` is filled in; nothing is computed. | `\"web/{{ target.name }}\"` |\n\
    | CEL | An expression, without braces: [CEL](cel.md). | `down(\"web/\" + target.name)` |\n\
    | duration | Number and unit, large to small: `d` days, `h` hours, `m` minutes, `s` seconds, `ms` milliseconds. | `1h30m` |\n\
    | percentage | A whole number and `%`, 1 to 100. | `50%` |\n\
    | matcher | One of Alertmanager's: label, `=`, `!=`, `=~` or `!~`, value in double quotes; regular expressions are anchored. | `node!=\"\"` |\n\
    | cron | Minute, hour, day of the month, month, day of the week. | `\"0 3 * * mon-fri\"` |\n\n";

/// The page.
pub(super) fn page() -> String {
    let mut out = HEAD.to_owned();
    let codes: Vec<String> = EVERYWHERE.iter().map(|code| code_link(*code)).collect();
    let _ = writeln!(out, "Errors that any place can give: {}.\n", codes.join(", "));
    let documents: Vec<String> = DOCUMENTS.iter().map(link).collect();
    let _ = writeln!(
        out,
        "A file begins with `apiVersion: regreen/v1`; the next key says what it is: {}. Several documents in a file are \
         parted by `---`.",
        documents.join(", ")
    );
    for table in tables().iter().chain([&OBSERVE_TABLE]) {
        section(&mut out, table);
    }
    out
}

fn section(out: &mut String, table: &Table) {
    let _ = writeln!(out, "\n## {}\n", table.name);
    if !table.kinds.is_empty() {
        let kinds: Vec<String> = table.kinds.iter().map(|kind| format!("`{kind}`")).collect();
        let _ = writeln!(out, "Exactly one of {}.\n", kinds.join(", "));
    }
    if table.keys.is_empty() {
        let _ = writeln!(out, "`{{}}`: it has no keys.");
        return;
    }
    out.push_str("| key | type | default | meaning | example | errors |\n|---|---|---|---|---|---|\n");
    table.keys.iter().for_each(|key| line(out, key));
    if table.name == "check" {
        kinds(out);
    }
}

fn line(out: &mut String, key: &Key) {
    let default = match key.default {
        Some(default) => format!("`{default}`"),
        None if key.required => "**required**".to_owned(),
        None => String::new(),
    };
    let errors: Vec<String> = key.findings().into_iter().map(code_link).collect();
    let _ = writeln!(
        out,
        "| `{}` | {} | {} | {} | `{}` | {} |",
        key.name,
        cell(&kind(&key.shape)),
        cell(&default),
        cell(key.doc),
        cell(key.example),
        errors.join(" ")
    );
}

fn kinds(out: &mut String) {
    out.push_str("\n| kind | looks at | needs `with` | may `measure` |\n|---|---|---|---|\n");
    for kind in CHECK_KINDS {
        let with = kind.with.map_or_else(|| "none; `of`".to_owned(), |table| link(&table));
        let measures: Vec<String> = kind.measures.iter().map(|word| format!("`{word}`")).collect();
        let _ = writeln!(out, "| `{}` | {} | {with} | {} |", kind.word, cell(kind.doc), measures.join(", "));
    }
}

fn code_link(code: u16) -> String {
    format!("[RG{code}](../errors/RG{code}.md)")
}

fn link(table: &Table) -> String {
    format!("[{}](#{})", table.name, anchor(table.name))
}

/// What a shape is, for people.
fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text".into(),
        Shape::Name => "name".into(),
        Shape::Id => "id".into(),
        Shape::Refers(thing) => format!("name of {}", thing.word()),
        Shape::Template => "template".into(),
        Shape::Cel => "CEL".into(),
        Shape::Duration => "duration".into(),
        Shape::Moment => "time, RFC 3339".into(),
        Shape::Int { min, max } => format!("whole number, {min} to {max}"),
        Shape::Number => "number".into(),
        Shape::Percent => "percentage".into(),
        Shape::Bool => "`true` or `false`".into(),
        Shape::True => "`true`".into(),
        Shape::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::Matcher => "matcher".into(),
        Shape::Cron => "cron".into(),
        Shape::List(item) => format!("list of: {}", kind(item)),
        Shape::Steps => format!("list of: {}", link(&STEP_TABLE)),
        Shape::Named(value) => format!("map of names to: {}", kind(value)),
        Shape::Keys(table) => link(table),
        Shape::Either(shapes) => shapes.iter().map(kind).collect::<Vec<_>>().join("; or "),
        Shape::Empty => "nothing".into(),
        Shape::ActionWith => "the [action](actions.md)'s parameters".into(),
        Shape::CheckWith => "what the kind needs".into(),
        Shape::Any => "any value".into(),
    }
}

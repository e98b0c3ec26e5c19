//! What expressions and templates can see: the objects and their fields. One table; the checker, the reference
//! and the messages read it.

use crate::value::Type;

/// Fields of an object.
#[must_use]
pub fn fields(kind: &str) -> &'static [(&'static str, Field)] {
    match kind {
        "node" => NODE,
        "group" => GROUP,
        "alert" => ALERT,
        "run" => RUN,
        "step" => STEP,
        "http result" => HTTP_RESULT,
        "observation" => OBSERVATION,
        _ => &[],
    }
}

/// A field's type, in a form that a table can hold.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// A simple type.
    Is(fn() -> Type),
    /// A list of objects.
    ListOf(&'static str),
    /// An object.
    Object(&'static str),
}

/// The type of a field.
#[must_use]
pub fn field(kind: &str, name: &str) -> Option<Type> {
    fields(kind).iter().find(|(field, _)| *field == name).map(|(_, field)| match field {
        Field::Is(make) => make(),
        Field::ListOf(kind) => Type::List(Box::new(Type::Object(kind))),
        Field::Object(kind) => Type::Object(kind),
    })
}

const STR: Field = Field::Is(|| Type::Str);
const BOOL: Field = Field::Is(|| Type::Bool);
const INT: Field = Field::Is(|| Type::Int);
const LABELS: Field = Field::Is(|| Type::Labels);
const TIME: Field = Field::Is(|| Type::Time);
const JSON: Field = Field::Is(|| Type::Json);

const NODE: &[(&str, Field)] = &[
    ("name", STR),
    ("id", STR),
    ("ids", LABELS),
    ("address", STR),
    ("labels", LABELS),
    ("group", Field::Object("group")),
];
const GROUP: &[(&str, Field)] = &[("name", STR), ("labels", LABELS), ("nodes", Field::ListOf("node"))];
const ALERT: &[(&str, Field)] =
    &[("labels", LABELS), ("annotations", LABELS), ("starts_at", TIME), ("fingerprint", STR)];
const RUN: &[(&str, Field)] = &[("id", STR), ("playbook", STR), ("started", TIME)];
const STEP: &[(&str, Field)] = &[
    ("ok", BOOL),
    ("failed", BOOL),
    ("skipped", BOOL),
    ("error", STR),
    ("result", Field::Object("http result")),
];
const HTTP_RESULT: &[(&str, Field)] = &[("status", INT), ("json", JSON)];
const OBSERVATION: &[(&str, Field)] = &[("status", INT), ("json", JSON)];

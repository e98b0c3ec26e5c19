//! What expressions and templates can see: objects with their fields, and functions. One table of each; the checker,
//! the reference and the messages read them.

use crate::value::Type;

/// An object with fields.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Its type's name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Its fields, in the order of the reference.
    pub fields: &'static [Named],
}

/// A field with its name.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// As written.
    pub name: &'static str,
    /// Its type.
    pub field: Field,
    /// One sentence.
    pub doc: &'static str,
}

/// A type, in a form that a table can hold.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// A simple type.
    Is(fn() -> Type),
    /// A list of objects.
    ListOf(&'static str),
    /// An object.
    Object(&'static str),
    /// A list of anything; only functions take it.
    AnyList,
    /// What the action, `set` or `run` gives.
    Result,
}

impl Field {
    /// The type; JSON where only the place can tell.
    #[must_use]
    pub fn kind(self) -> Type {
        match self {
            Self::Is(make) => make(),
            Self::ListOf(kind) => Type::List(Box::new(Type::Object(kind))),
            Self::Object(kind) => Type::Object(kind),
            Self::AnyList | Self::Result => Type::Json,
        }
    }

    /// Whether a value of this type will do.
    #[must_use]
    pub fn takes(self, found: &Type) -> bool {
        match self {
            Self::AnyList => matches!(found, Type::List(_)),
            _ => *found == self.kind(),
        }
    }
}

/// A function of CEL.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What it takes and gives, one for each way to call it. None: the parser knows its form.
    pub forms: &'static [Form],
    /// One sentence.
    pub doc: &'static str,
}

/// A way to call a function.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Types of its arguments; the receiver is the first.
    pub takes: &'static [Field],
    /// Type of its value.
    pub gives: Field,
}

/// Every object.
#[must_use]
pub fn objects() -> &'static [Object] {
    OBJECTS
}

/// Every function.
#[must_use]
pub fn functions() -> &'static [Function] {
    FUNCTIONS
}

/// Fields of an object.
#[must_use]
pub fn fields(kind: &str) -> &'static [Named] {
    OBJECTS.iter().find(|object| object.name == kind).map_or(&[], |object| object.fields)
}

/// The type of a field.
#[must_use]
pub fn field(kind: &str, name: &str) -> Option<Type> {
    fields(kind).iter().find(|field| field.name == name).map(|field| field.field.kind())
}

const STR: Field = Field::Is(|| Type::Str);
const BOOL: Field = Field::Is(|| Type::Bool);
const INT: Field = Field::Is(|| Type::Int);
const SPAN: Field = Field::Is(|| Type::Span);
const LABELS: Field = Field::Is(|| Type::Labels);
const TIME: Field = Field::Is(|| Type::Time);
const JSON: Field = Field::Is(|| Type::Json);
const GROUP: Field = Field::Object("group");

const fn named(name: &'static str, field: Field, doc: &'static str) -> Named {
    Named { name, field, doc }
}

const OBJECTS: &[Object] = &[
    Object {
        name: "node",
        doc: "A node of the inventory, as of the start.",
        fields: &[
            named("name", STR, "Its name."),
            named("id", STR, "The provider's id."),
            named("ids", LABELS, "Further ids by name."),
            named("address", STR, "Where it answers."),
            named("labels", LABELS, "Free words."),
            named("group", GROUP, "The group that it is in."),
        ],
    },
    Object {
        name: "group",
        doc: "A group of the inventory, as of the start.",
        fields: &[
            named("name", STR, "Its name."),
            named("labels", LABELS, "Free words."),
            named("nodes", Field::ListOf("node"), "Its nodes, by name."),
        ],
    },
    Object {
        name: "service",
        doc: "A service of the inventory, as of the start.",
        fields: &[
            named("name", STR, "Its name."),
            named("active", GROUP, "The group that serves it."),
            named("standby", GROUP, "The other one."),
            named("preferred", GROUP, "The one that should serve it when all is well."),
        ],
    },
    Object {
        name: "alert",
        doc: "The alert that started the run.",
        fields: &[
            named("labels", LABELS, "Its labels; one is only sure where a matcher or `has()` ensures it."),
            named("annotations", LABELS, "Its annotations."),
            named("starts_at", TIME, "When it began to fire."),
            named("fingerprint", STR, "What names its labels."),
        ],
    },
    Object {
        name: "verdict",
        doc: "The verdict that started the run.",
        fields: &[
            named("check", STR, "The check."),
            named("status", STR, "`up`, `degraded` or `down`."),
            named("since", TIME, "Since when it is so."),
            named("node", STR, "The node that the check is of; of checks with `each: node`."),
            named("group", STR, "The group that the check is of; of checks with `each`."),
            named("service", STR, "The service that the group is a side of."),
        ],
    },
    Object { name: "event", doc: "The posted event that started the run.", fields: EVENT },
    Object {
        name: "posted event",
        doc: "The posted event, in the `inputs` of its trigger.",
        fields: &[EVENT[0], EVENT[1], EVENT[2], named("data", JSON, "What it holds.")],
    },
    Object {
        name: "run",
        doc: "The run itself.",
        fields: &[
            named("id", STR, "Its id."),
            named("playbook", STR, "Its playbook."),
            named("started", TIME, "When it began."),
        ],
    },
    Object {
        name: "step",
        doc: "An earlier step.",
        fields: &[
            named("ok", BOOL, "It went well."),
            named("failed", BOOL, "It failed."),
            named("skipped", BOOL, "Its `if` was false."),
            named("error", STR, "Why it failed."),
            named("result", Field::Result, "What its action, `set` or `run` gave."),
        ],
    },
    Object {
        name: "observation",
        doc: "A look at what a request changes, taken before it.",
        fields: &[named("status", INT, "Of the answer."), named("json", JSON, "The answer.")],
    },
];

const EVENT: &[Named] = &[
    named("id", STR, "Its id."),
    named("type", STR, "Its type."),
    named("source", STR, "Where it comes from."),
];

const ASKS: &[Form] = &[Form { takes: &[STR], gives: BOOL }];
const TEXTS: &[Form] = &[Form { takes: &[STR, STR], gives: BOOL }];

const fn function(
    name: &'static str,
    usage: &'static str,
    forms: &'static [Form],
    doc: &'static str,
) -> Function {
    Function { name, usage, forms, doc }
}

const FUNCTIONS: &[Function] = &[
    function("up", "up(\"check\")", ASKS, "The check's verdict is up; unknown while there is none."),
    function("degraded", "degraded(\"check\")", ASKS, "It is degraded; unknown while there is none."),
    function("down", "down(\"check\")", ASKS, "It is down; unknown while there is none."),
    function("known", "known(\"check\")", ASKS, "There is a verdict: the only way to ask that."),
    function(
        "group",
        "group(\"name\")",
        &[Form { takes: &[STR], gives: GROUP }],
        "A group of the inventory.",
    ),
    function("has", "has(alert.labels.env)", &[], "The field is there."),
    function(
        "size",
        "size(list)",
        &[Form { takes: &[STR], gives: INT }, Form { takes: &[Field::AnyList], gives: INT }],
        "How many characters or items.",
    ),
    function(
        "int",
        "int(\"90\")",
        &[Form { takes: &[STR], gives: INT }, Form { takes: &[INT], gives: INT }],
        "The whole number that a text is.",
    ),
    function(
        "string",
        "string(90)",
        &[Form { takes: &[INT], gives: STR }, Form { takes: &[STR], gives: STR }],
        "The text of a number.",
    ),
    function(
        "duration",
        "duration(\"1h30m\")",
        &[Form { takes: &[STR], gives: SPAN }],
        "The length of time that a text is.",
    ),
    function("startsWith", "text.startsWith(\"part\")", TEXTS, "The text starts so."),
    function("endsWith", "text.endsWith(\"part\")", TEXTS, "The text ends so."),
    function("contains", "text.contains(\"part\")", TEXTS, "The part stands in the text."),
    function("exists", "list.exists(x, up(x.name))", &[], "It is so for some item."),
    function("all", "list.all(x, up(x.name))", &[], "It is so for every item."),
    function("filter", "list.filter(x, up(x.name))", &[], "The items for which it is so."),
    function("map", "list.map(x, x.name)", &[], "Each item turned into something."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_that_a_field_names_is_there() {
        for field in objects().iter().flat_map(|object| object.fields) {
            if let Field::Object(kind) | Field::ListOf(kind) = field.field {
                assert!(!fields(kind).is_empty(), "{kind}");
            }
        }
    }

    #[test]
    fn every_usage_is_an_expression() {
        for function in functions() {
            assert!(crate::cel::parse(function.usage).is_ok(), "{}", function.usage);
        }
    }
}

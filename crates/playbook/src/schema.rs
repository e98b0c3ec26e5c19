//! The JSON Schema of the language, for editors: yaml-language-server completes, explains and checks by it. Made from
//! the table of keys and the actions, so it can't drift from what `regreen check` reads. Draft 7, which that server
//! understands best; flat properties with `oneOf` over `required`, because alternatives of whole maps would let typos
//! pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::action::ParamType;
use serde_json::{Map, Value, json};

use crate::{
    action::{Action, Param, ParamKind},
    keys::{CHECK_KINDS, DOCUMENTS, KINDS, Key, OBSERVE_TABLE, STEP_TABLE, Shape, Table, Thing, tables},
};

/// The schema of every document, with these actions under `use`: those of this build, and those that the set declares.
#[must_use]
pub fn json_schema(actions: &BTreeMap<Arc<str>, Arc<Action>>) -> Value {
    let mut definitions = Map::new();
    for known in tables() {
        definitions.insert(slug(known.name), table(&known));
    }
    definitions.insert(slug(OBSERVE_TABLE.name), table(&OBSERVE_TABLE));
    for action in actions.values() {
        definitions.insert(slug(&with_name(action)), with(action));
    }
    steps(&mut definitions, actions);
    checks(&mut definitions);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Regreen: playbooks, and the files beside them",
        "type": "object",
        // A document is what its first kind key says; one without any is offered them all.
        "allOf": [DOCUMENTS.iter().rfold(undecided(), |others, document| json!({
            "if": {"required": [document.name]},
            "then": reference(document.name),
            "else": others,
        }))],
        "definitions": definitions,
    })
}

/// A document that does not say what it is yet.
fn undecided() -> Value {
    let kind = |document: &Table| document.keys.iter().find(|key| key.name == document.name).map(property);
    let first = DOCUMENTS.iter().flat_map(|document| document.keys.first()).take(1);
    let mut properties: Map<String, Value> = first.map(|key| (key.name.into(), property(key))).collect();
    properties.extend(DOCUMENTS.iter().filter_map(|document| Some((document.name.into(), kind(document)?))));
    let kinds: Vec<Value> = KINDS.iter().map(|kind| json!({"required": [kind]})).collect();
    json!({
        "properties": properties, "required": ["apiVersion"], "additionalProperties": false, "oneOf": kinds,
    })
}

fn table(table: &Table) -> Value {
    let properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.name.into(), property(key))).collect();
    let required: Vec<&str> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !table.kinds.is_empty() {
        schema["oneOf"] = table.kinds.iter().map(|kind| json!({"required": [kind]})).collect();
    }
    for (key, others) in table.needs {
        schema["dependencies"][key] = match others {
            [one] => json!([one]),
            several => {
                json!({"anyOf": several.iter().map(|key| json!({"required": [key]})).collect::<Vec<_>>()})
            }
        };
    }
    schema
}

/// A key with its value, and what an editor shows about it.
fn property(key: &Key) -> Value {
    let default = key.default.map_or(String::new(), |text| format!("\n\nDefault: `{text}`."));
    let about = json!({
        "description": format!("{}{}", key.doc, default.replace("\n\n", " ")),
        "markdownDescription": format!("{}{default}\n\n```yaml\n{}\n```", key.doc, key.example),
    });
    let mut schema = described(shape(&key.shape), about);
    if let Some(default) = key.default.and_then(constant) {
        schema["default"] = default;
    }
    schema
}

/// In draft 7 nothing beside a reference counts.
fn described(schema: Value, about: Value) -> Value {
    let Value::Object(mut out) = about else { return schema };
    if schema.get("$ref").is_some() {
        out.insert("allOf".into(), json!([schema]));
    } else if let Value::Object(fields) = schema {
        out.extend(fields);
    }
    Value::Object(out)
}

/// A default that is one plain value.
fn constant(text: &str) -> Option<Value> {
    let plain = |text: &str| !text.starts_with(['{', '[', '"']);
    plain(text).then(|| serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{}", slug(name))})
}

/// A name that may stand in a URI fragment as it is.
fn slug(name: &str) -> String {
    name.replace([' ', '\''], "-")
}

/// Text, and what YAML reads as a number or a truth but the language as text.
fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

fn pattern(pattern: &str, message: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "patternErrorMessage": message})
}

const SPAN: &str = "^(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?$";
const NO_BRACES: &str = r"^(?:\{?[^{])*\{?$";

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Template => text(),
        Shape::Name => pattern("^[a-z0-9_-]{1,40}$", "lower-case letters, digits, `-` and `_`, at most 40"),
        Shape::Id => pattern("^[A-Za-z][A-Za-z0-9_]{0,39}$", "letters, digits and `_`, at most 40"),
        Shape::Refers(Thing::Action) => json!({"type": "string"}),
        Shape::Refers(_) => json!({"type": "string", "minLength": 1}),
        Shape::Cel => {
            let message = "an expression takes no `{{ }}`: names stand as they are";
            json!({"type": ["string", "number", "boolean"], "pattern": NO_BRACES, "patternErrorMessage": message})
        }
        Shape::Duration => {
            let mut span = pattern(SPAN, "a duration: `90s`, `15m`, `1h30m`, `2d`");
            span["minLength"] = 2.into();
            span
        }
        Shape::Moment => pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)$", "RFC 3339"),
        Shape::Int { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Shape::Number => json!({"type": "number"}),
        Shape::Percent => pattern("^(?:100|[1-9][0-9]?)%$", "a percentage: `50%`"),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::True => json!({"enum": [true]}),
        Shape::Words(words) => json!({"type": "string", "enum": words}),
        Shape::Matcher => pattern(r#"^[^=!]+(?:=~|!~|!=|=)\s*".*"\s*$"#, "a matcher: `label=\"value\"`"),
        Shape::Cron => pattern(r"^\S+(?:\s+\S+){4}$", "five fields: minute, hour, day, month, weekday"),
        Shape::List(item) => json!({"type": "array", "items": self::shape(item)}),
        Shape::Steps => json!({"type": "array", "minItems": 1, "items": reference(STEP_TABLE.name)}),
        Shape::Named(value) => json!({"type": "object", "additionalProperties": self::shape(value)}),
        Shape::Keys(table) => reference(table.name),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>()}),
        Shape::Empty => json!({"type": "null"}),
        Shape::ActionWith | Shape::CheckWith => json!({"type": "object"}),
        Shape::Any => json!({}),
    }
}

/// Under `use` stand these actions, and under `with` the parameters of the one that is used.
fn steps(definitions: &mut Map<String, Value>, actions: &BTreeMap<Arc<str>, Arc<Action>>) {
    let names: Vec<&str> = actions.keys().map(AsRef::as_ref).collect();
    let docs: Vec<String> = actions.values().map(|action| about(action)).collect();
    let known = json!({"enum": names, "enumDescriptions": docs, "markdownEnumDescriptions": docs});
    for table in [STEP_TABLE.name, "expected action"] {
        definitions[&slug(table)]["properties"]["use"]["anyOf"] = json!([known, foreign(&names)]);
    }
    let chosen = actions.values().map(|action| {
        let needs = action.params.iter().any(|param| param.required);
        let required = if needs { vec!["with"] } else { Vec::new() };
        json!({
            "if": {"properties": {"use": {"const": action.name}}, "required": ["use"]},
            "then": {"properties": {"with": reference(&with_name(action))}, "required": required},
        })
    });
    definitions[STEP_TABLE.name]["allOf"] = chosen.collect();
}

/// Actions that a file of kind `actions:` may declare. Beside one that is known, another last word is taken for a slip.
fn foreign(known: &[&str]) -> Value {
    let taken: BTreeSet<&str> = known.iter().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect();
    let taken = taken.into_iter().map(|name| name.replace('.', r"\.")).collect::<Vec<_>>().join("|");
    let other = format!(r"^(?!(?:{taken})\.[^.]*$)[a-z0-9_]+(?:\.[a-z0-9_]+)+$");
    pattern(&other, "no action of this build, nor near one: your own are declared under `actions:`")
}

/// What an editor says about an action.
fn about(action: &Action) -> String {
    let harm = if action.destructive { " Destructive." } else { "" };
    let last = if action.irreversible { " Irreversible." } else { "" };
    format!("{}{harm}{last}", action.doc)
}

fn with_name(action: &Action) -> String {
    format!("with of {}", action.name)
}

fn with(action: &Action) -> Value {
    let properties: Map<String, Value> = action
        .params
        .iter()
        .map(|param| {
            let (name, doc) = (param.name.to_string(), param.doc.as_ref());
            (name, described(parameter(param), json!({"description": doc, "markdownDescription": doc})))
        })
        .collect();
    let required: Vec<&str> =
        action.params.iter().filter(|param| param.required).map(|param| &*param.name).collect();
    json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    })
}

fn parameter(param: &Param) -> Value {
    let filled = || pattern(r"\{\{", "a template: `{{ path }}`");
    let or_filled = |schema: Value| json!({"anyOf": [schema, filled()]});
    match &param.kind {
        ParamKind::Is(ParamType::Url | ParamType::Text | ParamType::Code) => {
            json!({"anyOf": [text(), reference("secret"), file()]})
        }
        ParamKind::Is(ParamType::OneOf(words)) => json!({"type": "string", "enum": words}),
        ParamKind::Is(ParamType::Ints) => shape(&Shape::List(&Shape::Int { min: 100, max: 599 })),
        ParamKind::Is(ParamType::Headers) => {
            json!({"type": "object", "additionalProperties": {"anyOf": [text(), reference("secret")]}})
        }
        ParamKind::Is(ParamType::Json) => json!({}),
        ParamKind::Is(ParamType::Observe) => reference(OBSERVE_TABLE.name),
        ParamKind::Is(ParamType::Node | ParamType::Group) | ParamKind::Service | ParamKind::Receiver => {
            json!({"type": "string", "minLength": 1})
        }
        ParamKind::OneOf(words) => or_filled(json!({"type": "string", "enum": words})),
        ParamKind::Is(ParamType::Int) => or_filled(json!({"type": "integer"})),
        ParamKind::Is(ParamType::Bool) => or_filled(json!({"type": "boolean"})),
        ParamKind::Is(ParamType::Duration) => or_filled(shape(&Shape::Duration)),
    }
}

/// `{template: file.hbs}`.
fn file() -> Value {
    json!({
        "type": "object",
        "properties": {"template": {"type": "string", "description": "A file of the set, filled in."}},
        "required": ["template"],
        "additionalProperties": false,
    })
}

/// Under `with` stands what the check's kind needs, and under `measure` what it can measure.
fn checks(definitions: &mut Map<String, Value>) {
    let docs: Vec<&str> = CHECK_KINDS.iter().map(|kind| kind.doc).collect();
    definitions["check"]["properties"]["kind"]["enumDescriptions"] = json!(docs);
    let chosen = CHECK_KINDS.iter().map(|kind| {
        let needs = if kind.with.is_some() { "with" } else { "of" };
        let mut then = json!({"required": [needs]});
        if let Some(with) = kind.with {
            then["properties"]["with"] = reference(with.name);
        }
        if !kind.measures.is_empty() {
            then["properties"]["measure"] = json!({"enum": kind.measures});
        }
        json!({"if": {"properties": {"kind": {"const": kind.word}}, "required": ["kind"]}, "then": then})
    });
    definitions["check"]["allOf"] = chosen.collect();
}

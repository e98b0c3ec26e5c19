//! Types of inputs, results and constants, and their values from text.

use std::sync::Arc;

use regreen_schemas::time::parse_span;

use crate::{
    tree::{Kind, Node},
    value::{Type, Value},
    walk::Walk,
};

/// Words of simple types.
const WORDS: [(&str, Type); 7] = [
    ("string", Type::Str),
    ("int", Type::Int),
    ("bool", Type::Bool),
    ("duration", Type::Span),
    ("node", Type::Object("node")),
    ("group", Type::Object("group")),
    ("service", Type::Object("service")),
];

/// A type: a word, or `[word]` for a list.
pub(super) fn kind(walk: &mut Walk<'_>, node: &Node, more: &[(&str, Type)]) -> Option<Type> {
    let words: Vec<(&str, &Type)> = WORDS.iter().chain(more).map(|(word, kind)| (*word, kind)).collect();
    match &node.kind {
        Kind::List(items) => match items.as_slice() {
            [item] => walk.one_of(item, "type", &words).map(|kind| Type::List(Box::new(kind.clone()))),
            _ => {
                walk.wrong(node, "type", "one type in its list", "like `[string]`");
                None
            }
        },
        _ => walk.one_of(node, "type", &words).cloned(),
    }
}

/// A value of a type, as people write it.
pub(super) fn constant(walk: &mut Walk<'_>, node: &Node, kind: &Type) -> Option<Value> {
    let value = match (&node.kind, kind) {
        (Kind::List(items), Type::List(item)) => items
            .iter()
            .map(|node| node.text().and_then(|text| from_text(text, item)))
            .collect::<Option<Vec<_>>>()
            .map(|items| Value::List(Arc::new(items))),
        (_, Type::List(_)) => None,
        _ => node.text().and_then(|text| from_text(text, kind)),
    };
    if value.is_none() {
        walk.error(203, node, format!("this is no {kind}"), "here", "");
    }
    value
}

/// A value of a simple type from its text. Objects of the inventory go by their names.
pub(crate) fn from_text(text: &str, kind: &Type) -> Option<Value> {
    match kind {
        Type::Int => text.parse().ok().map(Value::Int),
        Type::Bool => text.parse().ok().map(Value::Bool),
        Type::Span => parse_span(text).map(Value::Span),
        Type::Str | Type::Object(_) => Some(Value::str(text)),
        Type::Time | Type::List(_) | Type::Labels | Type::Record(_) | Type::Json => None,
    }
}

/// A value of a type from JSON. The command line knows only text: lists stand there with commas.
pub(crate) fn from_json(json: &serde_json::Value, kind: &Type) -> Option<Value> {
    match (json, kind) {
        (serde_json::Value::Array(items), Type::List(item)) => {
            let items: Option<Vec<_>> = items.iter().map(|json| from_json(json, item)).collect();
            Some(Value::List(Arc::new(items?)))
        }
        (serde_json::Value::String(text), Type::List(item)) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let items: Option<Vec<_>> = parts.map(|part| from_text(part, item)).collect();
            Some(Value::List(Arc::new(items?)))
        }
        (serde_json::Value::String(text), _) => from_text(text, kind),
        (serde_json::Value::Number(number), Type::Int) => number.as_i64().map(Value::Int),
        (serde_json::Value::Bool(value), Type::Bool) => Some(Value::Bool(*value)),
        _ => None,
    }
}

/// A constant, whose type its writing tells: unquoted `true` and `false`, whole numbers and durations; all else is
/// text. A list is of one type.
pub(super) fn inferred(walk: &mut Walk<'_>, node: &Node) -> Option<Value> {
    let Kind::List(items) = &node.kind else { return scalar(walk, node) };
    let values: Vec<Value> = items.iter().map(|item| scalar(walk, item)).collect::<Option<_>>()?;
    let Some(first) = values.first() else {
        walk.wrong(node, "vars", "an item at least: an empty list has no type", "take it out");
        return None;
    };
    let same = |value: &Value| std::mem::discriminant(value) == std::mem::discriminant(first);
    if let Some(at) = values.iter().position(|value| !same(value)) {
        walk.error(203, &items[at], "a list is of one type", "another type than the first", "quote both");
        return None;
    }
    Some(Value::List(Arc::new(values)))
}

fn scalar(walk: &mut Walk<'_>, node: &Node) -> Option<Value> {
    let text = walk.plain(node, "vars")?;
    if node.is_null() {
        walk.wrong(node, "vars", "a value", "take it out, or write `\"\"`");
        return None;
    }
    let plain = matches!(&node.kind, Kind::Scalar { plain: true, .. });
    let typed = [Type::Bool, Type::Int, Type::Span];
    let found = typed.iter().filter(|_| plain).find_map(|kind| from_text(text, kind));
    Some(found.unwrap_or_else(|| Value::str(text)))
}

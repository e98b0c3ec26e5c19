//! Parameters of actions: constants, templates, files and references to secrets.

use regreen_schemas::action::ParamType;

use super::{expression, kind::from_text, shelf, template, within};
use crate::{
    action::{Action, Param, ParamKind},
    cel, keys,
    model::{Arg, Escape},
    tree::{Kind, Node},
    value::Type,
    walk::Walk,
};

pub(super) fn argument(walk: &mut Walk<'_>, node: &Node, param: &Param, action: &Action) -> Option<Arg> {
    let name = &*param.name;
    match &param.kind {
        ParamKind::Is(ParamType::Url) => filled(walk, node, name, Escape::Url),
        ParamKind::Is(ParamType::Text | ParamType::Code) => text(walk, node, name, action),
        ParamKind::Is(ParamType::OneOf(words)) => one_of(walk, node, name, words.iter().copied()),
        ParamKind::OneOf(words) => one_of(walk, node, name, words.iter().map(AsRef::as_ref)),
        ParamKind::Is(ParamType::Ints) => {
            let numbers: Vec<u32> =
                walk.list(node, name).iter().filter_map(|item| walk.int(item, name, 100..=599)).collect();
            Some(Arg::Constant(numbers.into()))
        }
        ParamKind::Is(ParamType::Headers) => headers(walk, node, name),
        ParamKind::Is(ParamType::Json) => json(walk, node, name),
        ParamKind::Is(ParamType::Observe) => observe(walk, node),
        ParamKind::Is(ParamType::Int) => typed(walk, node, name, &Type::Int),
        ParamKind::Is(ParamType::Bool) => typed(walk, node, name, &Type::Bool),
        ParamKind::Is(ParamType::Duration) => typed(walk, node, name, &Type::Span),
        // A further object, or somebody to tell: by name, or by a path to it.
        ParamKind::Is(ParamType::Node | ParamType::Group) | ParamKind::Service | ParamKind::Receiver => {
            filled(walk, node, name, Escape::Plain)
        }
    }
}

fn filled(walk: &mut Walk<'_>, node: &Node, name: &str, escape: Escape) -> Option<Arg> {
    let template = template(walk, node, name)?;
    Some(match template.constant() {
        Some(text) => Arg::Constant(text.into()),
        None => Arg::Template(template, escape),
    })
}

fn one_of<'a>(
    walk: &mut Walk<'_>,
    node: &Node,
    name: &str,
    words: impl Iterator<Item = &'a str>,
) -> Option<Arg> {
    let words: Vec<(&str, &str)> = words.map(|word| (word, word)).collect();
    walk.one_of(node, name, &words).map(|word| Arg::Constant(word.into()))
}

/// Text, a file of the set, or a secret. Only foreign actions take secrets anywhere: others have keys for them.
fn text(walk: &mut Walk<'_>, node: &Node, name: &str, action: &Action) -> Option<Arg> {
    if let Some(value) = only(node, "template") {
        return shelf::file(walk, value).map(Arg::File);
    }
    let secret = if action.foreign { secret(walk, node, None) } else { None };
    secret.or_else(|| filled(walk, node, name, Escape::Plain))
}

/// A constant of a type, or a template whose value will be of it.
fn typed(walk: &mut Walk<'_>, node: &Node, name: &str, kind: &Type) -> Option<Arg> {
    if node.text().is_some_and(|text| text.contains("{{")) {
        return filled(walk, node, name, Escape::Plain);
    }
    if *kind == Type::Span {
        return walk.duration(node, name).map(|span| Arg::Constant(span.to_string().into()));
    }
    let value = node.text().and_then(|text| from_text(text, kind));
    if value.is_none() {
        let wanted = if *kind == Type::Int { "a whole number" } else { "`true` or `false`" };
        walk.wrong(node, name, wanted, "");
    }
    value.map(|value| Arg::Constant(value.to_json()))
}

fn headers(walk: &mut Walk<'_>, node: &Node, name: &str) -> Option<Arg> {
    let mut out = Vec::new();
    for (key, value) in walk.named(node, name) {
        let Some(key) = key.text() else { continue };
        let arg = secret(walk, value, Some(key)).or_else(|| filled(walk, value, name, Escape::Header));
        out.extend(arg.map(|arg| (key.to_owned(), arg)));
    }
    Some(Arg::Map(out))
}

fn observe(walk: &mut Walk<'_>, node: &Node) -> Option<Arg> {
    let fields = walk.fields(node, "observe", keys::OBSERVE)?;
    let url = fields.get("url").and_then(|node| filled(walk, node, "url", Escape::Url))?;
    let done = fields.get("done")?;
    let expr = expression(walk, done, "done")?;
    let scope = cel::Scope {
        roots: vec![
            ("status".into(), Type::Int),
            ("json".into(), Type::Json),
            ("before".into(), Type::Object("observation")),
        ],
        ..cel::Scope::default()
    };
    let (_, problems) = cel::check(&expr, &scope);
    for problem in problems.into_iter().filter(|problem| problem.code != 305) {
        let at = walk.place(within(done, &problem.range));
        walk.findings.error(problem.code, at, problem.message, problem.label, problem.hint);
    }
    Some(Arg::Map(vec![("url".into(), url), ("done".into(), Arg::Constant(expr.text.into()))]))
}

/// The value of a map's only key.
fn only<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Map(entries) => match entries.as_slice() {
            [(name, value)] if name.text() == Some(key) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// `{secret: name}`, and the finding when a secret stands in clear.
pub(super) fn secret(walk: &mut Walk<'_>, node: &Node, key: Option<&str>) -> Option<Arg> {
    if let Some(value) = only(node, "secret") {
        return walk.name(value, "secret").map(|name| Arg::Secret(name.to_owned()));
    }
    let text = node.text()?;
    let telling = key.is_some_and(|key| {
        ["authorization", "x-api-key", "cookie"].contains(&key.to_ascii_lowercase().as_str())
    });
    if (telling || text.starts_with("Bearer ") || text.starts_with("Basic ")) && !text.contains("{{") {
        walk.error(
            507,
            node,
            "a secret in clear",
            "like a token",
            "`{secret: name}`; the runner reads it from a file or its environment",
        );
    }
    None
}

fn json(walk: &mut Walk<'_>, node: &Node, name: &str) -> Option<Arg> {
    if let Some(secret) = secret(walk, node, None) {
        return Some(secret);
    }
    // A body may well have a key `template`; one that names such a file means it.
    let file = only(node, "template").filter(|value| value.text().is_some_and(|t| t.ends_with(".hbs")));
    if let Some(value) = file {
        return shelf::file(walk, value).map(Arg::File);
    }
    Some(match &node.kind {
        Kind::Map(entries) => Arg::Map(
            entries
                .iter()
                .filter_map(|(key, value)| Some((key.text()?.to_owned(), json(walk, value, name)?)))
                .collect(),
        ),
        Kind::List(items) => Arg::List(items.iter().filter_map(|item| json(walk, item, name)).collect()),
        Kind::Scalar { text, plain } => {
            let template = template(walk, node, name)?;
            match (template.constant(), plain) {
                (None, _) => Arg::Template(template, Escape::Plain),
                // YAML 1.2's core schema for what is unquoted; everything else is text.
                (Some(_), true) => Arg::Constant(
                    serde_json::from_str(text)
                        .ok()
                        .filter(|v: &serde_json::Value| !v.is_array() && !v.is_object())
                        .unwrap_or_else(|| text.as_str().into()),
                ),
                (Some(_), false) => Arg::Constant(text.as_str().into()),
            }
        }
    })
}

//! Parameters of actions: constants, templates and references to secrets.

use regreen_schemas::action::ParamType;

use super::{expression, template, within};
use crate::{
    cel, keys,
    model::{Arg, Escape},
    tree::{Kind, Node},
    value::Type,
    walk::Walk,
};

pub(super) fn argument(walk: &mut Walk<'_>, node: &Node, name: &str, kind: ParamType) -> Option<Arg> {
    let filled = |walk: &mut Walk<'_>, node: &Node, escape| {
        let template = template(walk, node, name)?;
        Some(match template.constant() {
            Some(text) => Arg::Constant(text.into()),
            None => Arg::Template(template, escape),
        })
    };
    match kind {
        ParamType::Url => filled(walk, node, Escape::Url),
        ParamType::Text => filled(walk, node, Escape::Plain),
        ParamType::OneOf(words) => {
            let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
            walk.one_of(node, name, &words).map(|word| Arg::Constant(word.into()))
        }
        ParamType::Ints => {
            let numbers: Vec<u32> =
                walk.list(node, name).iter().filter_map(|item| walk.int(item, name, 100..=599)).collect();
            Some(Arg::Constant(numbers.into()))
        }
        ParamType::Headers => {
            let entries = walk.named(node, name);
            Some(Arg::Map(
                entries
                    .iter()
                    .filter_map(|(key, value)| {
                        let key = key.text()?.to_owned();
                        let arg = secret(walk, value, Some(&key))
                            .or_else(|| filled(walk, value, Escape::Header))?;
                        Some((key, arg))
                    })
                    .collect(),
            ))
        }
        ParamType::Json => json(walk, node, name),
        ParamType::Observe => {
            let fields = walk.fields(node, "observe", keys::OBSERVE)?;
            let url = fields.get("url").and_then(|node| filled(walk, node, Escape::Url))?;
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
        ParamType::Node | ParamType::Group => None,
    }
}

/// `{secret: name}`, and the finding when a secret stands in clear.
pub(super) fn secret(walk: &mut Walk<'_>, node: &Node, key: Option<&str>) -> Option<Arg> {
    if let Kind::Map(entries) = &node.kind {
        if let [(name, value)] = entries.as_slice()
            && name.text() == Some("secret")
        {
            return walk.name(value, "secret").map(|name| Arg::Secret(name.to_owned()));
        }
        return None;
    }
    let text = node.text().unwrap_or_default();
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

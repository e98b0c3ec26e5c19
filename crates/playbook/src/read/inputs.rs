//! `inputs:` and `vars:` of a playbook.

use std::{collections::BTreeMap, sync::Arc};

use super::kind::{constant, inferred, kind};
use crate::{
    keys,
    model::Input,
    tree::{Kind, Node},
    value::Value,
    walk::Walk,
};

pub(super) fn inputs(walk: &mut Walk<'_>, node: &Node) -> BTreeMap<Arc<str>, Input> {
    let entries = walk.identified(node, "inputs");
    entries.into_iter().filter_map(|(name, node)| Some((name.into(), input(walk, node)?))).collect()
}

fn input(walk: &mut Walk<'_>, node: &Node) -> Option<Input> {
    let fields = walk.fields(node, "input", keys::INPUT)?;
    let kind = kind(walk, fields.get("type")?, &[])?;
    let default = fields.get("default").and_then(|node| constant(walk, node, &kind));
    let choice = fields.get("one_of").map(|node| walk.list(node, "one_of")).unwrap_or_default();
    let one_of: Vec<Value> = choice.iter().filter_map(|node| constant(walk, node, &kind)).collect();
    if let (Some(value), Some(at)) = (&default, fields.get("default"))
        && !(one_of.is_empty() || one_of.contains(value))
    {
        walk.error(203, at, "the default is not among `one_of`", "here", "name one of them");
    }
    if let Some(node) =
        fields.get("one_of").filter(|node| matches!(&node.kind, Kind::List(l) if l.is_empty()))
    {
        walk.error(203, node, "`one_of` wants a value at least", "empty", "take it out, or name the values");
    }
    Some(Input { kind, default, one_of })
}

pub(super) fn vars(walk: &mut Walk<'_>, node: &Node) -> BTreeMap<Arc<str>, Value> {
    let entries = walk.identified(node, "vars");
    entries.into_iter().filter_map(|(name, node)| Some((name.into(), inferred(walk, node)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use serde_json::{Value as Json, json};

    use super::super::tests::{each_is_told, good};

    type Given<'a> = &'a [(&'a str, Json)];

    const INPUTS: &str = r"inputs:
  size: {type: int, default: 3, one_of: [1, 3]}
  grace: {type: duration, default: 5m}
  nodes: {type: [node], default: [a1, a2]}
  hard: {type: bool}
  why: {type: string, default: '7'}";

    #[test]
    fn constants_have_the_type_of_their_writing() {
        let cases: &[(&str, &str)] = &[
            ("true", "Bool(true)"),
            ("'true'", "Str(\"true\")"),
            ("7", "Int(7)"),
            ("\"7\"", "Str(\"7\")"),
            ("5m", "Span(Span(300000))"),
            ("'5m'", "Str(\"5m\")"),
            ("es-8", "Str(\"es-8\")"),
            ("1.5", "Str(\"1.5\")"),
            ("[1, 2]", "List([Int(1), Int(2)])"),
            ("[a, '1']", "List([Str(\"a\"), Str(\"1\")])"),
        ];
        for (text, wanted) in cases {
            let playbook = good(&format!("vars: {{a: {text}}}"));
            assert_eq!(format!("{:?}", playbook.vars["a"]), *wanted, "{text}");
        }
    }

    #[test]
    fn what_is_given_becomes_what_was_declared() {
        let playbook = good(INPUTS);
        let cases: &[(Given<'_>, Result<Json, &str>)] = &[
            (
                &[("hard", json!("true"))],
                Ok(json!({"grace": "5m", "hard": true, "nodes": ["a1", "a2"], "size": 3, "why": "7"})),
            ),
            (
                &[
                    ("hard", json!(false)),
                    ("size", json!("1")),
                    ("grace", json!("90s")),
                    ("nodes", json!("a1, a3")),
                ],
                Ok(json!({"grace": "1m30s", "hard": false, "nodes": ["a1", "a3"], "size": 1, "why": "7"})),
            ),
            (&[], Err("input `hard` is missing or no bool")),
            (&[("hard", json!(true)), ("size", json!(2))], Err("input `size` can't be `2`")),
            (&[("hard", json!(true)), ("grace", json!(5))], Err("input `grace` is missing or no duration")),
            (
                &[("hard", json!(true)), ("nodes", json!([1]))],
                Err("input `nodes` is missing or no list of node"),
            ),
            (&[("hart", json!(true))], Err("there is no input `hart`")),
        ];
        for (given, wanted) in cases {
            let given: BTreeMap<Arc<str>, _> =
                given.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect();
            let found = playbook.typed_inputs(&given).map(|found| json!(found));
            assert_eq!(found, wanted.clone().map_err(str::to_owned), "{given:?}");
        }
    }

    #[test]
    fn each_slip_is_told() {
        each_is_told(&[
            ("inputs: {a: {default: 1}}", 108, "key `type`"),
            ("inputs: {a: {type: text}}", 203, "`type` wants one of"),
            ("inputs: {a: {type: [int, bool]}}", 203, "one type in its list"),
            ("inputs: {a: {type: json}}", 203, "`type` wants one of"),
            ("inputs: {a-b: {type: int}}", 109, "bad name `a-b`"),
            ("inputs: {a: {type: int, default: many}}", 203, "this is no int"),
            ("inputs: {a: {type: [int], default: 1}}", 203, "this is no list of int"),
            ("inputs: {a: {type: int, default: 2, one_of: [1, 3]}}", 203, "not among `one_of`"),
            ("inputs: {a: {type: int, one_of: []}}", 203, "a value at least"),
            ("vars: {a: [1, b]}", 203, "a list is of one type"),
            ("vars: {a: []}", 203, "an empty list has no type"),
            ("vars: {a: {b: 1}}", 203, "`vars` wants text"),
            ("vars: {a: }", 203, "`vars` wants a value"),
            ("vars: {a: \"{{ target }}\"}", 302, "takes no template"),
            ("vars: {a.b: 1}", 109, "bad name `a.b`"),
        ]);
    }
}

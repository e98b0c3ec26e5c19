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

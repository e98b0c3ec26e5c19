//! `correlate:`: which triggers together start a playbook.

use std::sync::Arc;

use crate::{
    keys,
    model::{Correlate, Count},
    tree::Node,
    walk::Walk,
};

/// Most events that a window may need.
const COUNT_MAX: u32 = 10_000;

pub(super) fn correlate(walk: &mut Walk<'_>, node: &Node) -> Option<Correlate> {
    let fields = walk.fields(node, "correlate", keys::CORRELATE)?;
    let mut words = |key: &str| -> Vec<Arc<str>> {
        let items = fields.get(key).map(|node| walk.list(node, key)).unwrap_or_default();
        items.iter().filter_map(|item| walk.plain(item, key)).map(Arc::from).collect()
    };
    let (by, all, absent) = (words("by"), words("all"), words("absent"));
    let within = walk.duration(fields.get("within")?, "within")?;
    let count = match fields.get("count") {
        Some(node) => Some(count(walk, node)?),
        None => None,
    };
    Some(Correlate { by, within, all, absent, count })
}

fn count(walk: &mut Walk<'_>, node: &Node) -> Option<Count> {
    let fields = walk.fields(node, "count", keys::COUNT)?;
    let at_least = walk.int(fields.get("at_least")?, "at_least", 1..=COUNT_MAX)?;
    let distinct = fields.get("distinct").and_then(|node| walk.plain(node, "distinct")).map(Arc::from);
    Some(Count { at_least, distinct })
}

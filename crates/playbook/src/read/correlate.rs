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

#[cfg(test)]
mod tests {
    use super::super::tests::{each_is_told, good};

    #[test]
    fn it_is_read_as_written() {
        let lines = "correlate: {by: [cluster], within: 5m, all: [a, b], absent: ['3'], count: {at_least: 2, distinct: node}}";
        let read = good(lines).correlate.expect("it is there");
        let words =
            format!("{:?} {} {:?} {:?} {:?}", read.by, read.within, read.all, read.absent, read.count);
        let count = "Some(Count { at_least: 2, distinct: Some(\"node\") })";
        assert_eq!(words, format!(r#"["cluster"] 5m ["a", "b"] ["3"] {count}"#));
    }

    #[test]
    fn each_slip_is_told() {
        each_is_told(&[
            ("correlate: {within: 5m}", 108, "key `by`"),
            ("correlate: {by: [a]}", 108, "key `within`"),
            ("correlate: {by: a, within: 5m}", 203, "`by` wants a list"),
            ("correlate: {by: [a], within: 5}", 106, "`5` is no duration"),
            ("correlate: {by: [a], within: 5m, count: {distinct: b}}", 108, "key `at_least`"),
            ("correlate: {by: [a], within: 5m, count: 2}", 203, "`count` wants a map"),
        ]);
    }
}

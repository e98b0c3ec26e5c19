//! `inventory:`: groups and their nodes.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::Zone;

use super::Draft;
use crate::{
    inventory::{self, NodeDraft},
    keys,
    tree::{Kind, Node},
    walk::Walk,
};

pub(super) fn inventory(walk: &mut Walk<'_>, document: &Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(document, "inventory", keys::INVENTORY) else { return };
    for (name, value) in fields.get("services").map(|s| walk.named(s, "services")).unwrap_or_default() {
        service(walk, name, value, draft);
    }
    for (name, value) in fields.get("groups").map(|g| walk.named(g, "groups")).unwrap_or_default() {
        let Some(group_name) = walk.name(name, "group").map(Arc::<str>::from) else { continue };
        let Some(fields) = walk.fields(value, "group", keys::GROUP) else { continue };
        let mut group = inventory::Draft {
            health: fields.get("health").and_then(|node| walk.plain(node, "health")).map(Into::into),
            via: fields.get("via").and_then(|node| walk.name(node, "via")).map(Zone::from),
            labels: words(walk, fields.get("labels")),
            ..inventory::Draft::default()
        };
        for (name, value) in fields.get("nodes").map(|node| walk.named(node, "nodes")).unwrap_or_default() {
            let Some(node_name) = walk.name(name, "node") else { continue };
            let empty = Node { range: value.range.clone(), kind: Kind::Map(Vec::new()) };
            let value = if value.is_null() { &empty } else { value };
            let Some(fields) = walk.fields(value, "node", keys::NODE) else { continue };
            let text = |walk: &mut Walk<'_>, key: &str| {
                fields.get(key).and_then(|node| walk.plain(node, key)).unwrap_or_default().to_owned()
            };
            let node = NodeDraft {
                id: text(walk, "id"),
                ids: words(walk, fields.get("ids")),
                address: text(walk, "address"),
                aliases: fields
                    .get("aliases")
                    .map(|node| {
                        walk.list(node, "aliases").iter().filter_map(Node::text).map(Arc::from).collect()
                    })
                    .unwrap_or_default(),
                labels: words(walk, fields.get("labels")),
                via: fields.get("via").and_then(|node| walk.name(node, "via")).map(Zone::from),
            };
            group.nodes.insert(node_name.into(), node);
        }
        let place = walk.place(name.range.clone());
        if draft.groups.insert(group_name.clone(), (group, place.clone())).is_some() {
            walk.findings.error(
                102,
                place,
                format!("group `{group_name}` is there twice"),
                "again",
                "one file owns a group",
            );
        }
    }
}

fn service(walk: &mut Walk<'_>, name: &Node, value: &Node, draft: &mut Draft) {
    let Some(service) = walk.name(name, "service").map(Arc::<str>::from) else { return };
    let Some(fields) = walk.fields(value, "service", keys::SERVICE) else { return };
    let sides = fields.get("sides").map(|node| walk.list(node, "sides")).unwrap_or_default();
    let sides: Vec<(Arc<str>, _)> = sides
        .iter()
        .filter_map(|node| Some((walk.name(node, "side")?.into(), walk.place(node.range.clone()))))
        .collect();
    if sides.is_empty() {
        walk.error(108, value, "there is no side", "this service", "`sides: [group]`");
    }
    if draft.services.insert(service.clone(), sides).is_some() {
        walk.error(102, name, format!("service `{service}` is there twice"), "again", "take one away");
    }
}

pub(super) fn words(walk: &mut Walk<'_>, node: Option<&Node>) -> BTreeMap<String, String> {
    let Some(node) = node else { return BTreeMap::new() };
    walk.named(node, "labels")
        .iter()
        .filter_map(|(k, v)| Some((k.text()?.to_owned(), v.text()?.to_owned())))
        .collect()
}

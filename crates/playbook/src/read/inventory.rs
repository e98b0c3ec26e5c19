//! `inventory:`: groups with their nodes, services, and windows of maintenance.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{Span, Zone};

use super::{Draft, schedule::schedule};
use crate::{
    diagnostic::Place,
    inventory::{self, NodeDraft},
    keys,
    schedule::Schedule,
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
        let Some(group) = group(walk, value) else { continue };
        let place = walk.place(name.range.clone());
        if draft.groups.insert(group_name.clone(), (group, place.clone())).is_some() {
            let message = format!("group `{group_name}` is there twice");
            walk.findings.error(102, place, message, "again", "one file owns a group");
        }
    }
    let windows = fields.get("maintenance").map(|node| walk.list(node, "maintenance")).unwrap_or_default();
    for node in windows {
        let window = maintenance(walk, node);
        draft.maintenance.extend(window);
    }
}

fn group(walk: &mut Walk<'_>, value: &Node) -> Option<inventory::Draft> {
    let fields = walk.fields(value, "group", keys::GROUP)?;
    let text = |walk: &mut Walk<'_>, key: &str| {
        fields.get(key).and_then(|node| walk.plain(node, key)).map(Arc::<str>::from)
    };
    let mut group = inventory::Draft {
        provider: text(walk, "provider"),
        health: text(walk, "health"),
        storm: fields.get("storm").and_then(|node| walk.percent(node, "storm")),
        discover: fields.get("discover").and_then(|node| discover(walk, node)),
        via: fields.get("via").and_then(|node| walk.name(node, "via")).map(Zone::from),
        labels: words(walk, fields.get("labels")),
        ..inventory::Draft::default()
    };
    if fields.get("nodes").is_none() && fields.get("discover").is_none() {
        let hint = "`nodes: {name: {address: …}}`, or `discover: {tag: …}`";
        walk.missing(value, "key `nodes` is missing", "this group", hint);
    }
    for (name, value) in fields.get("nodes").map(|node| walk.named(node, "nodes")).unwrap_or_default() {
        let Some(node_name) = walk.name(name, "node") else { continue };
        let empty = Node { range: value.range.clone(), kind: Kind::Map(Vec::new()) };
        let value = if value.is_null() { &empty } else { value };
        let node = node(walk, value);
        group.nodes.extend(node.map(|node| (node_name.into(), node)));
    }
    Some(group)
}

fn node(walk: &mut Walk<'_>, value: &Node) -> Option<NodeDraft> {
    let fields = walk.fields(value, "node", keys::NODE)?;
    let text = |walk: &mut Walk<'_>, key: &str| {
        fields.get(key).and_then(|node| walk.plain(node, key)).unwrap_or_default().to_owned()
    };
    let aliases = fields.get("aliases").map(|node| walk.list(node, "aliases")).unwrap_or_default();
    Some(NodeDraft {
        id: text(walk, "id"),
        ids: words(walk, fields.get("ids")),
        address: text(walk, "address"),
        aliases: aliases.iter().filter_map(Node::text).map(Arc::from).collect(),
        labels: words(walk, fields.get("labels")),
        via: fields.get("via").and_then(|node| walk.name(node, "via")).map(Zone::from),
    })
}

fn discover(walk: &mut Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let fields = walk.fields(node, "discover", keys::DISCOVER)?;
    fields.get("tag").and_then(|node| walk.plain(node, "tag")).map(Arc::from)
}

fn maintenance(walk: &mut Walk<'_>, node: &Node) -> Option<(Arc<str>, Place, Schedule, Span)> {
    let fields = walk.fields(node, "maintenance", keys::MAINTENANCE)?;
    let group = fields.get("group")?;
    let name = walk.name(group, "group")?.into();
    let schedule = schedule(walk, fields, false)?;
    let lasts = walk.duration(fields.get("for")?, "for")?;
    Some((name, walk.place(group.range.clone()), schedule, lasts))
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

#[cfg(test)]
mod tests {
    use regreen_schemas::Span;

    use super::super::tests::read;

    const GOOD: &str = "apiVersion: regreen/v1
inventory: lab
groups:
  es-a: {provider: digitalocean, discover: {tag: es-a}, storm: 40%}
  es-b: {nodes: {b1: {}}}
maintenance:
  - {group: es-a, cron: '0 4 * * 1', zone: Europe/Berlin, for: 2h}
";

    #[test]
    fn it_is_read_as_written() {
        // The group may stand in a later file.
        let (before, after) = GOOD.split_once("maintenance:").expect("it is there");
        let windows = format!("apiVersion: regreen/v1\ninventory: windows\nmaintenance:{after}");
        let (draft, findings) = read(&[("w.yaml", &windows), ("i.yaml", before)]);
        assert!(findings.list.is_empty(), "{}", findings.render(false));
        let (group, _) = &draft.groups["es-a"];
        assert_eq!(
            (group.provider.as_deref(), group.discover.as_deref()),
            (Some("digitalocean"), Some("es-a"))
        );
        assert_eq!(group.storm, Some(40));
        let [(schedule, lasts)] = group.maintenance.as_slice() else { panic!("{:?}", group.maintenance) };
        assert_eq!((&*schedule.text, *lasts), ("0 4 * * 1 Europe/Berlin", Span::minutes(120)));
        assert!(draft.groups["es-b"].0.maintenance.is_empty());
    }

    #[test]
    fn each_slip_is_told() {
        let cases: &[(&str, &str, u16, &str)] = &[
            ("40%", "40", 203, "`storm` wants a share"),
            ("40%", "0%", 203, "`storm` wants a share"),
            ("{tag: es-a}", "es-a", 203, "`discover` wants a map"),
            ("{tag: es-a}", "{}", 108, "key `tag`"),
            ("discover: {tag: es-a}, ", "", 108, "key `nodes`"),
            ("group: es-a", "group: es-c", 205, "unknown group `es-c`"),
            ("0 4 * * 1", "0 4 * *", 203, "`cron` wants"),
            ("Europe/Berlin", "Berlin", 205, "time zone `Berlin`"),
            (", for: 2h", "", 108, "key `for`"),
        ];
        for (from, to, code, words) in cases {
            assert!(GOOD.contains(from), "{from}");
            let (_, findings) = read(&[("i.yaml", &GOOD.replacen(from, to, 1))]);
            let told = findings.list.iter().any(|one| one.code == *code && one.message.contains(words));
            assert!(told, "{to}: {}", findings.render(false));
        }
    }
}

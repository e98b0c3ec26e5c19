//! Keys of an inventory.

use super::{
    API_VERSION, Key, key, must,
    shape::{
        Shape::{Cron, Duration, Either, Empty, Keys, List, Name, Named, Percent, Refers, Text},
        Thing,
    },
    table,
};

/// `inventory:`.
pub const INVENTORY: &[Key] = &[
    API_VERSION,
    must("inventory", Name, "Its name, for people.", "inventory: search"),
    GROUPS,
    SERVICES,
    MAINTENANCES,
];

pub(super) const GROUPS: Key = key(
    "groups",
    Named(&Keys(&table("group", GROUP))),
    "Groups by name. A group stands in one file, a node in one group.",
    "groups: {web: {health: web, nodes: {w1: {address: 10.0.0.1}}}}",
)
.codes(&[109]);

pub(super) const SERVICES: Key = key(
    "services",
    Named(&Keys(&table("service", SERVICE))),
    "Services by name, each with the groups that can serve it.",
    "services: {search: {sides: [es-a, es-b]}}",
)
.codes(&[109]);

pub(super) const MAINTENANCES: Key = key(
    "maintenance",
    List(&Keys(&table("maintenance", MAINTENANCE))),
    "When nothing is repaired in a group, unless a playbook says `maintenance: ignore`.",
    r#"maintenance: [{group: web, cron: "0 2 * * 0", zone: Europe/Berlin, for: 2h}]"#,
);

/// One of `maintenance:`.
pub const MAINTENANCE: &[Key] = &[
    must("group", Refers(Thing::Group), "Whose.", "group: web"),
    must(
        "cron",
        Cron,
        "When it begins: minute, hour, day of the month, month, day of the week.",
        r#"cron: "0 2 * * 0""#,
    ),
    key("zone", Text, "Time zone, by its name in the IANA database.", "zone: Europe/Berlin").or("UTC"),
    must("for", Duration, "How long it lasts.", "for: 2h"),
];

/// A service.
pub const SERVICE: &[Key] = &[must(
    "sides",
    List(&Refers(Thing::Group)),
    "Groups that can serve it. The first is preferred, and serves it at the beginning.",
    "sides: [es-a, es-b]",
)];

/// A group.
pub const GROUP: &[Key] = &[
    key(
        "provider",
        Name,
        "Who hosts its nodes: the first part of the names of that provider's actions.",
        "provider: digitalocean",
    ),
    key(
        "health",
        Refers(Thing::Check),
        "The check over nodes that says which are healthy: node `a1` is when `<health>/a1` is up. `min_healthy` and `storm` count by it.",
        "health: es-node",
    ),
    key("via", Name, "Zone whose runners act on it.", "via: eu").or("main"),
    key(
        "labels",
        Named(&Text),
        "Words by name. Expressions read them as `labels.<name>` of the group.",
        "labels: {tier: hot}",
    ),
    key(
        "nodes",
        Named(&Either(&[Keys(&table("node", NODE)), Empty])),
        "Nodes by name. Needed unless they are discovered.",
        "nodes: {w1: {address: 10.0.0.1}}",
    )
    .codes(&[108, 109]),
    key(
        "storm",
        Percent,
        "When more than this share of its nodes is not up, nothing destructive is done to the group, and one page is sent. The policy's `ceilings.storm` unless given.",
        "storm: 40%",
    ),
    key(
        "discover",
        Keys(&table("discover", DISCOVER)),
        "How more nodes are found at the provider.",
        "discover: {tag: es-a}",
    ),
];

/// `discover:` of a group.
pub const DISCOVER: &[Key] =
    &[must("tag", Text, "The tag that its nodes have at the provider.", "tag: es-a")];

/// A node.
pub const NODE: &[Key] = &[
    key("id", Text, "The provider's id of it. Quote it when it is a number.", r#"id: "3164444""#),
    key("ids", Named(&Text), "Further ids by name, as other systems call it.", "ids: {es: Xk2}"),
    key("address", Text, "Where it answers: a host or address, perhaps with a port.", "address: 10.0.0.1"),
    key(
        "aliases",
        List(&Text),
        "Other names that alerts and people use for it.",
        "aliases: [w1.example.org]",
    ),
    key(
        "labels",
        Named(&Text),
        "Words by name. Expressions read them as `labels.<name>` of the node.",
        "labels: {rack: r7}",
    ),
    key("via", Name, "Zone whose runners act on it; the group's unless given.", "via: eu"),
];

//! Nodes and groups: what playbooks may act on, found by name, then by alias. Their values for expressions are
//! made once, when the set is loaded.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{Span, Timestamp, Zone, event::Target};

use crate::{schedule::Schedule, value::Value};

/// The inventory of a set.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Groups by name.
    pub groups: BTreeMap<Arc<str>, Group>,
    /// Services by name: the groups that can serve them, the preferred one first.
    pub services: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Group of each node name and alias.
    places: BTreeMap<Arc<str>, (Arc<str>, Arc<str>)>,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Who hosts it.
    pub provider: Option<Arc<str>>,
    /// Tag of its nodes at the provider, where they are found by it.
    pub discover: Option<Arc<str>>,
    /// The check over nodes that says which are healthy.
    pub health: Option<Arc<str>>,
    /// Share of nodes, in percent: when more are not up, nothing destructive is done to it.
    pub storm: Option<u32>,
    /// When nothing is repaired: each time opens a window that lasts so long.
    pub maintenance: Vec<(Schedule, Span)>,
    /// Zone of its runners.
    pub via: Zone,
    /// Nodes by name.
    pub nodes: BTreeMap<Arc<str>, Node>,
    /// Nodes that runs took away: known by their names, and counted no more.
    pub gone: BTreeMap<Arc<str>, Node>,
    /// For expressions.
    pub value: Value,
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Zone of its runners.
    pub via: Zone,
    /// Where it answers.
    pub address: Arc<str>,
    /// For expressions.
    pub value: Value,
}

/// A group as written, before its values are made.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Who hosts it.
    pub provider: Option<Arc<str>>,
    /// Tag of its nodes at the provider.
    pub discover: Option<Arc<str>>,
    /// The check over nodes.
    pub health: Option<Arc<str>>,
    /// Share of nodes, in percent.
    pub storm: Option<u32>,
    /// Windows of maintenance.
    pub maintenance: Vec<(Schedule, Span)>,
    /// Zone.
    pub via: Option<Zone>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Nodes by name.
    pub nodes: BTreeMap<Arc<str>, NodeDraft>,
    /// Nodes that runs took away.
    pub gone: BTreeMap<Arc<str>, NodeDraft>,
}

/// A node as written.
#[derive(Clone, Debug, Default)]
pub struct NodeDraft {
    /// The provider's id.
    pub id: String,
    /// Further ids.
    pub ids: BTreeMap<String, String>,
    /// Where it answers.
    pub address: String,
    /// Other names.
    pub aliases: Vec<Arc<str>>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Zone.
    pub via: Option<Zone>,
}

impl Group {
    /// A node by name, also one that is gone.
    fn known(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name).or_else(|| self.gone.get(name))
    }
}

fn labels(map: &BTreeMap<String, String>) -> Value {
    Value::map(map.iter().map(|(k, v)| (k.as_str(), Value::str(v.as_str()))))
}

impl Inventory {
    /// Makes the inventory. Names that occur twice were refused before.
    #[must_use]
    pub fn new(drafts: BTreeMap<Arc<str>, Draft>) -> Self {
        let mut inventory = Self::default();
        for (name, draft) in drafts {
            let via = draft.via.clone().unwrap_or_else(|| Zone::from("main"));
            let bare = |node: &NodeDraft, name: &Arc<str>| {
                vec![
                    ("name", Value::Str(name.clone())),
                    ("id", Value::str(node.id.as_str())),
                    ("ids", labels(&node.ids)),
                    ("address", Value::str(node.address.as_str())),
                    ("labels", labels(&node.labels)),
                ]
            };
            let members = draft.nodes.iter().map(|(name, node)| Value::map(bare(node, name))).collect();
            let value = Value::map([
                ("name", Value::Str(name.clone())),
                ("labels", labels(&draft.labels)),
                ("nodes", Value::List(Arc::new(members))),
            ]);
            let mut made = |node_name: Arc<str>, node: NodeDraft| {
                let mut fields = bare(&node, &node_name);
                fields.push(("group", value.clone()));
                for known in node.aliases.iter().chain([&node_name]) {
                    inventory.places.insert(known.clone(), (name.clone(), node_name.clone()));
                }
                let via = node.via.unwrap_or_else(|| via.clone());
                let address = node.address.as_str().into();
                (node_name, Node { via, address, value: Value::map(fields) })
            };
            let nodes = draft.nodes.into_iter().map(|(name, node)| made(name, node)).collect();
            let gone = draft.gone.into_iter().map(|(name, node)| made(name, node)).collect();
            let group = Group {
                provider: draft.provider,
                discover: draft.discover,
                health: draft.health,
                storm: draft.storm,
                maintenance: draft.maintenance,
                via,
                nodes,
                gone,
                value,
            };
            inventory.groups.insert(name, group);
        }
        inventory
    }

    /// A node by name or alias.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Target> {
        self.places.get(name).map(|(group, node)| Target::Node { group: group.clone(), name: node.clone() })
    }

    /// A group by name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<Target> {
        self.groups.get_key_value(name).map(|(name, _)| Target::Group { name: name.clone() })
    }

    /// A service by name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<Target> {
        self.services.get_key_value(name).map(|(name, _)| Target::Service { name: name.clone() })
    }

    /// Whether an object that somebody else describes is this one: a node by its id, where that is said.
    #[must_use]
    pub fn is(&self, target: &Target, described: &Value) -> bool {
        let id = |value: &Value| match value {
            Value::Map(fields) => fields.get("id").map(ToString::to_string),
            _ => None,
        };
        let said = id(described).filter(|said| !said.is_empty());
        said.is_none_or(|said| self.value(target).and_then(id) == Some(said))
    }

    /// Whether a run took a node away.
    #[must_use]
    pub fn is_gone(&self, target: &Target) -> bool {
        let Target::Node { group, name } = target else { return false };
        self.groups.get(group).is_some_and(|group| group.gone.contains_key(name))
    }

    /// The value of a node or group; `None` when it has left the inventory, and for services.
    #[must_use]
    pub fn value(&self, target: &Target) -> Option<&Value> {
        let group = self.groups.get(target.group()?)?;
        match target {
            Target::Group { .. } => Some(&group.value),
            Target::Node { name, .. } => group.known(name).map(|node| &node.value),
            Target::Service { .. } => None,
        }
    }

    /// The value of a service while a group of its sides serves it.
    #[must_use]
    pub fn service_value(&self, name: &str, active: &str) -> Option<Value> {
        let sides = self.services.get(name)?;
        let side = |group: &Arc<str>| self.groups.get(group).map(|group| group.value.clone());
        let standby = sides.iter().find(|side| ***side != *active);
        let mut fields = vec![("name", Value::str(name)), ("active", self.groups.get(active)?.value.clone())];
        fields.extend(standby.and_then(side).map(|value| ("standby", value)));
        fields.extend(sides.first().and_then(side).map(|value| ("preferred", value)));
        Some(Value::map(fields))
    }

    /// The locks of a target: a service's are its own and those of its groups.
    #[must_use]
    pub fn locks(&self, target: &Target) -> Vec<Arc<str>> {
        let sides = match target {
            Target::Service { name } => self.services.get(name).cloned().unwrap_or_default(),
            Target::Node { .. } | Target::Group { .. } => Vec::new(),
        };
        std::iter::once(target.lock()).chain(sides).collect()
    }

    /// The end of the maintenance that a group is in now.
    #[must_use]
    pub fn maintained_until(&self, group: &str, now: Timestamp) -> Option<Timestamp> {
        let windows = self.groups.get(group).into_iter().flat_map(|group| &group.maintenance);
        windows.filter_map(|(schedule, lasts)| schedule.open_until(now, *lasts)).max()
    }

    /// The zone whose runners act on a target.
    #[must_use]
    pub fn zone(&self, target: Option<&Target>) -> Zone {
        let found = target.and_then(|target| {
            let group = self.groups.get(target.group()?)?;
            Some(match target {
                Target::Node { name, .. } => group.known(name)?.via.clone(),
                Target::Group { .. } | Target::Service { .. } => group.via.clone(),
            })
        });
        found.unwrap_or_else(|| Zone::from("main"))
    }
}

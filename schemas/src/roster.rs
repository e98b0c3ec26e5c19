//! The roster: nodes that no file lists, because a run made them or a provider showed them, and nodes that a run took
//! away. Together with the files it is the inventory that decisions see.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Instance, RunId, Timestamp};

/// Most nodes of a group that no file lists.
pub const NODES_MAX: usize = 1000;
/// Most nodes of a group that runs took away and that no file lists; the oldest is forgotten first.
pub const GONE_MAX: usize = 100;
/// Longest name of a node that no file lists, in bytes: that of a host.
pub const NAME_MAX: usize = 63;
/// Longest id or address of a node, in bytes.
pub const TEXT_MAX: usize = 255;
/// Most labels of a node.
pub const LABELS_MAX: usize = 64;

/// A node as a provider describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// The provider's id of it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub id: Arc<str>,
    /// Where it answers.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub address: Arc<str>,
    /// Free words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl Node {
    /// Reads a node out of an action's result.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(value: &Value) -> Result<Self, String> {
        let text = |key: &str| match value.get(key) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) if text.len() <= TEXT_MAX => Ok(text.as_str()),
            Some(Value::String(_)) => Err(format!("its `{key}` is longer than {TEXT_MAX} bytes")),
            Some(other) => Err(format!("its `{key}` is {other}, and no text")),
        };
        let (name, id, address) = (text("name")?, text("id")?, text("address")?);
        if !is_name(name) {
            let wanted = format!("lower-case letters, digits, `-` and `_`, at most {NAME_MAX}");
            return Err(format!("`{name}` is no name of a node: {wanted}"));
        }
        if id.is_empty() {
            return Err(format!("`{name}` has no `id`"));
        }
        let labels = labels(value.get("labels")).ok_or_else(|| {
            format!("the labels of `{name}` are not names with texts, {LABELS_MAX} of them at most")
        })?;
        Ok(Self { name: name.into(), id: id.into(), address: address.into(), labels })
    }
}

/// Names are parts of the names of checks and of paths.
fn is_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(good)
}

fn labels(value: Option<&Value>) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
    let map = match value {
        None | Some(Value::Null) => return Some(BTreeMap::new()),
        Some(Value::Object(map)) if map.len() <= LABELS_MAX => map,
        Some(_) => return None,
    };
    let label = |(name, value): (&String, &Value)| {
        let value = value.as_str().filter(|value| value.len() <= TEXT_MAX && name.len() <= TEXT_MAX)?;
        Some((name.as_str().into(), value.into()))
    };
    map.iter().map(label).collect()
}

/// Who says that a node is there, or is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A run made it, or took it away.
    Run(RunId),
    /// The provider lists it, or does so no longer.
    Discovery,
}

/// A node that no file lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The node.
    pub node: Node,
    /// Who says so.
    pub by: By,
    /// Since when it is known.
    pub since: Timestamp,
}

/// A node that a run took away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gone {
    /// The node as it was.
    pub node: Node,
    /// The run.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
}

/// What is known of a group beside the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Members {
    /// Nodes that are there, by name.
    pub nodes: BTreeMap<Arc<str>, Member>,
    /// Nodes that are there no longer, by name.
    pub gone: BTreeMap<Arc<str>, Gone>,
}

/// What is known of all groups beside the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Roster {
    /// By group; none without members.
    pub groups: BTreeMap<Arc<str>, Members>,
}

impl Roster {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// A node is there.
    pub fn add(&mut self, group: &Arc<str>, member: Member) {
        let members = self.groups.entry(group.clone()).or_default();
        // Another one of that name does not bring back what is gone.
        members.gone.retain(|name, gone| *name != member.node.name || gone.node.id != member.node.id);
        members.nodes.insert(member.node.name.clone(), member);
    }

    /// A node is there no longer.
    pub fn remove(&mut self, group: &Arc<str>, node: &Node, by: &By, now: Timestamp) {
        let members = self.groups.entry(group.clone()).or_default();
        members.nodes.remove(&node.name);
        if let By::Run(run) = by {
            let gone = Gone { node: node.clone(), run: run.clone(), at: now };
            members.gone.insert(node.name.clone(), gone);
        }
        self.tidy(group);
    }

    /// Nobody needs to know any more that a node is gone.
    pub fn forget(&mut self, group: &Arc<str>, name: &str) {
        if let Some(members) = self.groups.get_mut(group) {
            members.gone.remove(name);
        }
        self.tidy(group);
    }

    fn tidy(&mut self, group: &Arc<str>) {
        if self.groups.get(group).is_some_and(|members| members.nodes.is_empty() && members.gone.is_empty()) {
            self.groups.remove(group);
        }
    }
}

/// The id under which a group is looked up at its provider: there is no run.
#[must_use]
pub fn discovery_id(group: &str) -> RunId {
    RunId::from(crate::hash::h(&[b"discovery", group.as_bytes()]))
}

/// What the instances of such looks begin with.
pub const DISCOVER: &str = "discover/";

/// The instance under which a group is looked up.
#[must_use]
pub fn discovery_instance(group: &str) -> Instance {
    Instance::from(format!("{DISCOVER}{group}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_read_or_it_is_said_what_is_wrong() {
        let good =
            json!({"name": "a4", "id": "7", "address": "10.0.0.4", "labels": {"rack": "r"}, "group": "es-a"});
        let node = Node::read(&good).expect("it is good");
        assert_eq!((&*node.name, &*node.id, &*node.address), ("a4", "7", "10.0.0.4"));
        assert_eq!(&*node.labels["rack"], "r");
        let cases = [
            (json!("a4"), "no name"),
            (json!({"name": "a4"}), "no `id`"),
            (json!({"name": "A 4", "id": "7"}), "no name"),
            (json!({"name": "a".repeat(64), "id": "7"}), "at most 63"),
            (json!({"name": "a4", "id": 7}), "no text"),
            (json!({"name": "a4", "id": "7", "address": "x".repeat(256)}), "longer than 255"),
            (json!({"name": "a4", "id": "7", "labels": {"a": 1}}), "labels"),
            (json!({"name": "a4", "id": "7", "labels": "a"}), "labels"),
        ];
        for (value, words) in cases {
            let said = Node::read(&value).expect_err("it is bad");
            assert!(said.contains(words), "{value}: {said}");
        }
    }

    #[test]
    fn another_one_of_its_name_does_not_bring_back_what_is_gone() {
        let (mut roster, group) = (Roster::default(), Arc::<str>::from("web"));
        let node = |id: &str| Node { name: "a1".into(), id: id.into(), ..Node::default() };
        roster.remove(&group, &node("1"), &By::Run("r1".into()), Timestamp(1));
        roster.add(&group, Member { node: node("9"), by: By::Discovery, since: Timestamp(2) });
        assert_eq!(&*roster.groups["web"].gone["a1"].node.id, "1");
    }

    #[test]
    fn what_comes_back_is_gone_no_longer_and_an_empty_group_leaves() {
        let (mut roster, group) = (Roster::default(), Arc::<str>::from("web"));
        let node = Node { name: "a4".into(), id: "7".into(), ..Node::default() };
        let by = By::Run("r1".into());
        roster.add(&group, Member { node: node.clone(), by: by.clone(), since: Timestamp(1) });
        roster.remove(&group, &node, &by, Timestamp(2));
        assert!(roster.groups["web"].nodes.is_empty());
        assert_eq!(roster.groups["web"].gone["a4"].at, Timestamp(2));
        roster.add(&group, Member { node: node.clone(), by: By::Discovery, since: Timestamp(3) });
        assert!(roster.groups["web"].gone.is_empty());
        roster.remove(&group, &node, &By::Discovery, Timestamp(4));
        assert!(roster.is_empty(), "what discovery misses leaves no trace");
    }
}

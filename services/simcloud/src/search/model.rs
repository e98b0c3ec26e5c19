//! What a cluster is: its nodes, who votes, its settings, its indices, and where their copies are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long a copy waits for its node to come back before it is built elsewhere, where the index does not say.
const DELAY: i64 = 60_000;

/// A node's id: made at its first start, kept on its disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub String);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node as the others know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub id: NodeId,
    pub name: String,
    /// Its transport: `127.83.7.1:9300`.
    pub transport: String,
    /// Where its clients ask: `127.83.7.1:9200`.
    pub http: String,
    /// Another one after each start.
    pub ephemeral: String,
}

/// What was decided, in one order: the term of the master who did, and its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct At {
    pub term: u64,
    pub index: u64,
}

/// All that the members of a cluster agree on, but for documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Made with the first electorate.
    pub uuid: Option<String>,
    pub master: Option<NodeId>,
    pub nodes: BTreeMap<NodeId, Peer>,
    /// Whose majority decides. While the two differ, that of both is wanted.
    pub committed: Vec<NodeId>,
    pub accepted: Vec<NodeId>,
    /// Who shall not vote.
    pub exclusions: Vec<Exclusion>,
    /// Flat: `cluster.routing.allocation.exclude._name`.
    pub persistent: BTreeMap<String, String>,
    pub transient: BTreeMap<String, String>,
    pub indices: BTreeMap<String, Index>,
}

impl Cluster {
    /// A setting in force.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.transient.get(key).or_else(|| self.persistent.get(key)).map(String::as_str)
    }

    /// Whether a node shall not vote.
    pub fn retired(&self, id: &NodeId) -> bool {
        let name = self.nodes.get(id).map(|peer| &peer.name);
        self.exclusions.iter().any(|one| one.node_id == id.0 || Some(&one.node_name) == name)
    }
}

/// A node that shall not vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// `_absent_` where nobody of that name is there.
    pub node_id: String,
    pub node_name: String,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    pub uuid: String,
    /// When it was made, in milliseconds.
    pub created: i64,
    /// Flat: `index.number_of_replicas`.
    pub settings: BTreeMap<String, String>,
    pub mappings: Value,
    pub shards: Vec<Shard>,
}

impl Index {
    /// Copies of each shard beside the primary.
    pub fn replicas(&self) -> usize {
        self.settings.get("index.number_of_replicas").and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// How long a copy waits for its node, in milliseconds.
    pub fn delay(&self) -> i64 {
        let text = self.settings.get("index.unassigned.node_left.delayed_timeout");
        text.and_then(|text| millis(text)).unwrap_or(DELAY)
    }
}

/// A shard: its primary first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    pub copies: Vec<Place>,
    /// Who had all of it when it was last seen: only there a primary may begin again.
    pub in_sync: BTreeSet<NodeId>,
}

/// Where a copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Nowhere since, and where it was last.
    Unassigned {
        since: i64,
        last: Option<NodeId>,
    },
    /// Being filled.
    Initializing {
        node: NodeId,
    },
    Started {
        node: NodeId,
    },
    Relocating {
        from: NodeId,
        to: NodeId,
    },
}

impl Place {
    /// The node that answers for it.
    pub fn active(&self) -> Option<&NodeId> {
        match self {
            Self::Started { node } | Self::Relocating { from: node, .. } => Some(node),
            Self::Unassigned { .. } | Self::Initializing { .. } => None,
        }
    }

    /// Whether it takes room on the node.
    pub fn uses(&self, id: &NodeId) -> bool {
        match self {
            Self::Unassigned { .. } => false,
            Self::Initializing { node } | Self::Started { node } => node == id,
            Self::Relocating { from, to } => from == id || to == id,
        }
    }
}

/// A span as Elasticsearch writes it: `30s`, `500ms`, `1m`, `0`.
pub fn millis(text: &str) -> Option<i64> {
    if text == "0" || text == "-1" {
        return Some(0);
    }
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        (number.is_finite() && number >= 0.0).then(|| (number * f64::from(*factor)) as i64)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn spans_are_read_as_elasticsearch_writes_them() {
        let table =
            [("30s", Some(30_000)), ("500ms", Some(500)), ("1m", Some(60_000)), ("0", Some(0)), ("1x", None)];
        for (text, expected) in table {
            assert_eq!(super::millis(text), expected, "{text}");
        }
    }
}

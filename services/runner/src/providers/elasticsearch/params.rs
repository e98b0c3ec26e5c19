//! What a command says: which node, and whom to ask.

use regreen_action::{Refusal, params};
use regreen_schemas::command::Command;
use serde::Deserialize;

/// A node of the inventory, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Place {
    pub name: String,
    pub address: String,
}

/// A group of the inventory: the nodes of one cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    pub name: String,
    /// None of a group that is too large to go along.
    #[serde(default)]
    pub nodes: Vec<Place>,
}

/// A node and its peers.
#[derive(Debug)]
pub struct Node {
    pub place: Place,
    /// Its group's name.
    pub group: String,
    pub others: Vec<Place>,
}

#[derive(Deserialize)]
struct OfNode {
    node: InGroup,
}

#[derive(Deserialize)]
struct InGroup {
    #[serde(flatten)]
    place: Place,
    group: Of,
}

/// A node that was only just made, or is of a group that is too large to go along, names its group: no peer can be
/// asked.
#[derive(Deserialize)]
#[serde(untagged)]
enum Of {
    Group(Group),
    Name(String),
}

/// The node of a command with the others of its group.
pub fn node(command: &Command) -> Result<Node, Refusal> {
    let InGroup { place, group } = params::<OfNode>(command)?.node;
    one_name(&place.name)?;
    let (group, nodes) = match group {
        Of::Group(Group { name, nodes }) => (name, nodes),
        Of::Name(name) => (name, Vec::new()),
    };
    let others = nodes.into_iter().filter(|other| other.name != place.name).collect();
    Ok(Node { place, group, others })
}

/// In both lists a comma parts names, and a star stands for many: neither must come in by a name.
fn one_name(name: &str) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.starts_with('_') || !name.chars().all(plain) {
        return Err(Refusal::refused(format!("`{name}` can't be excluded: it is not the name of one node")));
    }
    Ok(())
}

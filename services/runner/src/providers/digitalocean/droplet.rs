//! Droplets, and what was done to them, as the API shows them: only what is read here.

use regreen_action::{Refusal, params};
use regreen_schemas::command::Command;
use serde::Deserialize;

use super::ask::{ActionId, DropletId};

/// `{"droplet": …}`.
#[derive(Deserialize)]
pub struct OneDroplet {
    pub droplet: Droplet,
}

/// A droplet.
#[derive(Clone, Debug, Deserialize)]
pub struct Droplet {
    pub id: DropletId,
    pub name: String,
    pub status: Status,
    #[serde(default)]
    pub networks: Networks,
    #[serde(default)]
    pub tags: Vec<String>,
}

/// How a droplet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    New,
    /// It is on.
    Active,
    /// It is off.
    Off,
    /// It is kept, and can't be switched on.
    Archive,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Networks {
    #[serde(default)]
    v4: Vec<Network>,
}

#[derive(Clone, Debug, Deserialize)]
struct Network {
    ip_address: String,
    #[serde(rename = "type")]
    side: Side,
}

/// In the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Private,
    Public,
}

/// `{"action": …}`.
#[derive(Deserialize)]
pub struct OneAct {
    pub action: Act,
}

/// Something that was done to a droplet, or is being done.
#[derive(Clone, Debug, Deserialize)]
pub struct Act {
    pub id: ActionId,
    pub status: Stand,
    #[serde(rename = "type")]
    pub kind: String,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// Under way.
    InProgress,
    /// Done.
    Completed,
    /// Given up.
    Errored,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Active => "active",
            Self::Off => "off",
            Self::Archive => "archive",
        }
    }
}

impl Droplet {
    /// Where it is reached: within its network, or else from outside.
    pub fn address(&self) -> Option<&str> {
        self.networks.v4.iter().min_by_key(|network| network.side).map(|network| network.ip_address.as_str())
    }
}

/// A node of the inventory, as a command carries it.
#[derive(Deserialize)]
struct Node {
    name: String,
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct OnNode {
    node: Node,
}

/// The droplet that a command acts on.
///
/// # Errors
/// When its node has none.
pub fn target(command: &Command) -> Result<DropletId, Refusal> {
    let OnNode { node } = params(command)?;
    DropletId::of(&node.name, &node.id)
}

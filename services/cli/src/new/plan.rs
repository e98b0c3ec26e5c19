//! What is to be written: from the options, and from what the folder has already.

use anyhow::Context as _;
use regreen_playbook::Set;
use regreen_schemas::id::is_token;

use super::{New, Options, Target, Trigger, cases, playbook, set};

/// Words that are no text where YAML 1.1 or 1.2 reads them without quotes.
const NOT_TEXT: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
/// Names of the files beside playbooks.
const TAKEN: [&str; 3] = ["inventory", "checks", "policy"];
/// Who is told, where nobody is known.
const RECEIVER: &str = "oncall";
/// Addresses that lead nowhere, by RFC 5737.
const NOWHERE: [&str; 2] = ["192.0.2.1:8080", "192.0.2.2:8080"];

/// What is to be written.
pub struct Plan {
    /// Name of the playbook.
    pub name: String,
    pub target: Target,
    pub trigger: Trigger,
    /// What it repairs, or looks at; none: neither.
    pub group: Option<Group>,
    /// Path that a healthy node answers.
    pub health: String,
    /// Path that repairs a node.
    pub repair: String,
    /// Who is told.
    pub receiver: String,
    /// The folder has no inventory.
    inventory: bool,
    /// The folder has no policy.
    policy: bool,
    /// No node was given.
    placeholders: bool,
}

/// A group.
pub struct Group {
    pub name: String,
    /// The check over its nodes.
    pub check: String,
    pub nodes: Vec<Node>,
}

/// A node.
pub struct Node {
    pub name: String,
    /// Where it answers.
    pub address: String,
    /// What alerts call it.
    pub instance: String,
}

impl Plan {
    /// # Errors
    /// When something can't be a name or an address, or does not go with what is there.
    pub fn new(options: &Options, set: &Set) -> anyhow::Result<Self> {
        name(&options.name, "the playbook")?;
        let taken = TAKEN.contains(&options.name.as_str());
        anyhow::ensure!(
            !taken,
            "{}.yaml is another file's name: call the playbook by what it does",
            options.name
        );
        path(&options.health)?;
        path(&options.repair)?;
        let needed = options.target != Target::None || options.trigger == Trigger::Verdict;
        let known = !set.inventory.groups.is_empty();
        let given = options.group.is_some() || !options.nodes.is_empty();
        anyhow::ensure!(needed || !given, "a playbook with `--target none` acts on no group and no node");
        anyhow::ensure!(
            !known || options.nodes.is_empty(),
            "{} has an inventory: add the nodes there, and leave out --node",
            options.dir.display()
        );
        let group = match (needed, known) {
            (false, _) => None,
            (true, true) => Some(known_group(options.group.as_deref(), set)?),
            (true, false) => Some(new_group(options)?),
        };
        let receiver = if set.receivers.contains_key(RECEIVER) { None } else { set.receivers.keys().next() };
        Ok(Self {
            name: options.name.clone(),
            target: options.target,
            trigger: options.trigger,
            inventory: needed && !known,
            policy: set.receivers.is_empty(),
            placeholders: needed && !known && options.nodes.is_empty(),
            group,
            health: options.health.clone(),
            repair: options.repair.clone(),
            receiver: receiver.map_or(RECEIVER, |name| name).to_owned(),
        })
    }

    /// The files, in the order in which they are told.
    pub fn files(&self) -> Vec<New> {
        let new = |name: &str, purpose, text| New { name: name.to_owned(), purpose, text };
        let mut files = vec![
            new(&format!("{}.yaml", self.name), "the playbook", playbook::text(self)),
            new(&format!("{}.test.yaml", self.name), "its test", cases::text(self)),
        ];
        if let Some(group) = self.group.as_ref().filter(|_| self.inventory) {
            files.push(new("inventory.yaml", "what it may act on", set::inventory(group)));
            files.push(new("checks.yaml", "how that is looked at", set::checks(group, &self.health)));
        }
        if self.policy {
            files.push(new("policy.yaml", "who is told, and who is asked", set::policy(&self.receiver)));
        }
        files
    }

    /// Whether addresses are not the reader's own yet.
    pub fn placeholders(&self) -> bool {
        self.placeholders
    }

    /// Name of the alert: `WebDown` of the group `web`, else like the playbook.
    pub fn alert(&self) -> String {
        let words = |text: &str| -> String { text.split(['-', '_']).map(capital).collect() };
        match &self.group {
            Some(group) if self.target != Target::None => format!("{}Down", words(&group.name)),
            _ => words(&self.name),
        }
    }

    /// Whether a person is asked: no other node of the group could go on serving.
    pub fn asks(&self) -> bool {
        self.target != Target::None && self.group.as_ref().is_some_and(|group| group.nodes.len() < 2)
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// What may be a name, and stand in YAML without quotes.
fn name(text: &str, what: &str) -> anyhow::Result<()> {
    let letter = text.starts_with(|first: char| first.is_ascii_lowercase());
    anyhow::ensure!(
        is_token(text) && letter && !NOT_TEXT.contains(&text),
        "`{text}` can't name {what}: lower-case letters, digits, `-` and `_`, at most 40, beginning with a letter"
    );
    Ok(())
}

fn path(text: &str) -> anyhow::Result<()> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\{}#".contains(&byte));
    anyhow::ensure!(
        text.starts_with('/') && plain,
        "`{text}` is no path: it begins with `/`, as in `/health`; the host is the node's address"
    );
    Ok(())
}

/// A group of the folder's inventory.
fn known_group(wanted: Option<&str>, set: &Set) -> anyhow::Result<Group> {
    let groups = &set.inventory.groups;
    let names = || groups.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
    let (name, group) = match wanted {
        Some(wanted) => groups
            .get_key_value(wanted)
            .with_context(|| format!("the inventory has no group `{wanted}`; known: {}", names()))?,
        None => {
            anyhow::ensure!(groups.len() == 1, "which group? --group is one of {}", names());
            groups.iter().next().context("there is no group")?
        }
    };
    let check = group.health.as_deref();
    let check = check.with_context(|| format!("group `{name}` has no `health:`, a check over its nodes"))?;
    anyhow::ensure!(!group.nodes.is_empty(), "group `{name}` has no nodes: a test needs one");
    let nodes = group.nodes.iter().map(|(name, node)| Node {
        name: name.to_string(),
        address: node.address.to_string(),
        instance: name.to_string(),
    });
    Ok(Group { name: name.to_string(), check: check.to_owned(), nodes: nodes.collect() })
}

/// A group as the options say it, else one whose addresses lead nowhere.
fn new_group(options: &Options) -> anyhow::Result<Group> {
    let own = options.name.rsplit_once(['-', '_']).map_or(options.name.as_str(), |(group, _)| group);
    let group = options.group.as_deref().unwrap_or(own);
    name(group, "a group")?;
    let mut nodes: Vec<Node> = Vec::new();
    for given in &options.nodes {
        let node = node(given)?;
        let twice = nodes.iter().any(|other| other.name == node.name || other.address == node.address);
        anyhow::ensure!(!twice, "`{given}`: this name or address was given before");
        nodes.push(node);
    }
    if nodes.is_empty() {
        for (number, address) in (1..).zip(NOWHERE) {
            nodes.push(node(&format!("{group}-{number}={address}"))?);
        }
    }
    Ok(Group { name: group.to_owned(), check: group.to_owned(), nodes })
}

fn node(text: &str) -> anyhow::Result<Node> {
    let (node, address) = text
        .split_once('=')
        .with_context(|| format!("`{text}` is no node: name and address, as in web-1=10.0.0.1:8080"))?;
    name(node, "a node")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    anyhow::ensure!(
        !address.is_empty() && address.bytes().all(plain),
        "`{address}` is no address: a host, and a port where it is not 80, as in 10.0.0.1:8080"
    );
    Ok(Node { name: node.to_owned(), address: address.to_owned(), instance: address.to_owned() })
}

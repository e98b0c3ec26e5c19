//! Nodes and groups as commands of Elasticsearch name them.

#[path = "../served/mod.rs"]
pub mod served;

use regreen_kit::secrets::Secrets;
use serde_json::{Value, json};

use self::served::Served;

/// A group of the inventory.
pub fn group(nodes: &[(&str, String)]) -> Value {
    let nodes: Vec<Value> =
        nodes.iter().map(|(name, address)| json!({"name": name, "id": "1", "address": address})).collect();
    // Tests run beside each other, and a cluster is changed by one at a time.
    let name =
        nodes.iter().map(|node| node["address"].as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    json!({"name": name, "labels": {}, "nodes": nodes})
}

/// One of its nodes, as a command names it.
pub fn node(name: &str, nodes: &[(&str, String)]) -> Value {
    let (_, address) = nodes.iter().find(|(known, _)| *known == name).expect("a node of the group");
    json!({"node": {"name": name, "id": "1", "address": address, "group": group(nodes)}})
}

/// The actions of Elasticsearch, with these options.
pub fn serving(options: &Value, secrets: &Secrets) -> Served {
    Served::of(json!({"elasticsearch": options}), secrets)
}

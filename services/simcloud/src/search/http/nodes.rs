//! Who is there: `/` and `_nodes`.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Map, Value, json};

use super::Of;
use crate::search::{
    allocate::matches,
    member::Member,
    model::{NodeId, Peer},
};

/// The version that it says it is.
const VERSION: &str = "8.17.0";
const HASH: &str = "0000000000000000000000000000000000000000";
const ROLES: [&str; 3] = ["data", "ingest", "master"];
/// What may follow `/_nodes/` and names parts of the answer instead of nodes.
const METRICS: [&str; 6] = ["_all", "http", "os", "process", "settings", "transport"];

pub async fn root(State(node): Of) -> Json<Value> {
    let uuid = node.see(|member| member.kept.cluster.uuid.clone());
    Json(json!({
        "name": node.config.name,
        "cluster_name": node.config.cluster,
        "cluster_uuid": uuid.unwrap_or_else(|| "_na_".into()),
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": HASH,
            "build_date": "2024-12-11T12:08:05.663969764Z",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    }))
}

pub async fn all(State(node): Of) -> Json<Value> {
    Json(node.see(|member| tell(member, &node.config.cluster, "_all")))
}

pub async fn some(State(node): Of, Path(which): Path<String>) -> Json<Value> {
    let metrics = which.split(',').all(|word| METRICS.contains(&word));
    let which = if metrics { "_all".to_owned() } else { which };
    Json(node.see(|member| tell(member, &node.config.cluster, &which)))
}

/// Of those nodes a part, which is contained in the whole.
pub async fn part(State(node): Of, Path((which, _)): Path<(String, String)>) -> Json<Value> {
    Json(node.see(|member| tell(member, &node.config.cluster, &which)))
}

fn tell(member: &Member, cluster: &str, which: &str) -> Value {
    let known = &member.kept.cluster;
    // One that has never had a master knows itself.
    let alone = [(member.me.id.clone(), member.me.clone())].into();
    let peers = if known.nodes.is_empty() { &alone } else { &known.nodes };
    let wanted = |peer: &&Peer| which.split(',').any(|word| meant(word, peer, member, known.master.as_ref()));
    let nodes: Map<String, Value> =
        peers.values().filter(wanted).map(|peer| (peer.id.0.clone(), one(peer))).collect();
    let counts = json!({"total": nodes.len(), "successful": nodes.len(), "failed": 0});
    json!({"_nodes": counts, "cluster_name": cluster, "nodes": nodes})
}

fn meant(word: &str, peer: &Peer, member: &Member, master: Option<&NodeId>) -> bool {
    match word {
        "_all" => true,
        "_local" => peer.id == member.me.id,
        "_master" | "_cluster_manager" => master == Some(&peer.id),
        word => word == peer.id.0 || matches(word, &peer.name),
    }
}

fn one(peer: &Peer) -> Value {
    let host = peer.http.split(':').next().unwrap_or_default();
    json!({
        "name": peer.name,
        "transport_address": peer.transport,
        "host": host,
        "ip": host,
        "version": VERSION,
        "build_flavor": "default",
        "build_type": "tar",
        "build_hash": HASH,
        "roles": ROLES,
        "attributes": {},
        "transport": {"bound_address": [peer.transport], "publish_address": peer.transport, "profiles": {}},
        "http": {"bound_address": [peer.http], "publish_address": peer.http, "max_content_length_in_bytes": 104_857_600},
    })
}

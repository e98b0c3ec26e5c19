//! `_cluster/settings`, `_cluster/voting_config_exclusions`, `_cluster/state`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{MASTER_PATIENCE, Of, Params, body, flag, has_master, span, submit};
use crate::search::{
    change::Change,
    errors::Refused,
    member::Member,
    model::{Cluster, Index, NodeId, Place},
    node::{BEAT, Node},
    settings as flat,
};

pub async fn settings(State(node): Of, Query(params): Params) -> Result<Json<Value>, Refused> {
    has_master(&node, &params).await?;
    let (persistent, transient) =
        node.see(|member| (member.kept.cluster.persistent.clone(), member.kept.cluster.transient.clone()));
    let show = |settings: &BTreeMap<String, String>| {
        if flag(&params, "flat_settings") { json!(settings) } else { flat::nested(settings) }
    };
    Ok(Json(json!({"persistent": show(&persistent), "transient": show(&transient)})))
}

pub async fn change_settings(
    State(node): Of,
    Query(params): Params,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let body: Value = body(&bytes)?;
    let known =
        body.as_object().is_some_and(|map| map.keys().all(|key| key == "persistent" || key == "transient"));
    if !known {
        return Err(Refused::argument("only [persistent] and [transient] are settings of a cluster"));
    }
    let change = Change::Settings {
        persistent: flat::read(&body["persistent"])?,
        transient: flat::read(&body["transient"])?,
    };
    Ok(submit(&node, change, span(&params, &["master_timeout"], MASTER_PATIENCE)?).await)
}

pub async fn exclude(State(node): Of, Query(params): Params) -> Result<Response, Refused> {
    let list = |key: &str| -> Vec<String> {
        let text = params.get(key).map_or("", String::as_str);
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let change = Change::Exclude { names: list("node_names"), ids: list("node_ids") };
    let patience = span(&params, &["timeout"], MASTER_PATIENCE)?;
    let answer = submit(&node, change, span(&params, &["master_timeout"], MASTER_PATIENCE)?).await;
    if answer.status().is_success() {
        let votes = |cluster: &Cluster| {
            cluster.committed.iter().chain(&cluster.accepted).any(|id| cluster.retired(id))
        };
        until(&node, patience, |cluster| !votes(cluster)).await?;
    }
    Ok(answer)
}

pub async fn forget_exclusions(State(node): Of, Query(params): Params) -> Result<Response, Refused> {
    let patience = span(&params, &["timeout"], MASTER_PATIENCE)?;
    // Unless told not to, it waits until those nodes are gone: a vote given back to one would be counted again.
    if params.get("wait_for_removal").is_none_or(|value| value != "false") {
        let there = |cluster: &Cluster| cluster.nodes.keys().any(|id| cluster.retired(id));
        until(&node, patience, |cluster| !there(cluster)).await?;
    }
    Ok(submit(&node, Change::ForgetExclusions, span(&params, &["master_timeout"], MASTER_PATIENCE)?).await)
}

/// Waits until the cluster is like that.
async fn until(node: &Node, patience: Duration, is: impl Fn(&Cluster) -> bool) -> Result<(), Refused> {
    let until = Instant::now() + patience;
    while !node.see(|member| is(&member.kept.cluster)) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refused::too_long("timed out waiting for the voting configuration"));
        }
        node.turn(left.min(BEAT)).await;
    }
    Ok(())
}

pub async fn state(State(node): Of, Query(params): Params) -> Result<Response, Refused> {
    state_of(State(node), Path("_all".into()), Query(params)).await
}

pub async fn state_of(
    State(node): Of,
    Path(metric): Path<String>,
    Query(params): Params,
) -> Result<Response, Refused> {
    has_master(&node, &params).await?;
    let wanted: Vec<&str> = metric.split(',').collect();
    let all = node.see(|member| whole(member, &node.config.cluster));
    let Value::Object(parts) = all else { return Ok(Json(all).into_response()) };
    let keep = |key: &str| {
        let always = ["cluster_name", "cluster_uuid"].contains(&key);
        let word = if key == "state_uuid" { "version" } else { key };
        always || wanted.contains(&"_all") || wanted.contains(&word)
    };
    let kept: Map<String, Value> = parts.into_iter().filter(|(key, _)| keep(key)).collect();
    Ok(Json(Value::Object(kept)).into_response())
}

fn whole(member: &Member, name: &str) -> Value {
    let cluster = &member.kept.cluster;
    let nodes: Map<String, Value> = cluster
        .nodes
        .values()
        .map(|peer| {
            let one = json!({"name": peer.name, "ephemeral_id": peer.ephemeral,
                "transport_address": peer.transport, "attributes": {}});
            (peer.id.0.clone(), one)
        })
        .collect();
    let blocks = if member.master().is_some() {
        json!({})
    } else {
        json!({"global": {"2": {"description": "no master", "retryable": true, "disable_state_persistence": true,
            "levels": ["write", "metadata_write"]}}})
    };
    json!({
        "cluster_name": name,
        "cluster_uuid": cluster.uuid.clone().unwrap_or_else(|| "_na_".into()),
        "version": member.kept.at.index,
        "state_uuid": format!("{}-{}", member.kept.at.term, member.kept.at.index),
        "master_node": member.master().map(|peer| peer.id.0.clone()),
        "blocks": blocks,
        "nodes": nodes,
        "metadata": metadata(member),
        "routing_table": {"indices": cluster.indices.iter().map(routing).collect::<Map<_, _>>()},
    })
}

fn metadata(member: &Member) -> Value {
    let cluster = &member.kept.cluster;
    let index = |(name, index): (&String, &Index)| {
        let one =
            json!({"state": "open", "settings": flat::nested(&index.settings), "mappings": index.mappings});
        (name.clone(), one)
    };
    json!({
        "cluster_uuid": cluster.uuid,
        "cluster_uuid_committed": cluster.uuid.is_some(),
        "cluster_coordination": {
            "term": member.kept.term,
            "last_committed_config": cluster.committed,
            "last_accepted_config": cluster.accepted,
            "voting_config_exclusions": cluster.exclusions,
        },
        "indices": cluster.indices.iter().map(index).collect::<Map<_, _>>(),
    })
}

fn routing((name, index): (&String, &Index)) -> (String, Value) {
    let shards = index.shards.iter().enumerate().map(|(number, shard)| {
        let copies = shard.copies.iter().enumerate();
        let copies = copies.map(|(place, copy)| one_copy(name, number, place == 0, copy));
        (number.to_string(), Value::Array(copies.collect()))
    });
    (name.clone(), json!({"shards": shards.collect::<Map<_, _>>()}))
}

fn one_copy(index: &str, shard: usize, primary: bool, copy: &Place) -> Value {
    let (state, node, to): (_, Option<&NodeId>, Option<&NodeId>) = match copy {
        Place::Unassigned { .. } => ("UNASSIGNED", None, None),
        Place::Initializing { node } => ("INITIALIZING", Some(node), None),
        Place::Started { node } => ("STARTED", Some(node), None),
        Place::Relocating { from, to } => ("RELOCATING", Some(from), Some(to)),
    };
    json!({"state": state, "primary": primary, "node": node, "relocating_node": to, "shard": shard, "index": index})
}

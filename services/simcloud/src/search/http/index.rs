//! Indices: made, shown, changed and dropped.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{MASTER_PATIENCE, Of, Params, body, has_master, span, submit};
use crate::search::{
    allocate::matches,
    change::Change,
    errors::Refused,
    model::{Cluster, Index},
    node::Node,
    settings::{self as flat, Patch},
};

/// The body of a new index.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Making {
    settings: Value,
    mappings: Option<Value>,
}

pub async fn make(
    State(node): Of,
    Path(name): Path<String>,
    Query(params): Params,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let making: Making = body(&bytes)?;
    let settings = flat::set(&prefixed(flat::read(&making.settings)?));
    let change = Change::MakeIndex { name, settings, mappings: making.mappings.unwrap_or_else(|| json!({})) };
    Ok(submit(&node, change, span(&params, &["master_timeout"], MASTER_PATIENCE)?).await)
}

pub async fn drop(
    State(node): Of,
    Path(name): Path<String>,
    Query(params): Params,
) -> Result<Response, Refused> {
    Ok(submit(&node, Change::DropIndex { name }, span(&params, &["master_timeout"], MASTER_PATIENCE)?).await)
}

pub async fn change_settings(
    State(node): Of,
    Path(name): Path<String>,
    Query(params): Params,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let all: Value = body(&bytes)?;
    let inner = all.get("settings").unwrap_or(&all);
    let change = Change::IndexSettings { name, patch: prefixed(flat::read(inner)?) };
    Ok(submit(&node, change, span(&params, &["master_timeout"], MASTER_PATIENCE)?).await)
}

/// Settings of an index may be written without `index.`.
fn prefixed(patch: Patch) -> Patch {
    let whole = |key: String| if key.starts_with("index.") { key } else { format!("index.{key}") };
    patch.into_iter().map(|(key, value)| (whole(key), value)).collect()
}

pub async fn show(
    State(node): Of,
    Path(name): Path<String>,
    Query(params): Params,
) -> Result<Json<Value>, Refused> {
    has_master(&node, &params).await?;
    each(
        &node,
        &name,
        |name, index| json!({"aliases": {}, "mappings": index.mappings, "settings": settings_of(name, index)}),
    )
}

pub async fn settings(
    State(node): Of,
    Path(name): Path<String>,
    Query(params): Params,
) -> Result<Json<Value>, Refused> {
    has_master(&node, &params).await?;
    each(&node, &name, |name, index| json!({"settings": settings_of(name, index)}))
}

fn settings_of(name: &str, index: &Index) -> Value {
    let mut settings = index.settings.clone();
    settings.insert("index.uuid".into(), index.uuid.clone());
    settings.insert("index.provided_name".into(), name.into());
    settings.insert("index.creation_date".into(), index.created.to_string());
    flat::nested(&settings)
}

fn each(
    node: &Arc<Node>,
    pattern: &str,
    tell: impl Fn(&str, &Index) -> Value,
) -> Result<Json<Value>, Refused> {
    node.see(|member| {
        let names = named(&member.kept.cluster, pattern)?;
        let one = |name: &String| (name.clone(), tell(name, &member.kept.cluster.indices[name]));
        Ok(Json(Value::Object(names.iter().map(one).collect::<Map<_, _>>())))
    })
}

/// The indices that a comma list of patterns means; one without a star must be there.
pub fn named(cluster: &Cluster, patterns: &str) -> Result<Vec<String>, Refused> {
    let mut names = Vec::new();
    for pattern in patterns.split(',') {
        let pattern = if pattern == "_all" { "*" } else { pattern };
        let found = cluster.indices.keys().filter(|name| matches(pattern, name)).cloned().collect::<Vec<_>>();
        if found.is_empty() && !pattern.contains('*') {
            return Err(Refused::index_not_found(pattern));
        }
        names.extend(found);
    }
    Ok(names)
}

pub async fn refresh_all(State(node): Of) -> Result<Json<Value>, Refused> {
    refresh(State(node), Path("_all".into())).await
}

/// Documents are seen at once here; the answer is that of a refresh.
pub async fn refresh(State(node): Of, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    node.see(|member| {
        let cluster = &member.kept.cluster;
        let names = named(cluster, &name)?;
        Ok(Json(json!({"_shards": shards(names.iter().map(|name| &cluster.indices[name]))})))
    })
}

fn shards<'a>(indices: impl Iterator<Item = &'a Index>) -> Value {
    let copies: Vec<_> = indices.flat_map(|index| &index.shards).flat_map(|shard| &shard.copies).collect();
    let active = copies.iter().filter(|copy| copy.active().is_some()).count();
    json!({"total": copies.len(), "successful": active, "failed": 0})
}

/// As much as is known: how many documents, and how many changes. Time is not measured here.
pub async fn stats_all(State(node): Of) -> Json<Value> {
    node.see(|member| {
        let (cluster, documents) = (&member.kept.cluster, &member.kept.documents);
        let one = |name: &String| {
            json!({"docs": {"count": documents.of(name).count(), "deleted": 0},
                "indexing": {"index_total": documents.changes(name), "index_time_in_millis": 0}})
        };
        let indices: BTreeMap<&String, Value> =
            cluster.indices.keys().map(|name| (name, json!({"primaries": one(name)}))).collect();
        let total: u64 = cluster.indices.keys().map(|name| documents.changes(name)).sum();
        let count: usize = cluster.indices.keys().map(|name| documents.of(name).count()).sum();
        let all = json!({"docs": {"count": count, "deleted": 0},
            "indexing": {"index_total": total, "index_time_in_millis": 0}});
        Json(json!({"_shards": shards(cluster.indices.values()), "_all": {"primaries": all}, "indices": indices}))
    })
}

//! Documents: written, read, searched and counted.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Of, Params, WRITE_PATIENCE, body, index::named, span, submit};
use crate::search::{
    change::{Change, shard_of},
    errors::Refused,
    member::Member,
    node::{Node, new_id},
    query::{self, Count, Search},
};

pub async fn put(
    State(node): Of,
    Path((index, id)): Path<(String, String)>,
    Query(params): Params,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let create = params.get("op_type").is_some_and(|kind| kind == "create");
    write(&node, index, id, create, &params, &bytes).await
}

pub async fn create(
    State(node): Of,
    Path((index, id)): Path<(String, String)>,
    Query(params): Params,
    bytes: Bytes,
) -> Result<Response, Refused> {
    write(&node, index, id, true, &params, &bytes).await
}

pub async fn add(
    State(node): Of,
    Path(index): Path<String>,
    Query(params): Params,
    bytes: Bytes,
) -> Result<Response, Refused> {
    write(&node, index, new_id(), true, &params, &bytes).await
}

async fn write(
    node: &Arc<Node>,
    index: String,
    id: String,
    create: bool,
    params: &std::collections::BTreeMap<String, String>,
    bytes: &Bytes,
) -> Result<Response, Refused> {
    let source: Value = body(bytes)?;
    if !source.is_object() {
        return Err(Refused::parsing("a document is an object"));
    }
    let patience = span(params, &["timeout"], WRITE_PATIENCE)?;
    Ok(submit(node, Change::Put { index, id, source, create }, patience).await)
}

pub async fn delete(
    State(node): Of,
    Path((index, id)): Path<(String, String)>,
    Query(params): Params,
) -> Result<Response, Refused> {
    let patience = span(&params, &["timeout"], WRITE_PATIENCE)?;
    Ok(submit(&node, Change::Delete { index, id }, patience).await)
}

pub async fn get(State(node): Of, Path((index, id)): Path<(String, String)>) -> Result<Response, Refused> {
    node.see(|member| {
        let there = member.kept.cluster.indices.get(&index).ok_or_else(|| Refused::index_not_found(&index))?;
        if !there.shards[shard_of(there, &id)].copies.iter().any(|copy| copy.active().is_some()) {
            return Err(Refused::all_shards_failed());
        }
        Ok(match member.kept.documents.get(&index, &id) {
            None => (StatusCode::NOT_FOUND, Json(json!({"_index": index, "_id": id, "found": false}))),
            Some(document) => {
                let body = json!({"_index": index, "_id": id, "_version": document.version, "_seq_no": document.seq,
                    "_primary_term": document.term, "found": true, "_source": document.source});
                (StatusCode::OK, Json(body))
            }
        }
        .into_response())
    })
}

pub async fn search_all(State(node): Of, bytes: Bytes) -> Result<Json<Value>, Refused> {
    search(State(node), Path("_all".into()), bytes).await
}

pub async fn search(
    State(node): Of,
    Path(index): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>, Refused> {
    let began = Instant::now();
    let search: Search = body(&bytes)?;
    node.see(|member| {
        let (names, shards) = searchable(member, &index)?;
        let all = names.iter().flat_map(|name| {
            member.kept.documents.of(name).map(|(id, document)| (name.as_str(), id, document))
        });
        let hits = query::find(&search, all)?;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Json(json!({"took": took, "timed_out": false, "_shards": shards, "hits": hits})))
    })
}

pub async fn count(State(node): Of, Path(index): Path<String>, bytes: Bytes) -> Result<Json<Value>, Refused> {
    let count: Count = body(&bytes)?;
    node.see(|member| {
        let (names, shards) = searchable(member, &index)?;
        let mut found = 0_usize;
        for (id, document) in names.iter().flat_map(|name| member.kept.documents.of(name)) {
            found += usize::from(query::matches(count.query.as_ref(), id, &document.source)?);
        }
        Ok(Json(json!({"count": found, "_shards": shards})))
    })
}

/// The indices, and how many of their shards can be searched.
fn searchable(member: &Member, patterns: &str) -> Result<(Vec<String>, Value), Refused> {
    let names = named(&member.kept.cluster, patterns)?;
    let shards: Vec<_> = names.iter().flat_map(|name| &member.kept.cluster.indices[name].shards).collect();
    let lost = shards.iter().filter(|shard| !shard.copies.iter().any(|copy| copy.active().is_some())).count();
    if lost > 0 && lost == shards.len() {
        return Err(Refused::all_shards_failed());
    }
    let counts =
        json!({"total": shards.len(), "successful": shards.len() - lost, "skipped": 0, "failed": lost});
    Ok((names, counts))
}

//! `_cluster/health`: at once, or when it is as the client wants it, or when its patience is over: that is 408.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{Of, Params, flag, has_master, span};
use crate::search::{
    errors::Refused,
    health::{self, Colour, Health},
    node::{BEAT, Node, now},
};

/// How long a wait lasts, where the client does not say.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn all(State(node): Of, Query(params): Params) -> Result<Response, Refused> {
    answer(&node, Vec::new(), &params).await
}

pub async fn some(
    State(node): Of,
    Path(of): Path<String>,
    Query(params): Params,
) -> Result<Response, Refused> {
    answer(&node, of.split(',').map(str::to_owned).collect(), &params).await
}

async fn answer(
    node: &Node,
    of: Vec<String>,
    params: &BTreeMap<String, String>,
) -> Result<Response, Refused> {
    has_master(node, params).await?;
    let wish = Wish::read(params)?;
    let until = Instant::now() + span(params, &["timeout"], PATIENCE)?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let (there, health, nodes) = node.see(|member| {
            let cluster = &member.kept.cluster;
            let there = of.iter().all(|name| cluster.indices.contains_key(name));
            (there, health::look(cluster, &of, now()), cluster.nodes.len())
        });
        let fulfilled = there && wish.fulfilled(health, nodes);
        if fulfilled || left.is_zero() {
            return Ok(tell(node, &of, params, fulfilled));
        }
        node.turn(left.min(BEAT)).await;
    }
}

fn tell(node: &Node, of: &[String], params: &BTreeMap<String, String>, fulfilled: bool) -> Response {
    let body = node.see(|member| {
        let cluster = &member.kept.cluster;
        let health = health::look(cluster, of, now());
        let mut body =
            health::answer(cluster, &node.config.cluster, health, member.master().is_some(), !fulfilled);
        if params.get("level").is_some_and(|level| level != "cluster") {
            body["indices"] = health::by_index(cluster, of, now());
        }
        if of.iter().any(|name| !cluster.indices.contains_key(name)) {
            body["status"] = "red".into();
        }
        body
    });
    let status = if fulfilled { StatusCode::OK } else { StatusCode::REQUEST_TIMEOUT };
    (status, Json(body)).into_response()
}

/// What is waited for.
#[derive(Default)]
struct Wish {
    colour: Option<Colour>,
    nodes: Option<(Ordering, usize)>,
    no_relocating: bool,
    no_initializing: bool,
}

#[derive(Clone, Copy)]
enum Ordering {
    Less,
    AtMost,
    Exactly,
    AtLeast,
    More,
}

impl Wish {
    fn read(params: &BTreeMap<String, String>) -> Result<Self, Refused> {
        let wrong = |key: &str| Refused::argument(&format!("[{key}] can't be understood: [{}]", params[key]));
        let colour = match params.get("wait_for_status") {
            None => None,
            Some(word) => Some(Colour::of(word).ok_or_else(|| wrong("wait_for_status"))?),
        };
        let nodes = match params.get("wait_for_nodes") {
            None => None,
            Some(text) => Some(nodes(text).ok_or_else(|| wrong("wait_for_nodes"))?),
        };
        let no_relocating = flag(params, "wait_for_no_relocating_shards");
        let no_initializing = flag(params, "wait_for_no_initializing_shards");
        Ok(Self { colour, nodes, no_relocating, no_initializing })
    }

    fn fulfilled(&self, health: Health, nodes: usize) -> bool {
        let counted = self.nodes.is_none_or(|(how, wanted)| match how {
            Ordering::Less => nodes < wanted,
            Ordering::AtMost => nodes <= wanted,
            Ordering::Exactly => nodes == wanted,
            Ordering::AtLeast => nodes >= wanted,
            Ordering::More => nodes > wanted,
        });
        counted
            && self.colour.is_none_or(|colour| health.colour >= colour)
            && !(self.no_relocating && health.counts.relocating > 0)
            && !(self.no_initializing && health.counts.initializing > 0)
    }
}

/// `3`, `>=2`, `ge(2)`.
fn nodes(text: &str) -> Option<(Ordering, usize)> {
    let ways = [
        (">=", "ge(", Ordering::AtLeast),
        ("<=", "le(", Ordering::AtMost),
        (">", "gt(", Ordering::More),
        ("<", "lt(", Ordering::Less),
    ];
    let found = ways.iter().find_map(|(sign, word, how)| {
        let number = text.strip_prefix(sign).or_else(|| text.strip_prefix(word)?.strip_suffix(')'))?;
        Some((*how, number.parse().ok()?))
    });
    found.or_else(|| Some((Ordering::Exactly, text.parse().ok()?)))
}

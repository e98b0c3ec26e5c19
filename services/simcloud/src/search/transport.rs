//! The transport's port: what other members ask.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    routing::{get, post},
};

use super::{
    member::{Ballot, Heard, Word},
    model::NodeId,
    node::Node,
    wire::{BODY_MAX, Join, Outcome, Passed, Pong},
};

type Of = State<Arc<Node>>;

pub fn routes(node: Arc<Node>) -> Router {
    Router::new()
        .route("/ping", get(ping))
        .route("/vote", post(vote))
        .route("/word", post(word))
        .route("/join", post(join))
        .route("/change", post(change))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(node)
}

async fn ping(State(node): Of) -> Json<Pong> {
    Json(node.pong())
}

async fn vote(State(node): Of, Json(ballot): Json<Ballot>) -> Json<Option<NodeId>> {
    Json(node.vote(&ballot))
}

async fn word(State(node): Of, Json(word): Json<Word>) -> Json<Heard> {
    Json(node.hear(word))
}

async fn join(State(node): Of, Json(join): Json<Join>) -> Json<Option<String>> {
    Json(node.admit(join).await)
}

async fn change(State(node): Of, Json(passed): Json<Passed>) -> Json<Outcome> {
    Json(node.passed(passed).await)
}

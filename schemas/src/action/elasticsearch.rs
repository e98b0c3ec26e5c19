//! Actions of Elasticsearch. What a cluster is told is a setting: said twice it is as good as said once.

use super::{Declaration, Effect, FieldType, Param, ParamType};
use crate::Span;

/// All of them.
pub const ALL: &[&Declaration] =
    &[&NODE_EXCLUDE, &NODE_INCLUDE, &VOTING_EXCLUDE, &VOTING_INCLUDE, &CLUSTER_WAIT, &STATE_GET];

const NODE: Param = Param::must("node", ParamType::Node, "The node; the cluster knows it by its name.");
const GROUP: Param = Param::must("group", ParamType::Group, "The cluster's nodes: any of them is asked.");

/// Drains a node.
pub const NODE_EXCLUDE: Declaration = Declaration {
    undo: Some("elasticsearch.node.include"),
    ..sets(
        "elasticsearch.node.exclude",
        "Keeps shards away from a node and takes its vote, and leaves what others have excluded as it is.",
    )
};

/// Takes it back.
pub const NODE_INCLUDE: Declaration = sets(
    "elasticsearch.node.include",
    "Lets shards onto a node again and gives its vote back; not the vote while those of others are withheld too, since \
     they are all given back at once.",
);

/// Takes a vote.
pub const VOTING_EXCLUDE: Declaration = Declaration {
    undo: Some("elasticsearch.voting.include"),
    ..sets("elasticsearch.voting.exclude", "Takes a node's vote, and leaves its shards where they are.")
};

/// Gives it back.
pub const VOTING_INCLUDE: Declaration = sets(
    "elasticsearch.voting.include",
    "Gives a node its vote back; not while those of others are withheld too, since they are all given back at once.",
);

/// Waits for a status.
pub const CLUSTER_WAIT: Declaration = Declaration {
    result: &[("status", FieldType::Text)],
    timeout: Span::minutes(10),
    ..Declaration::new(
        "elasticsearch.cluster.wait",
        "Waits until a cluster is as healthy as that, or better; fails when it is not within the step's timeout.",
        &[GROUP, Param::must("status", ParamType::OneOf(&["green", "yellow"]), "How healthy.")],
    )
};

/// Says how a cluster is.
pub const STATE_GET: Declaration = Declaration {
    result: &[("summary", FieldType::Text)],
    timeout: Span::seconds(10),
    ..Declaration::new(
        "elasticsearch.state.get",
        "Says in a few lines how a cluster is, as its own nodes see it.",
        &[GROUP],
    )
};

/// A setting of a cluster about one of its nodes.
const fn sets(name: &'static str, doc: &'static str) -> Declaration {
    Declaration { effect: Effect::Idempotent, ..Declaration::new(name, doc, &[NODE]) }
}

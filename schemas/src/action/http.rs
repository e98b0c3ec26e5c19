//! The action for what has an HTTP interface of its own and no provider here.

use super::{Declaration, Effect, FieldType, Param, ParamType};

/// `http.request`: repairs a thing through its own HTTP interface.
pub const HTTP_REQUEST: Declaration = Declaration {
    effect: Effect::AtMostOnce,
    result: &[("status", FieldType::Int), ("json", FieldType::Json)],
    ..Declaration::new(
        "http.request",
        "Sends one HTTP request and succeeds when the status is accepted.",
        PARAMS,
    )
};

const PARAMS: &[Param] = &[
    Param::must("url", ParamType::Url, "Where to; http or https."),
    Param::may(
        "method",
        ParamType::OneOf(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        "GET unless given.",
    ),
    Param::may("headers", ParamType::Headers, "Values may be `{secret: name}`."),
    Param::may("body", ParamType::Json, "Goes out as JSON."),
    Param::may("accept", ParamType::Ints, "Statuses that count as done; 200 to 299 unless given."),
    Param::may("node", ParamType::Node, "The node this acts on."),
    Param::may("group", ParamType::Group, "The group this acts on."),
    Param::may(
        "effect",
        ParamType::OneOf(&["read", "idempotent", "at_most_once"]),
        "Effect class; by default from the method: GET and HEAD read, PUT and DELETE idempotent, else at_most_once.",
    ),
    Param::may(
        "idempotency_header",
        ParamType::Text,
        "Header that carries the action key, for servers that recognise a repeated request by it; makes the request idempotent.",
    ),
    Param::may(
        "observe",
        ParamType::Observe,
        "`{url, done}`: how to look an unknown outcome up; `done` is CEL over `status`, `json` and `before`.",
    ),
];

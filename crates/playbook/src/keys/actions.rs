//! Keys of `actions:`: actions that somebody else's runner has.

use super::{
    API_VERSION, Key, key, must,
    shape::{
        Shape::{Bool, Duration, Either, Keys, List, Name, Named, Refers, Text, Words},
        Thing,
    },
    table,
};

/// `actions:`.
pub const ACTIONS: &[Key] = &[
    API_VERSION,
    must(
        "actions",
        Named(&Keys(&table("action", ACTION))),
        "Actions by name, `provider.noun.verb`. A runner of yours serves them.",
        "actions: {acme.cache.flush: {description: Empties a cache., effect: idempotent, destructive: false, with: {node: {type: node}}}}",
    ),
];

/// Types of results.
const TYPES: &[&str] = &["string", "int", "bool", "duration", "node", "group", "service", "json"];

/// A foreign action.
pub const ACTION: &[Key] = &[
    must("description", Text, "What it does, in one sentence.", "description: Empties the cache of a node."),
    must(
        "effect",
        Words(&["read", "idempotent", "reconcilable", "at_most_once"]),
        "What a second try does. `read` changes nothing; `idempotent`: twice is as good as once; `reconcilable`: after a lost answer a look says whether it took effect; `at_most_once`: neither, so a person answers.",
        "effect: idempotent",
    ),
    must(
        "destructive",
        Bool,
        "Whether it can destroy something: then playbooks that use it need guards.",
        "destructive: false",
    ),
    key(
        "irreversible",
        Bool,
        "Whether it can never be undone. Then nothing that was done before it is undone either.",
        "irreversible: true",
    )
    .or("false"),
    key(
        "with",
        Named(&Keys(&table("parameter", PARAM).one_of(&["type", "one_of"]))),
        "Its parameters, by name.",
        "with: {node: {type: node}, hard: {type: bool, optional: true}}",
    ),
    key(
        "result",
        Named(&Either(&[Words(TYPES), List(&Words(TYPES))])),
        "What its result holds: names to types, `[type]` is a list. Expressions read it as `steps.<id>.result.<name>`; only templates read `json`.",
        "result: {freed: int}",
    ),
    key(
        "undo",
        Refers(Thing::Action),
        "The action that undoes it, with the same parameters.",
        "undo: acme.cache.warm",
    ),
    key(
        "adds",
        Name,
        "The field of its result that is a node which is there from then on: `{name, id, address, labels, group}`. It counts as one of its group at once.",
        "adds: node",
    )
    .codes(&[203, 205]),
    key(
        "removes",
        Name,
        "The parameter whose node is gone when it is done. It counts no more.",
        "removes: node",
    )
    .codes(&[203, 205]),
    key("timeout", Duration, "How long one attempt may take, unless the step says.", "timeout: 2m").or("30s"),
];

/// A parameter of a foreign action.
pub const PARAM: &[Key] = &[
    key(
        "type",
        Words(&[
            "text", "url", "int", "bool", "duration", "json", "code", "node", "group", "service", "receiver",
        ]),
        "Its type. Values in a `url` are percent-encoded; nothing from outside may stand in `code`.",
        "type: node",
    ),
    key("one_of", List(&Text), "The only words that are accepted.", "one_of: [soft, hard]"),
    key("optional", Bool, "Whether it may be left out.", "optional: true").or("false"),
    key("description", Text, "What it means.", "description: The node whose cache is emptied."),
];

//! Keys of a step.

use super::{
    Key, Table,
    guard::{APPROVAL_BY, APPROVAL_WITHIN},
    key, must,
    playbook::VERIFY_TABLE,
    shape::{
        Shape::{
            ActionWith, Cel, Duration, Either, Id, Int, Keys, List, Named, Refers, Steps, Template, Words,
        },
        Thing,
    },
    table,
};

/// Kinds of steps: each has one of these.
pub const STEP_KINDS: &[&str] =
    &["use", "verify", "run", "parallel", "for_each", "choose", "approve", "set", "wait"];

/// A step.
pub const STEP_TABLE: Table = table("step", STEP).one_of(STEP_KINDS).needs(&[
    ("with", &["use"]),
    ("timeout", &["use"]),
    ("attempts", &["use"]),
    ("undo", &["use"]),
    ("target", &["run"]),
    ("inputs", &["run"]),
    ("fail", &["parallel"]),
    ("as", &["for_each"]),
    ("steps", &["for_each"]),
    ("at_most", &["for_each"]),
    ("at_once", &["parallel", "for_each"]),
    ("for_each", &["steps"]),
]);

/// A step.
pub const STEP: &[Key] = &[
    must(
        "id",
        Id,
        "Its name, which no other step of the playbook has: letters, digits and `_`.",
        "id: reboot",
    ),
    key(
        "if",
        Cel,
        "Asked when its turn comes. False: the step is skipped. An unknown verdict: the step fails.",
        "if: steps.reboot.ok",
    )
    .codes(&[205]),
    key(
        "on_failure",
        Either(&[Words(&["stop", "continue", "undo"]), Steps]),
        "What is done when it fails; the playbook's `on_failure` unless given. Steps: when they go well, the run goes on. Never used while it is unknown whether the step took effect.",
        "on_failure: continue",
    )
    .codes(&[508]),
    key("use", Refers(Thing::Action), "Uses an action: `provider.noun.verb`.", "use: http.request"),
    key(
        "with",
        ActionWith,
        "Of `use`: the action's parameters. All of them may be templates; text may also come from `{template: file.hbs}` or `{secret: name}`.",
        r#"with: {node: "{{ target }}", url: "http://{{ target.address }}/restart", method: POST}"#,
    )
    .codes(&[101, 108, 204, 308, 507]),
    key(
        "timeout",
        Duration,
        "Of `use`: how long one attempt may take; the action's own unless given.",
        "timeout: 5m",
    )
        .codes(&[603]),
    key(
        "attempts",
        Int { min: 1, max: 20 },
        "Of `use`: most attempts, the first included; 3 for actions that only read or are idempotent, else 1. Only errors that pass are tried again, with growing pauses.",
        "attempts: 5",
    )
    .codes(&[506]),
    key(
        "undo",
        Either(&[Words(&["none"]), Steps]),
        "Of `use`: how it is undone; by the action's own opposite unless given.",
        "undo: none",
    ),
    key(
        "verify",
        Keys(&VERIFY_TABLE),
        "Watches a check until it holds; fails when it does not in time.",
        r#"verify: {check: "web/{{ target.name }}", within: 5m}"#,
    ),
    key(
        "run",
        Refers(Thing::Playbook),
        "Runs another playbook within this run. It shares the locks and adds its own guards.",
        "run: web-replace",
    )
    .codes(&[511]),
    key(
        "target",
        Template,
        "Of `run`: name of its target; the target of this playbook unless given.",
        r#"target: "{{ target.standby }}""#,
    )
    .codes(&[205]),
    key(
        "inputs",
        Named(&Template),
        "Of `run`: its inputs, by name.",
        r#"inputs: {reason: "{{ inputs.reason }}"}"#,
    ),
    key(
        "parallel",
        Steps,
        "Does these steps at the same time. None of them may be destructive.",
        "parallel: [{id: kv, use: consul.kv.put, with: {key: a, value: b}}, {id: pause, wait: 5s}]",
    )
    .codes(&[504]),
    key(
        "fail",
        Words(&["slow", "fast"]),
        "Of `parallel`, once a step has failed: the others still begin and finish, or no more begin. Calls under way are settled in both.",
        "fail: fast",
    )
    .or("slow"),
    key(
        "for_each",
        Cel,
        "Does `steps` for each item of this list. An empty list, or an unknown one, fails the step; so does the first item that fails.",
        r#"for_each: group("lb").nodes"#,
    ),
    key("as", Id, "Of `for_each`: what expressions call the item.", "as: lb"),
    key(
        "steps",
        Steps,
        "Of `for_each`: what is done for each item.",
        r#"steps: [{id: drain, use: haproxy.server.drain, with: {node: "{{ lb }}", server: app}}]"#,
    ),
    key(
        "at_once",
        Int { min: 1, max: 64 },
        "Of `parallel` and `for_each`: how many are done at the same time; 4 for `parallel`, 1 for `for_each` unless given.",
        "at_once: 2",
    ),
    key(
        "at_most",
        Int { min: 1, max: 1000 },
        "Of `for_each`: a longer list fails the step, and nothing is done.",
        "at_most: 3",
    )
    .or("10"),
    key(
        "choose",
        List(&Keys(&BRANCH_TABLE)),
        "Does the steps of the first branch whose `if` is true. The last branch is `else`. An `if` that is unknown fails the step, and never leads to `else`.",
        "choose: [{if: inputs.hard, steps: [{id: pause, wait: 30s}]}, {else: [{id: go_on, wait: 0s}]}]",
    ),
    key(
        "approve",
        Keys(&table("approve", APPROVE)),
        "Asks a person in the middle of the run. No answer is a no.",
        r#"approve: {by: sre, within: 20m, text: "replace {{ target.name }}?"}"#,
    )
    .codes(&[508, 514]),
    key(
        "set",
        Named(&Cel),
        "Computes values. Later steps read them as `steps.<id>.result.<name>`.",
        r#"set: {others: "target.group.nodes.filter(n, n.name != target.name)"}"#,
    )
    .codes(&[109]),
    key("wait", Duration, "Lets time pass. Proves nothing.", "wait: 30s").codes(&[602]),
];

const BRANCH_TABLE: Table =
    table("branch", BRANCH).one_of(&["if", "else"]).needs(&[("if", &["steps"]), ("steps", &["if"])]);

/// A branch of `choose:`.
pub const BRANCH: &[Key] = &[
    key("if", Cel, "When this branch is taken.", "if: inputs.hard").codes(&[205]),
    key("steps", Steps, "What is done then.", "steps: [{id: pause, wait: 30s}]"),
    key(
        "else",
        Steps,
        "What is done when no `if` is true. Required, and the last.",
        "else: [{id: pause, wait: 5s}]",
    ),
];

/// `approve:` of a step.
pub const APPROVE: &[Key] = &[
    APPROVAL_BY,
    APPROVAL_WITHIN,
    key("text", Template, "What to ask.", r#"text: "replace {{ target.name }}?""#),
];

/// `observe:` of `http.request`.
pub const OBSERVE: &[Key] = &[
    must("url", Template, "Where to GET.", r#"url: "http://{{ target.address }}/state""#),
    must(
        "done",
        Cel,
        "True when the effect is there. Sees `status` and `json` of the answer, and `before`: the same look, taken before the request.",
        "done: json.restarts > before.json.restarts",
    ),
];

/// `observe:` of `http.request`.
pub const OBSERVE_TABLE: Table = table("observe", OBSERVE);

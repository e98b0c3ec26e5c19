//! Keys of `guard:`: what may forbid or delay a run.

use super::{
    Key, Table, key, must,
    shape::{
        Shape::{Duration, Int, Keys, List, Refers, Template, Words},
        Thing,
    },
    table,
};

/// `guard:`.
pub const GUARD: &[Key] = &[
    key(
        "lock",
        Keys(&table("lock", LOCK)),
        "What a run locks. A lock is always taken: the target's, unless a wider one is written. It is held to the end of the run, after undo and `finally`.",
        "lock: {scope: group, busy: queue, wait: 30m}",
    )
    .codes(&[511]),
    key(
        "cooldown",
        Duration,
        "How long after the end of the last run on the same target that did something. Destructive playbooks need one.",
        "cooldown: 1h",
    )
    .codes(&[501]),
    key(
        "budget",
        List(&Keys(&BUDGET_TABLE)),
        "Most destructive attempts in a time; all of these hold. Destructive playbooks need one.",
        "budget: [{max: 3, per: 6h}, {max: 1, per: 30m, scope: group}]",
    )
    .codes(&[501]),
    key(
        "min_healthy",
        Keys(&table("min_healthy", MIN_HEALTHY).one_of(&["at_least", "percent"])),
        "Healthy *other* nodes of the group that must remain. A node whose health is unknown is not healthy.",
        "min_healthy: {at_least: 2}",
    )
    .codes(&[501, 505]),
    key(
        "maintenance",
        Words(&["skip", "wait", "ignore"]),
        "What is done while the target is in maintenance, by the inventory's calendar or by a silence. `wait` starts when it is over.",
        "maintenance: wait",
    )
    .or("skip"),
    key(
        "circuit_breaker",
        Keys(&table("circuit_breaker", BREAKER)),
        "Repairs that keep failing stop: after so many failures nothing starts for a while, then one run is tried, with approval.",
        "circuit_breaker: {failures: 3, within: 2h, rest: 1h}",
    ),
    key(
        "quorum",
        Int { min: 1, max: 9 },
        "Vantages that must agree on each verdict that this playbook relies on; the check's own number unless given. Where a check has one vantage, a destructive playbook must say `quorum: 1`.",
        "quorum: 2",
    )
    .codes(&[512]),
    key(
        "approval",
        Keys(&APPROVAL_TABLE),
        "Who must say yes before the first effect; the plan is shown. No answer is a no.",
        "approval: {by: sre, within: 30m}",
    )
    .codes(&[501, 514]),
];

/// `guard.lock:`.
pub const LOCK: &[Key] = &[
    key(
        "scope",
        Words(&["target", "node", "group", "service", "domain"]),
        "How wide it is: the target itself, its node, its group, its service with all its groups, or everything.",
        "scope: group",
    )
    .or("target"),
    key(
        "busy",
        Words(&["queue", "skip", "cancel_running"]),
        "What is done while another run holds it: wait in line, give up, or end that run and then wait in line.",
        "busy: skip",
    )
    .or("queue"),
    key(
        "wait",
        Duration,
        "How long to wait in line. Then the start is blocked, that is told, and it is decided again once the lock is free.",
        "wait: 10m",
    )
    .or("30m"),
];

/// One of `guard.budget:`.
pub const BUDGET: &[Key] = &[
    must("max", Int { min: 1, max: 1_000_000 }, "Most destructive attempts…", "max: 3"),
    must("per", Duration, "… in any stretch of this length.", "per: 6h"),
    key(
        "scope",
        Words(&["playbook", "group", "provider", "domain"]),
        "What is counted together: runs of this playbook, all playbooks on the target's group, all uses of the action's provider, or everything.",
        "scope: group",
    )
    .or("playbook"),
];

/// A budget, of a playbook or of all.
pub(super) const BUDGET_TABLE: Table = table("budget", BUDGET);

/// `guard.min_healthy:`.
pub const MIN_HEALTHY: &[Key] = &[
    key("at_least", Int { min: 1, max: 10_000 }, "So many nodes.", "at_least: 2").codes(&[505]),
    key(
        "percent",
        Int { min: 1, max: 100 },
        "This share of all nodes of the group, rounded up to a whole node.",
        "percent: 60",
    )
    .codes(&[505]),
    key(
        "group",
        Template,
        "Name of the group that is counted; the target's own unless given.",
        r#"group: "{{ target.standby.name }}""#,
    )
    .codes(&[205]),
];

/// `guard.circuit_breaker:`.
pub const BREAKER: &[Key] = &[
    must("failures", Int { min: 1, max: 1000 }, "So many failed runs open it…", "failures: 3"),
    must("within", Duration, "… when they fall into a stretch of this length.", "within: 2h"),
    must("rest", Duration, "How long nothing starts; then one run is tried, with approval.", "rest: 1h"),
];

/// `guard.approval:`.
pub const APPROVAL: &[Key] = &[APPROVAL_BY, APPROVAL_WITHIN];

/// An approval, of a playbook or of its failback.
pub(super) const APPROVAL_TABLE: Table = table("approval", APPROVAL);

pub(super) const APPROVAL_BY: Key = key(
    "by",
    Refers(Thing::Approvers),
    "The group of `approvers:` that is asked; one yes is enough.",
    "by: sre",
)
.or("default");

pub(super) const APPROVAL_WITHIN: Key = key(
    "within",
    Duration,
    "How long an answer is waited for. After that the run ends as expired.",
    "within: 20m",
)
.or("30m");

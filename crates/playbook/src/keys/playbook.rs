//! Keys of a playbook, but for its triggers, guards and steps.

use super::{
    API_VERSION, Key, Table,
    guard::{APPROVAL_TABLE, GUARD},
    key, must,
    shape::{
        Shape::{
            Any, Cel, Duration, Either, Int, Keys, List, Name, Named, Refers, Steps, Template, Text, Words,
        },
        Thing,
    },
    table,
    trigger::{CORRELATE, TRIGGER_TABLE},
};

/// A playbook.
pub const PLAYBOOK: &[Key] = &[
    API_VERSION,
    must(
        "playbook",
        Name,
        "Its name, which no other playbook has. The file is named like it.",
        "playbook: web-down",
    ),
    key(
        "description",
        Text,
        "What it is for, in a sentence that a tired person understands.",
        "description: Restarts a web node that is down, and looks whether that helped.",
    ),
    key(
        "labels",
        Named(&Text),
        "Words for people and their tools. No decision reads them.",
        "labels: {team: web}",
    ),
    key(
        "mode",
        Words(&["observe", "approve", "auto"]),
        "How much it may do by itself. `observe` only says what it would do; `approve` asks a person before the first effect; `auto` acts. Run by another playbook, the stricter of the two holds.",
        "mode: auto",
    )
    .or("observe"),
    key(
        "target",
        Words(&["none", "node", "group", "service"]),
        "What a run acts on, and locks. A second start for the same target joins the run that is open.",
        "target: node",
    )
    .or("none"),
    key(
        "triggers",
        List(&Keys(&TRIGGER_TABLE)),
        "What starts it: any one of these. Without triggers only other playbooks run it.",
        r#"triggers: [{alert: [alertname="WebDown", node!=""], target: "{{ alert.labels.node }}"}]"#,
    ),
    key(
        "correlate",
        Keys(&table("correlate", CORRELATE)),
        "Which events of the triggers must come together before a run starts. Without it the first event starts one, and later ones join.",
        "correlate: {by: [cluster], within: 5m, count: {at_least: 2, distinct: node}}",
    ),
    key(
        "when",
        Cel,
        "What must be true for it to act. Asked at the start, again after queueing, waiting or approval, and before each destructive step. Not true at the start: skipped; no longer true: cancelled, as recovered.",
        r#"when: down("web/" + target.name)"#,
    )
    .codes(&[205, 503]),
    key(
        "inputs",
        Named(&Keys(&table("input", INPUT))),
        "Values that a start must or may give, by name. Expressions read them as `inputs.<name>`.",
        "inputs: {reason: {type: string, one_of: [planned, broken]}}",
    )
    .codes(&[109]),
    key(
        "vars",
        Named(&Any),
        "Constants by name. Expressions read them as `vars.<name>`.",
        "vars: {image: es-8}",
    )
        .codes(&[109]),
    key(
        "outputs",
        Named(&Cel),
        "What it gives the playbook that runs it: names to CEL, computed once all steps went well. The caller reads `steps.<id>.result.<name>`.",
        "outputs: {created: steps.create.result.node.name}",
    )
    .codes(&[109]),
    key(
        "guard",
        Keys(&table("guard", GUARD)),
        "What may forbid or delay a run. Everything here is judged at the start, and again before each destructive step.",
        "guard: {cooldown: 1h, budget: [{max: 3, per: 6h}], min_healthy: {at_least: 2}}",
    )
    .codes(&[501, 505]),
    must(
        "steps",
        Steps,
        "What is done, in order.",
        r#"steps: [{id: reboot, use: digitalocean.droplet.reboot, with: {node: "{{ target }}"}}]"#,
    ),
    key(
        "finally",
        Steps,
        "Steps that are always done at the end, after any undo. Each of them is tried, even when the one before it failed.",
        r#"finally: [{id: include, use: elasticsearch.node.include, with: {node: "{{ target }}"}}]"#,
    ),
    key(
        "on_failure",
        Words(&["stop", "undo"]),
        "What a failed step does to the run, for steps that do not say otherwise. `undo` undoes the finished steps, newest first, and ends the run.",
        "on_failure: undo",
    )
    .or("stop"),
    key(
        "verify",
        List(&Keys(&VERIFY_TABLE)),
        "The closing verify: all of these must hold at once, or the run has failed. Only with it can a run be `repaired`.",
        r#"verify: [{check: "web/{{ target.name }}", within: 5m}]"#,
    )
    .codes(&[502]),
    key(
        "on_resolved",
        Words(&["cancel", "continue"]),
        "What becomes of a run when all alerts that started it are resolved. `cancel` settles the call that is under way, drops the rest, does `finally` and looks at the closing verify; `continue` goes on as if nothing had come.",
        "on_resolved: continue",
    )
    .or("cancel")
    .codes(&[604]),
    key(
        "deadline",
        Duration,
        "No step begins later than this after the start. Time spent in the queue for the lock does not count.",
        "deadline: 4h",
    )
    .or("1h")
    .codes(&[603]),
    key(
        "failback",
        Keys(&table("failback", FAILBACK)),
        "The playbook that goes back to the normal state once all is well again.",
        r#"failback: {run: search-failback, when: up("es-cluster/es-a"), for: 10m, approval: {by: sre}}"#,
    ),
    key(
        "notify",
        List(&Refers(Thing::Receiver)),
        "Receivers that follow each run, in one thread a run.",
        "notify: [ops]",
    )
    .codes(&[514]),
    key(
        "escalate",
        List(&Keys(&table("escalate", ESCALATE))),
        "Whom to tell when a run failed, is unknown, was blocked in the middle or expired, until somebody acknowledges it. Once an episode.",
        "escalate: [{to: oncall}]",
    )
    .codes(&[510]),
    key(
        "drill",
        Keys(&table("drill", DRILL)),
        "Makes it a drill: it breaks something with `fault.*` actions, takes no lock, and measures how another playbook repairs that.",
        "drill: {of: web-down, rto: 10m, rpo: 0, canary: canary}",
    ),
];

/// An input.
pub const INPUT: &[Key] = &[
    must(
        "type",
        Either(&[Words(TYPES), List(&Words(TYPES))]),
        "Its type; `[type]` is a list of them. A node, group or service is given by name.",
        "type: string",
    ),
    key(
        "default",
        Any,
        "Its value when none is given. Without a default it must be given.",
        "default: planned",
    ),
    key(
        "one_of",
        List(&Any),
        "The only values that are accepted. Text from outside may stand in code only when it is one of these.",
        "one_of: [planned, broken]",
    )
    .codes(&[203, 308]),
];

/// Types of inputs.
pub(super) const TYPES: &[&str] = &["string", "int", "bool", "duration", "node", "group", "service"];

/// `failback:`.
pub const FAILBACK: &[Key] = &[
    must(
        "run",
        Refers(Thing::Playbook),
        "The playbook that goes back, for the same target.",
        "run: search-failback",
    ),
    must("when", Cel, "What must be true before anybody is asked.", r#"when: up("es-cluster/es-a")"#)
        .codes(&[205]),
    must("for", Duration, "How long `when` must have been true without a break.", "for: 10m"),
    must(
        "approval",
        Either(&[Words(&["none"]), Keys(&APPROVAL_TABLE)]),
        "Who must say yes. To go back without asking, write `none`.",
        "approval: {by: sre, within: 24h}",
    ),
];

/// `drill:`.
pub const DRILL: &[Key] = &[
    must(
        "of",
        Refers(Thing::Playbook),
        "The playbook that must repair what the drill breaks.",
        "of: web-down",
    ),
    key(
        "rto",
        Duration,
        "Recovery time objective: the drill fails when the repair takes longer. Not judged when left out.",
        "rto: 10m",
    ),
    key(
        "rpo",
        Int { min: 0, max: 1_000_000_000 },
        "Recovery point objective: the drill fails when more documents than this are lost. Needs `canary`.",
        "rpo: 0",
    ),
    key("canary", Refers(Thing::Check), "The check that counts lost documents.", "canary: canary"),
];

/// `verify:`.
pub const VERIFY: &[Key] = &[
    must(
        "check",
        Template,
        "Name of the check to watch. Only looks that began after the last effect count.",
        r#"check: "web/{{ target.name }}""#,
    )
    .codes(&[205, 605]),
    key(
        "is",
        Words(&["up", "degraded", "down"]),
        "The status that must hold. An unknown status never does.",
        "is: down",
    )
    .or("up"),
    key("for", Duration, "How long it must hold without a break; a break starts it anew.", "for: 2m")
        .or("30s")
        .codes(&[601]),
    must(
        "within",
        Duration,
        "When to give up: it fails unless it has held by then. Must be longer than `for`.",
        "within: 15m",
    )
    .codes(&[601]),
];

/// `verify:`, closing or as a step.
pub(super) const VERIFY_TABLE: Table = table("verify", VERIFY);

/// One of `escalate:`.
pub const ESCALATE: &[Key] = &[
    must("to", Refers(Thing::Receiver), "The receiver to tell.", "to: oncall"),
    key(
        "after",
        Duration,
        "How long after the end of the run. Nobody is told when it was acknowledged before.",
        "after: 10m",
    )
    .or("0s"),
    key("text", Template, "What to say beside what happened.", r#"text: "{{ target.name }} is still down""#),
];

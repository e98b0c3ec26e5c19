//! Keys of `tests:`: what happens, and what must come of it.

use super::{
    API_VERSION, Key, Table,
    checks::CHECK_TABLE,
    inventory::{GROUPS, MAINTENANCES, SERVICES},
    key, must,
    shape::{
        Shape::{Any, Bool, Duration, Either, Keys, List, Moment, Name, Named, Refers, Text, True, Words},
        Thing,
    },
    table,
    trigger::RESULTS,
};

/// `tests:`.
pub const TESTS: &[Key] = &[
    API_VERSION,
    must("tests", Refers(Thing::Playbook), "The playbook that is tested.", "tests: web-down"),
    must(
        "cases",
        List(&Keys(&table("case", CASE))),
        "Each case: what happens, and what must come of it.",
        "cases: [{name: nothing happens, timeline: [], expect: {result: none}}]",
    ),
    key(
        "inventory",
        Keys(&table("test inventory", TEST_INVENTORY)),
        "Another inventory for these tests; the set's own unless given.",
        "inventory: {groups: {web: {health: web, nodes: {w1: {}, w2: {}}}}}",
    ),
    key(
        "checks",
        Named(&Keys(&CHECK_TABLE)),
        "Other checks for these tests; the set's own unless given.",
        "checks: {web: {kind: tcp, each: node, in: [web], with: {address: \"{{ node.address }}\"}}}",
    ),
];

/// `inventory:` of tests: an inventory without a name.
pub const TEST_INVENTORY: &[Key] = &[GROUPS, SERVICES, MAINTENANCES];

/// One of `cases:`.
pub const CASE: &[Key] = &[
    must("name", Text, "What the case shows.", "name: a reboot helps"),
    key("start", Moment, "The moment that the timeline counts from.", "start: 2030-03-31T00:59:00Z")
        .or("2030-01-01T00:00:00Z"),
    must(
        "timeline",
        List(&Keys(
            &table("moment", MOMENT).one_of(MOMENT_KINDS).needs(&[("annotations", &["firing", "resolved"])]),
        )),
        "What happens, and when.",
        "timeline: [{at: 0s, verdicts: {web/w1: down}}, {at: 5s, firing: {alertname: WebDown, node: w1}}]",
    ),
    key(
        "answers",
        Named(&List(&Keys(&table("answer", ANSWER).one_of(ANSWER_KINDS).needs(&[("result", &["unknown"])])))),
        "What each attempt of a step comes to, in order, by the step's path: `replace.create` in a sub-run, `each[a1].soft` in a loop (`each[*].soft` for every item), `undo(create)`. A step that is done without an answer here fails the case.",
        "answers: {reboot: [{error: transient}, {after: 5s, ok: {}}]}",
    ),
    must(
        "expect",
        Keys(&table("expect", EXPECT)),
        "What must come of it: complete, in order, and nothing else.",
        "expect: {result: repaired, told: [ops]}",
    ),
];

/// Kinds of moments: each has one of these.
pub const MOMENT_KINDS: &[&str] = &[
    "firing", "resolved", "verdicts", "event", "start", "approve", "deny", "settle", "cancel", "stop",
    "resume", "nothing",
];

/// One of `timeline:`.
pub const MOMENT: &[Key] = &[
    must("at", Duration, "How long after the start of the case.", "at: 30s"),
    key(
        "firing",
        Named(&Text),
        "An alert with these labels fires.",
        "firing: {alertname: WebDown, node: w1}",
    ),
    key(
        "resolved",
        Named(&Text),
        "The alert with these labels is over.",
        "resolved: {alertname: WebDown, node: w1}",
    ),
    key(
        "annotations",
        Named(&Text),
        "Of `firing` and `resolved`: annotations of that alert.",
        "annotations: {summary: w1 is down}",
    ),
    key(
        "verdicts",
        Named(&Words(&["up", "degraded", "down", "unknown"])),
        "What checks say from now on, until another moment says otherwise; `name/*` for each member.",
        "verdicts: {web/w1: down, web/w2: up}",
    )
    .codes(&[205]),
    key(
        "event",
        Keys(&table("event", EVENT)),
        "An event that somebody posts to Regreen.",
        "event: {path: deploys, secret: deploys, type: deployed, data: {version: \"7\"}}",
    ),
    key("start", Keys(&table("start", START)), "A person starts the playbook.", "start: {target: w1}"),
    key("approve", Keys(&SAID_TABLE), "A person says yes.", "approve: {step: guard, by: ana}"),
    key("deny", Keys(&SAID_TABLE), "A person says no.", "deny: {step: guard, by: ana}"),
    key(
        "settle",
        Keys(&table("settle", SETTLE)),
        "A person says whether an effect took place of which nobody knows.",
        "settle: {step: reboot, done: true, by: ana}",
    ),
    key("cancel", Keys(&table("cancel", CANCEL)), "A person ends the run.", "cancel: {by: ana}"),
    key("stop", True, "The stop switch is thrown.", "stop: true"),
    key("resume", True, "The stop switch is released.", "resume: true"),
    key("nothing", True, "Nothing happens: the case goes on until then at least.", "nothing: true"),
];

/// `event:` of a moment.
pub const EVENT: &[Key] = &[
    must("path", Name, "The last part of the path that it is posted to.", "path: deploys"),
    must("secret", Name, "Name of the secret that its sender shows.", "secret: deploys"),
    key("id", Text, "Its id: the same id twice is one event.", "id: d-17"),
    key("type", Text, "Its type, as of CloudEvents.", "type: deployed"),
    key("source", Text, "Its source, as of CloudEvents.", "source: /ci"),
    key("data", Any, "What it carries.", "data: {version: \"7\"}"),
];

/// `start:` of a moment.
pub const START: &[Key] = &[
    key("target", Text, "Name of the target.", "target: w1").codes(&[205]),
    key("inputs", Named(&Any), "Inputs by name.", "inputs: {reason: planned}"),
];

const SAID_TABLE: Table = table("answer of a person", SAID);

/// `approve:` and `deny:` of a moment.
pub const SAID: &[Key] = &[
    must(
        "step",
        Refers(Thing::Step),
        "Path of the step that asks; `guard` is the question before the first effect.",
        "step: guard",
    ),
    BY,
];

const BY: Key = key("by", Text, "Who.", "by: ana");

/// `settle:` of a moment.
pub const SETTLE: &[Key] = &[
    must("step", Refers(Thing::Step), "Path of the step whose effect is not known.", "step: reboot"),
    must("done", Bool, "Whether it took place.", "done: true"),
    BY,
];

/// `cancel:` of a moment.
pub const CANCEL: &[Key] = &[BY];

/// Kinds of answers: each has one of these.
pub const ANSWER_KINDS: &[&str] = &["ok", "error", "timeout", "unknown"];

/// One of the answers to a step.
pub const ANSWER: &[Key] = &[
    key("after", Duration, "How long the attempt takes.", "after: 5s").or("1s"),
    key("ok", Any, "It goes well, with this result.", "ok: {status: 200}"),
    key(
        "error",
        Words(&["transient", "permanent"]),
        "It fails: with an error that may pass, or with one that will not.",
        "error: transient",
    ),
    key(
        "timeout",
        True,
        "No answer comes until the attempt's time is over; where a look follows, it does not tell.",
        "timeout: true",
    ),
    key(
        "unknown",
        Words(&["done", "not_done", "cannot_tell"]),
        "No answer comes, and a look afterwards says this.",
        "unknown: done",
    ),
    key("result", Any, "Of `unknown: done`: the result that the look finds.", "result: {id: \"17\"}"),
];

/// `expect:`.
pub const EXPECT: &[Key] = &[
    key(
        "result",
        Either(&[Words(RESULTS), Words(&["none"]), List(&Words(RESULTS))]),
        "How the run ends; several runs: a list, in the order in which they began. `none`: nothing was started. Needed, unless `golden` has it all.",
        "result: repaired",
    ),
    key(
        "actions",
        List(&Keys(&table("expected action", EXPECT_ACTION))),
        "All that is done, each attempt of each `use`, in order.",
        "actions: [{at: 30s, step: reboot, use: digitalocean.droplet.reboot, with: {node: a2}}]",
    ),
    key(
        "decisions",
        List(&Text),
        "What was made of each start, and each time that it was decided anew, in order. Where nothing was started, the reason is only compared when it is given.",
        r#"decisions: [started, "skipped: when_false"]"#,
    )
    .or("[started]"),
    key(
        "told",
        List(&Either(&[Refers(Thing::Receiver), Keys(&table("told", EXPECT_TOLD))])),
        "Receivers that are told, in order; a thread that is brought up to date counts once.",
        "told: [ops, {to: oncall, at: 10m, text: failed}]",
    )
    .or("[]"),
    key("golden", Bool, "The whole trace is compared with the one that `--update` wrote.", "golden: true")
        .or("false"),
];

/// One of `actions:` of `expect:`.
pub const EXPECT_ACTION: &[Key] = &[
    must("at", Duration, "How long after the start of the case.", "at: 30s"),
    must("step", Refers(Thing::Step), "The step's path: `replace.create` in a sub-run.", "step: reboot"),
    must("use", Refers(Thing::Action), "The action.", "use: digitalocean.droplet.reboot"),
    key("with", Named(&Any), "Parameters that must be so. Others are not compared.", "with: {node: a2}"),
];

/// One of `told:`, where more than the receiver matters.
pub const EXPECT_TOLD: &[Key] = &[
    must("to", Refers(Thing::Receiver), "The receiver.", "to: oncall"),
    key("at", Duration, "When the first message of the thread is sent.", "at: 10m"),
    key("text", Text, "What a message of the thread says, among other things.", "text: failed"),
];

//! Keys of triggers, and of what joins them.

use regreen_schemas::run::RunResult;

use super::{
    Key, Table, key, must,
    shape::{
        Shape::{
            Cron, Duration, Either, Empty, Int, Keys, List, Matcher, Name, Named, Refers, Template, Text,
            Words,
        },
        Thing,
    },
    table,
};
use crate::model::Is;

/// Kinds of triggers: each has one of these.
pub const TRIGGER_KINDS: &[&str] = &["alert", "verdict", "schedule", "manual", "run", "webhook"];

/// A trigger. A time, a person's word or an event is over at once: nothing holds `for` so long.
pub const TRIGGER_TABLE: Table = table("trigger", TRIGGER).one_of(TRIGGER_KINDS).needs(&[
    ("status", &["alert"]),
    ("for", &["alert", "verdict"]),
    ("target", &["alert", "verdict", "schedule", "run", "webhook"]),
    ("inputs", &["alert", "verdict", "schedule", "run", "webhook"]),
]);

/// A trigger.
pub const TRIGGER: &[Key] = &[
    key(
        "id",
        Name,
        "Its name, for `correlate`. Its place in the list, from 1, unless given.",
        "id: node-down",
    ),
    key(
        "alert",
        List(&Matcher),
        "An alert that all of these match: Alertmanager's matchers, anchored; a label that is missing is \"\".",
        r#"alert: [alertname="WebDown", node!=""]"#,
    )
    .codes(&[503]),
    key(
        "verdict",
        Keys(&table("verdict", VERDICT)),
        "A verdict about a check.",
        "verdict: {check: web/*, is: down}",
    ),
    key(
        "schedule",
        Keys(&table("schedule", SCHEDULE)),
        "A time of the day, week or month.",
        r#"schedule: {cron: "0 3 * * *", zone: Europe/Berlin}"#,
    ),
    key(
        "manual",
        Either(&[Keys(&table("manual", MANUAL)), Empty]),
        "A person starts it, and gives the target and the inputs.",
        "manual: {}",
    ),
    key(
        "run",
        Keys(&table("run that ended", ON_RUN)),
        "The end of another playbook's run.",
        "run: {playbook: web-down, result: failed}",
    ),
    key(
        "webhook",
        Keys(&table("webhook", WEBHOOK)),
        "An event that somebody posts to Regreen: CloudEvents, or plain JSON.",
        "webhook: {path: deploys, secret: deploys}",
    ),
    key(
        "status",
        Words(&["firing", "resolved"]),
        "Of `alert`: whether it starts when the alert fires, or when it is over. Nothing destructive may follow a resolved alert.",
        "status: resolved",
    )
    .or("firing")
    .codes(&[404]),
    key(
        "target",
        Template,
        "Name of the target: a node is found by name, then by alias. Not for `manual`, where the person says it.",
        r#"target: "{{ alert.labels.node }}""#,
    )
    .codes(&[205, 405]),
    key(
        "inputs",
        Named(&Template),
        "Inputs of the run, by name. Not for `manual`, where the person gives them.",
        r#"inputs: {reason: "{{ event.data.reason }}"}"#,
    ),
    key(
        "for",
        Duration,
        "Of `alert` and `verdict`: how long it must last without a break before a run starts.",
        "for: 30s",
    ).or("0s"),
];

const IS: &[&str] = &{
    let mut words = [""; Is::ALL.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = Is::ALL[i].word();
        i += 1;
    }
    words
};

/// `verdict:` of a trigger.
pub const VERDICT: &[Key] = &[
    must(
        "check",
        Refers(Thing::Checks),
        "The check; `name/*` stands for each of its members.",
        "check: web/*",
    ),
    must(
        "is",
        Words(IS),
        "What the verdict must be. `not_up` is degraded or down, `not_down` is up or degraded; unknown is none of these.",
        "is: down",
    ),
];

/// `schedule:` of a trigger.
pub const SCHEDULE: &[Key] = &[
    must(
        "cron",
        Cron,
        "When: minute, hour, day of the month, month, day of the week.",
        r#"cron: "0 3 * * *""#,
    ),
    key("zone", Text, "Time zone, by its name in the IANA database.", "zone: Europe/Berlin").or("UTC"),
    key(
        "missed",
        Words(&["skip", "once"]),
        "What becomes of times that passed while Regreen was not running: nothing, or one run for all of them.",
        "missed: once",
    )
    .or("skip"),
];

/// `manual:` of a trigger.
pub const MANUAL: &[Key] = &[key(
    "by",
    Refers(Thing::Approvers),
    "The group of `approvers:` that may start it; any operator may unless given.",
    "by: sre",
)];

pub(super) const RESULTS: &[&str] = &{
    let mut words = [""; RunResult::ALL.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = RunResult::ALL[i].word();
        i += 1;
    }
    words
};

/// `run:` of a trigger.
pub const ON_RUN: &[Key] = &[
    must("playbook", Refers(Thing::Playbook), "Whose runs.", "playbook: web-down"),
    key("result", Words(RESULTS), "How the run must have ended; any end unless given.", "result: failed"),
];

/// `webhook:` of a trigger.
pub const WEBHOOK: &[Key] = &[
    must("path", Name, "The last part of the path that events are posted to.", "path: deploys"),
    must(
        "secret",
        Name,
        "Name of the secret that a sender must show; its value stands in the configuration of the ingest.",
        "secret: deploys",
    ),
];

/// `correlate:`.
pub const CORRELATE: &[Key] = &[
    must(
        "by",
        List(&Text),
        "Labels: there is a window of its own for each combination of their values.",
        "by: [cluster]",
    )
    .codes(&[405]),
    must("within", Duration, "How long a window is open, from its first event on.", "within: 5m"),
    key(
        "all",
        List(&Refers(Thing::Trigger)),
        "Triggers that must all have come. The run starts when the last one has.",
        "all: [node-down, disk-full]",
    ),
    key(
        "absent",
        List(&Refers(Thing::Trigger)),
        "Triggers that must not have come. The run starts when the window ends.",
        "absent: [deploy]",
    ),
    key(
        "count",
        Keys(&table("count", COUNT)),
        "How many events must have come. The run starts when enough have.",
        "count: {at_least: 2, distinct: node}",
    ),
];

/// `count:` of `correlate:`.
pub const COUNT: &[Key] = &[
    must("at_least", Int { min: 1, max: 10_000 }, "How many.", "at_least: 2"),
    key(
        "distinct",
        Text,
        "The label whose different values are counted; events are counted unless given.",
        "distinct: node",
    ),
];

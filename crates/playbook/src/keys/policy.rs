//! Keys of a policy: who is told, who may say yes, and what no playbook exceeds.

use super::{
    API_VERSION, Key, Table,
    guard::BUDGET_TABLE,
    key, must,
    shape::{
        Shape::{Duration, Either, Keys, List, Matcher, Name, Named, Percent, Refers, Text, Words},
        Thing,
    },
    table,
};

/// `policy:`.
pub const POLICY: &[Key] = &[
    API_VERSION,
    must("policy", Name, "Its name, for people.", "policy: production"),
    key(
        "receivers",
        Named(&Keys(&RECEIVER_TABLE)),
        "Channels to tell, by the names that `notify` and `escalate` use.",
        r##"receivers: {ops: {slack: "#ops"}, oncall: {pagerduty: {secret: pd-key}}}"##,
    )
    .codes(&[109]),
    key(
        "system",
        List(&Refers(Thing::Receiver)),
        "Receivers that hear of Regreen itself: alerts that Alertmanager cut off, checks that flap, a watchdog that stays away.",
        "system: [oncall]",
    ),
    key(
        "watchdog",
        Keys(&table("watchdog", WATCHDOG)),
        "An alert that always fires. When it stays away, alerts may not arrive at all, and `system` hears of it.",
        r#"watchdog: {alert: [alertname="Watchdog"], within: 15m}"#,
    ),
    key(
        "approvers",
        Named(&Either(&[List(&Text), Name])),
        "Groups of people who may say yes: operators' names, or `slack:` and a user's id. `default` names one of the groups. The group `operators`, where there is one, says who may do all else.",
        r#"approvers: {sre: [ana, ben, "slack:U0123"], default: sre}"#,
    )
    .codes(&[108, 109]),
    key(
        "ceilings",
        Keys(&table("ceilings", CEILINGS)),
        "What no playbook exceeds, whatever it says.",
        "ceilings: {mode: auto, storm: 50%, budget: [{max: 10, per: 1d, scope: domain}]}",
    ),
];

/// `ceilings:` of `policy:`.
pub const CEILINGS: &[Key] = &[
    key(
        "mode",
        Words(&["observe", "approve", "auto"]),
        "The most that any playbook may do by itself.",
        "mode: approve",
    )
    .or("auto"),
    key(
        "storm",
        Percent,
        "When more than this share of a group is not up, nothing destructive is done to it. For groups that say nothing themselves.",
        "storm: 40%",
    )
    .or("50%"),
    key(
        "budget",
        List(&Keys(&BUDGET_TABLE)),
        "Most destructive attempts of all playbooks together; all of these hold.",
        "budget: [{max: 10, per: 1d, scope: domain}]",
    ),
];

/// `watchdog:`.
pub const WATCHDOG: &[Key] = &[
    must(
        "alert",
        List(&Matcher),
        "Alertmanager's matchers, all of which must match.",
        r#"alert: [alertname="Watchdog"]"#,
    ),
    must(
        "within",
        Duration,
        "It comes at least so often. Must be longer than the `repeat_interval` of its route in Alertmanager.",
        "within: 15m",
    ),
];

/// Kinds of receivers: each has one of these.
pub const RECEIVER_KINDS: &[&str] = &["log", "webhook", "slack", "pagerduty", "email"];

const RECEIVER_TABLE: Table = table("receiver", RECEIVER).one_of(RECEIVER_KINDS);

/// A receiver.
pub const RECEIVER: &[Key] = &[
    key("log", Keys(&table("log", &[])), "The notifier's own log.", "log: {}"),
    key(
        "webhook",
        Keys(&table("receiver's webhook", RECEIVER_WEBHOOK).one_of(&["url", "secret"])),
        "Posts JSON to a URL.",
        "webhook: {url: https://chat.example.org/hook}",
    ),
    key(
        "slack",
        Either(&[Text, Keys(&table("slack", RECEIVER_SLACK))]),
        "A channel of Slack, with the token in the secret `slack`; or channel and token.",
        r##"slack: "#ops""##,
    ),
    key(
        "pagerduty",
        Keys(&SECRET_TABLE),
        "PagerDuty: the secret holds the integration's routing key.",
        "pagerduty: {secret: pd-key}",
    ),
    key("email", Keys(&table("email", RECEIVER_EMAIL)), "E-mail.", "email: {to: [ops@example.org]}"),
];

/// `webhook:` of a receiver.
pub const RECEIVER_WEBHOOK: &[Key] = &[
    key("url", Text, "Where to post.", "url: https://chat.example.org/hook").codes(&[507]),
    key("secret", Name, "Name of the secret that holds the URL.", "secret: chat-url"),
];

/// `slack:` of a receiver.
pub const RECEIVER_SLACK: &[Key] = &[
    must(
        "channel",
        Text,
        "Name or id of the channel. Quote a name that begins with `#`.",
        r##"channel: "#ops""##,
    ),
    key("token", Keys(&SECRET_TABLE), "The bot's token.", "token: {secret: slack-eu}").or("{secret: slack}"),
];

/// `email:` of a receiver.
pub const RECEIVER_EMAIL: &[Key] = &[
    must("to", List(&Text), "Addresses.", "to: [ops@example.org]"),
    key("from", Text, "The sender; the notifier's own unless given.", "from: regreen@example.org"),
];

/// A reference to a secret.
pub const SECRET: &[Key] = &[must(
    "secret",
    Name,
    "Its name in the configuration of the process that needs it. The value never stands in these files.",
    "secret: pd-key",
)];

/// A reference to a secret.
pub(super) const SECRET_TABLE: Table = table("secret", SECRET);

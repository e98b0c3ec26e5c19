//! One table of keys: what may stand where, what it means, and whether this release has it. The walk, the
//! reference and the messages all read it; nothing else lists keys.

/// A key of a map.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// In the language, but not in this release: refused loudly instead of being ignored.
    pub later: bool,
}

const fn key(name: &'static str, doc: &'static str) -> Key {
    Key { name, doc, required: false, later: false }
}
const fn must(name: &'static str, doc: &'static str) -> Key {
    Key { name, doc, required: true, later: false }
}
const fn later(name: &'static str) -> Key {
    Key { name, doc: "Comes with a later release.", required: false, later: true }
}

/// Kinds of documents: the key after `apiVersion`.
pub const KINDS: &[&str] = &["playbook", "inventory", "checks", "policy"];

/// A playbook.
pub const PLAYBOOK: &[Key] = &[
    must("apiVersion", "`regreen/v1`."),
    must("playbook", "Its name."),
    key("description", "What it is for, for people."),
    key("labels", "Free words for people."),
    key(
        "mode",
        "`observe` (default) says what it would do; `approve` asks before the first effect; `auto` acts.",
    ),
    key("target", "`none` (default), `node` or `group`."),
    must("triggers", "What starts it; any of them."),
    key("when", "CEL: at start, after waiting, and before each destructive step; must be true."),
    key("inputs", "Typed inputs of a manual start: `name: {type, default, one_of}`."),
    key("guard", "What may forbid or delay a run."),
    must("steps", "What is done, in order."),
    key("verify", "The closing verify: all of these hold at once."),
    key("on_resolved", "`cancel` (default) or `continue`."),
    key("deadline", "No step begins later; 1h unless given."),
    key("notify", "Receivers that follow each run, in one thread."),
    key("escalate", "Whom to tell when it failed, is unknown or blocked."),
    later("vars"),
    later("outputs"),
    later("finally"),
    later("on_failure"),
    later("correlate"),
    later("failback"),
    later("drill"),
];
/// A trigger.
pub const TRIGGER: &[Key] = &[
    key("id", "Its name."),
    key("alert", "Alertmanager's matchers, all of which must match."),
    key("manual", "Started by hand."),
    key("target", "Template: the name of the node or group."),
    later("for"),
    later("inputs"),
    later("status"),
    later("verdict"),
    later("schedule"),
    later("run"),
    later("webhook"),
];
/// `guard:`.
pub const GUARD: &[Key] = &[
    key("lock", "What is locked, and what to do while it is taken."),
    key("cooldown", "Since the end of the last run on the target that dispatched an effect."),
    key("budget", "Most destructive attempts in a time."),
    key("min_healthy", "Healthy *other* nodes that must remain."),
    key("quorum", "Vantages that must agree on a verdict, for this playbook."),
    key("approval", "`{by, within}`: who must say yes before the first effect. No answer is a no."),
    later("maintenance"),
    later("circuit_breaker"),
];
/// `manual:` of a trigger.
pub const MANUAL: &[Key] =
    &[key("by", "Group of `approvers:` that may start it; any operator unless given.")];
/// `guard.approval:`.
pub const APPROVAL: &[Key] = &[
    key("by", "Group of `approvers:`; `default` unless given."),
    key("within", "How long an answer is waited for; 30m unless given."),
];
/// `approve:` of a step.
pub const APPROVE: &[Key] = &[
    key("by", "Group of `approvers:`; `default` unless given."),
    key("within", "How long an answer is waited for; 30m unless given."),
    key("text", "Template: what to say."),
];
/// `guard.lock:`.
pub const LOCK: &[Key] = &[
    key("scope", "`target` (default), `node`, `group` or `domain`."),
    key("busy", "`queue` (default) or `skip`."),
    key("wait", "How long to queue; 30m unless given."),
];
/// One of `guard.budget:`.
pub const BUDGET: &[Key] = &[
    must("max", "Most destructive attempts."),
    must("per", "In this time."),
    key("scope", "`playbook` (default), `group`, `provider` or `domain`."),
];
/// `guard.min_healthy:`.
pub const MIN_HEALTHY: &[Key] =
    &[key("at_least", "Nodes."), key("percent", "Of all nodes of the group, rounded up."), later("group")];
/// A step.
pub const STEP: &[Key] = &[
    must("id", "Its name: letters, digits and `_`."),
    key("if", "CEL: otherwise it is skipped."),
    key("on_failure", "`stop` (default) or `continue`."),
    key("use", "An action."),
    key("with", "The action's parameters."),
    key("timeout", "Of one attempt; 30s unless given."),
    key("attempts", "The first included; 3 for read and idempotent actions, else 1."),
    key("verify", "Watch a check until it holds."),
    key("approve", "`{by, within, text}`: ask a person. No answer is a no."),
    key("wait", "Let time pass; proves nothing."),
    later("undo"),
    later("run"),
    later("parallel"),
    later("for_each"),
    later("choose"),
    later("set"),
];
/// `verify:`.
pub const VERIFY: &[Key] = &[
    must("check", "Template: the check's name."),
    key("is", "`up` (default), `degraded` or `down`."),
    key("for", "How long it must hold; 30s unless given."),
    must("within", "When to give up."),
];
/// One of `escalate:`.
pub const ESCALATE: &[Key] = &[
    must("to", "A receiver of `policy:`."),
    key("after", "How long after the end; 0s unless given."),
    key("text", "Template: what to say."),
];
/// `inventory:`.
pub const INVENTORY: &[Key] = &[
    must("apiVersion", "`regreen/v1`."),
    must("inventory", "Its name."),
    key("groups", "Groups by name."),
    key("services", "`name: {sides: [preferred, other]}`: groups that can serve it."),
    later("maintenance"),
];
/// A service.
pub const SERVICE: &[Key] = &[must("sides", "Groups that can serve it; the first is preferred.")];
/// A group.
pub const GROUP: &[Key] = &[
    key("provider", "Who hosts it."),
    key("health", "The check over nodes that says which are healthy."),
    key("via", "Zone whose runners act on it; `main` unless given."),
    key("labels", "Free words."),
    must("nodes", "Nodes by name."),
    later("storm"),
    later("discover"),
];
/// A node.
pub const NODE: &[Key] = &[
    key("id", "The provider's id."),
    key("ids", "Further ids by name."),
    key("address", "Where it answers."),
    key("aliases", "Other names that alerts use."),
    key("labels", "Free words."),
    key("via", "Zone whose runners act on it; the group's unless given."),
];
/// `checks:`.
pub const CHECKS: &[Key] = &[must("apiVersion", "`regreen/v1`."), must("checks", "Checks by name.")];
/// A check.
pub const CHECK: &[Key] = &[
    must(
        "kind",
        "`http`, `tcp`, `tls`, `dns`, `elasticsearch`, `haproxy`, `prometheus`, `silences`; over others `all`, `any`, `share`.",
    ),
    key("each", "`node` or `group`: one check for each member, named `check/member`."),
    key("in", "Groups whose members are checked."),
    key("with", "What to look at; templates over `node` and `group`."),
    key("measure", "Which number is measured, where the kind has several."),
    key("degraded", "`{above: n}` or `{below: n}`: the number is a blemish."),
    key("down", "`{above: n}` or `{below: n}`: the number is a failure."),
    key("of", "The checks that `all`, `any` or `share` joins; may end in `/*`."),
    key("interval", "Between two looks; 10s unless given."),
    key("timeout", "Of one look; 3s unless given."),
    key("fall", "Looks in a row that find it worse; 3 unless given."),
    key("rise", "Looks in a row that find it better; 2 unless given."),
    key("fresh", "A status older than this is unknown; 30s unless given."),
    key("vantages", "Where it is looked at from; `main` unless given."),
    key("quorum", "How many vantages must agree; a majority unless given."),
    key("expose", "`{on_unknown: pass}` or `fail`: `GET /health/{check}` answers for it."),
    later("target"),
];
/// `degraded:` and `down:` of a check.
pub const BOUND: &[Key] = &[key("above", "Beyond this number."), key("below", "Short of this number.")];
/// `expose:` of a check.
pub const EXPOSE: &[Key] =
    &[must("on_unknown", "`pass` or `fail`: what is answered while nobody can say how it is.")];
const HEADERS: Key = key("headers", "Of the request; values may be `{secret: name}`.");
const CA: Key = key("ca", "Name of a CA in the probe's configuration; the system's unless given.");
/// `with:` of a check of kind `http`.
pub const CHECK_HTTP: &[Key] = &[
    must("url", "Where to GET."),
    key("accept", "Statuses that are well; 200 to 299 unless given."),
    key("json", "JSON Pointers to the values that must stand there."),
    key("header", "Headers that the answer must have."),
    key("value", "JSON Pointer to the number of `measure: value`."),
    HEADERS,
    CA,
];
/// `with:` of a check of kind `tcp`.
pub const CHECK_TCP: &[Key] = &[must("address", "`host:port` to connect to.")];
/// `with:` of a check of kind `tls`.
pub const CHECK_TLS: &[Key] = &[
    must("address", "`host:port` to shake hands with."),
    key("name", "Name to ask for; the address's host unless given."),
    CA,
];
/// `with:` of a check of kind `dns`.
pub const CHECK_DNS: &[Key] = &[
    must("name", "Name to ask for."),
    key("record", "`A` (default), `AAAA`, `CNAME`, `MX`, `NS`, `SRV` or `TXT`."),
    key("server", "`host:port` to ask; the system's unless given."),
    key("expect", "Answers that must be there."),
];
/// `with:` of a check of kind `elasticsearch`.
pub const CHECK_ELASTICSEARCH: &[Key] = &[
    must("url", "Of a node; filled in for every node of the group."),
    key("index", "For `ccr_lag` and `canary`."),
    key("field", "Time of a document, for `canary`; `@timestamp` unless given."),
    key("repository", "For `snapshot_age`."),
    HEADERS,
    CA,
];
/// `with:` of a check of kind `haproxy`.
pub const CHECK_HAPROXY: &[Key] = &[
    must("address", "`host:port` or path of the runtime API."),
    must("backend", "The backend."),
    key("server", "The server; the whole backend unless given."),
];
/// `with:` of a check of kind `prometheus`.
pub const CHECK_PROMETHEUS: &[Key] =
    &[must("url", "Of the server."), must("query", "PromQL with one number as its answer."), HEADERS, CA];
/// `with:` of a check of kind `silences`.
pub const CHECK_SILENCES: &[Key] = &[
    must("url", "Of the Alertmanager."),
    must("labels", "The labels that an alert would have."),
    HEADERS,
    CA,
];
/// `policy:`.
pub const POLICY: &[Key] = &[
    must("apiVersion", "`regreen/v1`."),
    must("policy", "Its name."),
    key("receivers", "Channels to tell, by name."),
    key(
        "system",
        "Receivers that hear of the system itself: alerts that Alertmanager cut off, checks that flap.",
    ),
    key(
        "watchdog",
        "`{alert: [matcher], within}`: an alert that always fires; when it stays away, `system` hears of it.",
    ),
    key(
        "approvers",
        "Groups of people who may say yes: operators' names, `slack:` and a user's id. `default:` names one of the groups. A group `operators`, where there is one, says who may do all else.",
    ),
    later("ceilings"),
];
/// A receiver.
pub const RECEIVER: &[Key] = &[
    key("log", "`{}`: the notifier's own log."),
    key("webhook", "`{url: …}` or `{secret: name}`: posts JSON."),
    key("slack", "A channel, or `{channel, token: {secret: name}}`; the secret `slack` unless given."),
    key("pagerduty", "`{secret: name}`: the integration's routing key."),
    key("email", "`{to: [address]}`."),
];
/// `watchdog:`.
pub const WATCHDOG: &[Key] = &[
    must("alert", "Alertmanager's matchers, all of which must match."),
    must("within", "It comes at least so often: longer than the route's `repeat_interval`."),
];
/// `webhook:` of a receiver.
pub const RECEIVER_WEBHOOK: &[Key] =
    &[key("url", "Where to."), key("secret", "Name of the secret that holds the URL.")];
/// `slack:` of a receiver.
pub const RECEIVER_SLACK: &[Key] =
    &[must("channel", "Name or id."), key("token", "`{secret: name}`: the bot's token.")];
/// A reference to a secret.
pub const SECRET: &[Key] = &[must("secret", "Its name in the configuration of the process that needs it.")];
/// `email:` of a receiver.
pub const RECEIVER_EMAIL: &[Key] =
    &[must("to", "Addresses."), key("from", "The sender; the notifier's unless given.")];
/// An input.
pub const INPUT: &[Key] = &[
    must("type", "`string`, `int` or `bool`."),
    key("default", "Taken when it is not given."),
    key("one_of", "The only values."),
];
/// `observe:` of `http.request`.
pub const OBSERVE: &[Key] =
    &[must("url", "Where to GET."), must("done", "CEL over `status` and `json`: the effect is there.")];

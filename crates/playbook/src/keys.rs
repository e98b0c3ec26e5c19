//! One table of keys: what may stand where, and what it means. The walk, the reference and the messages all read
//! it; nothing else lists keys.

/// A key of a map.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
}

const fn key(name: &'static str, doc: &'static str) -> Key {
    Key { name, doc, required: false }
}
const fn must(name: &'static str, doc: &'static str) -> Key {
    Key { name, doc, required: true }
}

/// Kinds of documents: the key after `apiVersion`.
pub const KINDS: &[&str] = &["playbook", "tests", "inventory", "checks", "policy", "actions"];

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
    key("target", "`none` (default), `node`, `group` or `service`."),
    key("triggers", "What starts it; any of them. Without triggers only other playbooks run it."),
    key("correlate", "Which of the triggers' events together start it."),
    key("when", "CEL: at start, after waiting, and before each destructive step; must be true."),
    key("inputs", "Typed inputs of a start: `name: {type, default, one_of}`."),
    key("guard", "What may forbid or delay a run."),
    must("steps", "What is done, in order."),
    key("verify", "The closing verify: all of these hold at once."),
    key("on_resolved", "`cancel` (default) or `continue`."),
    key("deadline", "No step begins later; 1h unless given."),
    key("notify", "Receivers that follow each run, in one thread."),
    key("escalate", "Whom to tell when it failed, is unknown or blocked."),
    key("vars", "Constants: `name: value`; read as `vars.name`."),
    key("outputs", "`name: CEL`: what it gives the playbook that runs it."),
    key("finally", "Steps that are always done at the end; each of them is tried."),
    key("on_failure", "`stop` (default) or `undo`: what the steps do that do not say otherwise."),
    key("failback", "`{run, when, for, approval}`: what goes back once all is well again."),
    key("drill", "`{of, rto, rpo, canary}`: it breaks something and measures the repair."),
];
/// A trigger.
pub const TRIGGER: &[Key] = &[
    key("id", "Its name."),
    key("alert", "Alertmanager's matchers, all of which must match."),
    key("manual", "Started by hand."),
    key("target", "Template: the name of the node, group or service."),
    key("for", "How long it must last, unbroken; 0s unless given."),
    key("inputs", "`name: template`: inputs of the run."),
    key("status", "Of an alert: `firing` (default) or `resolved`."),
    key("verdict", "`{check, is}`: a verdict."),
    key("schedule", "`{cron, zone, missed}`: a time."),
    key("run", "`{playbook, result}`: the end of another playbook's run."),
    key("webhook", "`{path, secret}`: an event that is posted to us."),
];
/// `verdict:` of a trigger.
pub const VERDICT: &[Key] = &[
    must("check", "The check; `name/*` for each of its members."),
    must("is", "`up`, `degraded`, `down`, `not_up` or `not_down`. Unknown is none of these."),
];
/// `schedule:` of a trigger.
pub const SCHEDULE: &[Key] = &[
    must("cron", "Five fields: minute, hour, day, month, weekday."),
    key("zone", "IANA time zone; `UTC` unless given."),
    key("missed", "`skip` (default) or `once`: what becomes of times that passed while nobody was there."),
];
/// `run:` of a trigger.
pub const ON_RUN: &[Key] =
    &[must("playbook", "Which."), key("result", "How it ended; any end unless given.")];
/// `webhook:` of a trigger.
pub const WEBHOOK: &[Key] = &[
    must("path", "The last part of the path that it is posted to."),
    must("secret", "Name of the secret that the sender must show."),
];
/// `correlate:`.
pub const CORRELATE: &[Key] = &[
    must("by", "Labels: a window for each of their values."),
    must("within", "How long a window is open, from its first event on."),
    key("all", "Ids of triggers that must all have come."),
    key("absent", "Ids of triggers that must not have come when the window ends."),
    key("count", "`{at_least, distinct}`: how many must have come."),
];
/// `count:` of `correlate:`.
pub const COUNT: &[Key] = &[
    must("at_least", "How many."),
    key("distinct", "Label whose different values are counted; events unless given."),
];
/// `failback:`.
pub const FAILBACK: &[Key] = &[
    must("run", "The playbook that goes back, for the same target."),
    must("when", "CEL: what must be so."),
    must("for", "For how long it must be so, unbroken."),
    must("approval", "`{by, within}`, or `none`."),
];
/// `drill:`.
pub const DRILL: &[Key] = &[
    must("of", "The playbook that is measured."),
    key("rto", "It must have repaired within this time."),
    key("rpo", "Documents that may be lost."),
    key("canary", "The check that counts what is lost."),
];
/// `guard:`.
pub const GUARD: &[Key] = &[
    key("lock", "What is locked, and what to do while it is taken."),
    key("cooldown", "Since the end of the last run on the target that dispatched an effect."),
    key("budget", "Most destructive attempts in a time."),
    key("min_healthy", "Healthy *other* nodes that must remain."),
    key("quorum", "Vantages that must agree on a verdict, for this playbook."),
    key("approval", "`{by, within}`: who must say yes before the first effect. No answer is a no."),
    key(
        "maintenance",
        "`skip` (default), `wait` or `ignore`: what is done while the target is in maintenance.",
    ),
    key("circuit_breaker", "`{failures, within, rest}`: repairs that keep failing stop."),
];
/// `guard.circuit_breaker:`.
pub const BREAKER: &[Key] = &[
    must("failures", "So many failed runs open it."),
    must("within", "Within this time."),
    must("rest", "How long it stays open; then one run is tried, with approval."),
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
    key("scope", "`target` (default), `node`, `group`, `service` or `domain`."),
    key("busy", "`queue` (default), `skip` or `cancel_running`."),
    key("wait", "How long to queue; 30m unless given."),
];
/// One of `guard.budget:`.
pub const BUDGET: &[Key] = &[
    must("max", "Most destructive attempts."),
    must("per", "In this time."),
    key("scope", "`playbook` (default), `group`, `provider` or `domain`."),
];
/// `guard.min_healthy:`.
pub const MIN_HEALTHY: &[Key] = &[
    key("at_least", "Nodes."),
    key("percent", "Of all nodes of the group, rounded up."),
    key("group", "Template: of which group; the target's unless given."),
];
/// A step.
pub const STEP: &[Key] = &[
    must("id", "Its name: letters, digits and `_`."),
    key("if", "CEL: otherwise it is skipped."),
    key("on_failure", "`stop`, `continue`, `undo`, or a list of steps; the playbook's unless given."),
    key("use", "An action."),
    key("with", "The action's parameters."),
    key("timeout", "Of one attempt; 30s unless given."),
    key("attempts", "The first included; 3 for read and idempotent actions, else 1."),
    key("verify", "Watch a check until it holds."),
    key("approve", "`{by, within, text}`: ask a person. No answer is a no."),
    key("wait", "Let time pass; proves nothing."),
    key("undo", "Of `use`: the action's own (default), `none`, or a list of steps."),
    key("run", "A playbook to run within this run."),
    key("target", "Of `run`, a template: its target; this playbook's unless given."),
    key("inputs", "Of `run`: `name: template`."),
    key("parallel", "A list of steps that are done at once; nothing destructive."),
    key("fail", "Of `parallel`: `slow` (default): the others finish; `fast`: no more begin."),
    key("for_each", "CEL: a list; the steps are done for each of its items."),
    key("as", "Of `for_each`: what an item is called."),
    key("steps", "Of `for_each`: what is done."),
    key("at_once", "Of `parallel` (4) and `for_each` (1): how many at once."),
    key("at_most", "Of `for_each`: a longer list fails the step, and nothing is done; 10 unless given."),
    key("choose", "`[{if, steps}, {else: steps}]`: the first branch whose `if` is true."),
    key("set", "`name: CEL`: values, read as `steps.<id>.result.<name>`."),
];
/// A branch of `choose:`.
pub const BRANCH: &[Key] = &[
    key("if", "CEL: when it is taken."),
    key("steps", "What is done then."),
    key("else", "What is done when no `if` is true; the last, and required."),
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
    key("maintenance", "`[{group, cron, zone, for}]`: when nothing is repaired."),
];
/// One of `maintenance:`.
pub const MAINTENANCE: &[Key] = &[
    must("group", "Which."),
    must("cron", "When it begins: minute, hour, day, month, weekday."),
    key("zone", "IANA time zone; `UTC` unless given."),
    must("for", "How long it lasts."),
];
/// A service.
pub const SERVICE: &[Key] = &[must("sides", "Groups that can serve it; the first is preferred.")];
/// A group.
pub const GROUP: &[Key] = &[
    key("provider", "Who hosts it."),
    key("health", "The check over nodes that says which are healthy."),
    key("via", "Zone whose runners act on it; `main` unless given."),
    key("labels", "Free words."),
    key("nodes", "Nodes by name; needed unless they are discovered."),
    key(
        "storm",
        "Share of nodes; when more are not up, nothing destructive is done to it; `50%` unless given.",
    ),
    key("discover", "`{tag}`: nodes are found at the provider."),
];
/// `discover:` of a group.
pub const DISCOVER: &[Key] = &[must("tag", "Tag of its nodes at the provider.")];
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
    key("ceilings", "`{mode, storm, budget}`: what no playbook exceeds."),
];
/// `ceilings:` of `policy:`.
pub const CEILINGS: &[Key] = &[
    key("mode", "The most that any playbook may do: `observe`, `approve` or `auto` (default)."),
    key("storm", "Share of nodes, for groups that say nothing; `50%` unless given."),
    key("budget", "Budgets that hold for all playbooks together."),
];
/// `actions:`.
pub const ACTIONS: &[Key] =
    &[must("apiVersion", "`regreen/v1`."), must("actions", "Actions by name, `provider.noun.verb`.")];
/// A foreign action.
pub const ACTION: &[Key] = &[
    must("description", "One sentence."),
    must("effect", "`read`, `idempotent`, `reconcilable` or `at_most_once`."),
    must("destructive", "`true` or `false`: whether it can destroy."),
    key("irreversible", "`true`: nothing before it is undone either; `false` unless given."),
    key("with", "Parameters by name."),
    key("result", "`name: type`: what its result holds."),
    key("undo", "The action that undoes it, with the same parameters."),
    key("timeout", "Of one attempt; 30s unless given."),
];
/// A parameter of a foreign action.
pub const PARAM: &[Key] = &[
    key(
        "type",
        "`text`, `url`, `int`, `bool`, `duration`, `json`, `code`, `node`, `group`, `service` or `receiver`.",
    ),
    key("one_of", "The only words."),
    key("optional", "`true`: it need not be given."),
    key("description", "What it means."),
];
/// `tests:`.
pub const TESTS: &[Key] = &[
    must("apiVersion", "`regreen/v1`."),
    must("tests", "The playbook."),
    must("cases", "What happens, and what must come of it."),
    key("inventory", "Another inventory for these tests."),
    key("checks", "Other checks for these tests."),
];
/// One of `cases:`.
pub const CASE: &[Key] = &[
    must("name", "What it shows."),
    key("start", "The moment of `0s`; 2030-01-01T00:00:00Z unless given."),
    must("timeline", "What happens, and when."),
    key("answers", "What each step's attempts come to."),
    must("expect", "What must come of it: complete, in order, nothing else."),
];
/// One of `timeline:`.
pub const MOMENT: &[Key] = &[
    must("at", "How long after the start."),
    key("firing", "Labels of an alert that fires."),
    key("resolved", "Labels of an alert that is over."),
    key("annotations", "Of the alert."),
    key("verdicts", "`check: status`, until changed."),
    key("event", "`{path, secret, id, type, source, data}`: an event that was posted to us."),
    key("start", "`{target, inputs}`: a person starts it."),
    key("approve", "`{step, by}`: a person says yes; step `guard` is the first question."),
    key("deny", "`{step, by}`: a person says no."),
    key("settle", "`{step, done, by}`: a person says whether an unknown effect took place."),
    key("cancel", "`{by}`: a person ends the run."),
    key("stop", "`true`: the stop switch."),
    key("resume", "`true`: the stop switch is released."),
];
/// `event:` of a moment.
pub const EVENT: &[Key] = &[
    must("path", "The last part of the path that it was posted to."),
    key("secret", "Name of the secret that was shown; the trigger's unless given."),
    key("id", "Its identity: the same event may come twice; `1` unless given."),
    key("type", "What kind of event it is; `test` unless given."),
    key("source", "Who says so; `test` unless given."),
    key("data", "What it says; only `inputs` read it."),
];
/// `start:` of a moment.
pub const START: &[Key] =
    &[key("target", "Name of the node, group or service."), key("inputs", "`name: value`.")];
/// `approve:` and `deny:` of a moment.
pub const ANSWERED: &[Key] = &[
    must("step", "What is answered: a step's path; `guard` is the first question."),
    key("by", "Who; somebody who may unless given."),
];
/// `settle:` of a moment.
pub const SETTLE: &[Key] = &[
    must("step", "The step's path."),
    must("done", "`true` or `false`: whether the effect took place."),
    key("by", "Who; somebody who may unless given."),
];
/// `cancel:` of a moment.
pub const CANCEL: &[Key] = &[key("by", "Who; somebody who may unless given.")];
/// One of the answers to a step.
pub const ANSWER: &[Key] = &[
    key("after", "How long the attempt takes; 1s unless given."),
    key("ok", "The result, of a call that went well; beside `unknown: done` what a look finds."),
    key("error", "`transient` or `permanent`."),
    key("timeout", "`true`: no answer came."),
    key("unknown", "No answer came, and a look says: `done`, `not_done` or `cannot_tell`."),
];
/// `expect:`.
pub const EXPECT: &[Key] = &[
    key("result", "How the run ends; `none`: nothing was started."),
    key("actions", "`[{at, step, use, with}]`: all that is done, in order."),
    key("decisions", "What was made of each start; one `started` unless given."),
    key("told", "Who is told, in order; nobody unless given."),
    key("golden", "`true`: the whole trace, which `--update` writes."),
];
/// One of `actions:` of `expect:`.
pub const EXPECT_ACTION: &[Key] = &[
    must("at", "How long after the start."),
    must("step", "The step's path."),
    must("use", "The action."),
    key("with", "Parameters: those named must be so."),
];
/// One of `told:` of `expect:`, where more than the receiver matters.
pub const EXPECT_TOLD: &[Key] = &[
    must("to", "The receiver."),
    key("at", "When the first message of its thread was sent."),
    key("text", "What a message of its thread says, among other things."),
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
    must(
        "type",
        "`string`, `int`, `bool`, `duration`, `node`, `group`, `service`, or a list of one of them: `[string]`.",
    ),
    key("default", "Taken when it is not given."),
    key("one_of", "The only values."),
];
/// `observe:` of `http.request`.
pub const OBSERVE: &[Key] =
    &[must("url", "Where to GET."), must("done", "CEL over `status` and `json`: the effect is there.")];

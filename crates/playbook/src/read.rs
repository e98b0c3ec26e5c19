//! Documents to drafts: one function a kind. What needs other files is left to `check`.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    PlaybookName, Span, Zone,
    action::{self, Declaration, Effect, ParamType},
    check::Status,
    event::Mode,
    id::Vantage,
};

use crate::{
    cel::{self, Expr},
    diagnostic::Place,
    inventory::{self, NodeDraft},
    keys,
    matcher::{self, Matcher},
    model::{
        Arg, Budget, BudgetScope, Busy, Escalate, Escape, Guard, Input, LockScope, MinHealthy, OnResolved,
        Playbook, Step, StepKind, Subject, TargetKind, Trigger, Use, Verify,
    },
    set::{Receiver, kind_of},
    template::Template,
    tree::{Kind, Node},
    value::{Type, Value},
    walk::{Fields, Walk},
};

/// Longest name of a step: its path must stay readable.
const STEP_ID_MAX: usize = 40;
/// Timeout of an attempt unless given.
const TIMEOUT: Span = Span::seconds(30);

/// Everything read so far, with the places that cross-checks draw.
#[derive(Default)]
pub(crate) struct Draft {
    pub playbooks: Vec<(Playbook, Places)>,
    pub groups: BTreeMap<Arc<str>, (inventory::Draft, Place)>,
    pub checks: BTreeMap<String, CheckDraft>,
    pub receivers: BTreeMap<Arc<str>, Receiver>,
    pub system: Vec<(Arc<str>, Place)>,
}

/// Where the parts of a playbook stand.
pub(crate) struct Places {
    pub file: usize,
    pub name: std::ops::Range<usize>,
    pub when: Option<Node>,
    pub triggers: Vec<Node>,
    pub steps: Vec<Node>,
    pub verify: Vec<Node>,
    pub guard: Option<Node>,
    pub escalate: Vec<Node>,
}

/// A check before it is expanded over its members.
pub(crate) struct CheckDraft {
    pub place: Place,
    pub each: Option<Each>,
    pub groups: Vec<(String, Place)>,
    pub tcp: bool,
    pub address: Template,
    pub accept: Vec<u16>,
    pub interval: Span,
    pub timeout: Span,
    pub fall: u32,
    pub rise: u32,
    pub fresh: Span,
    pub vantages: Vec<Vantage>,
    pub quorum: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Each {
    Node,
    Group,
}

pub(crate) fn document(walk: &mut Walk<'_>, document: &Node, draft: &mut Draft) {
    match kind_of(walk, document) {
        Some(("playbook", name)) => playbook(walk, document, name, draft),
        Some(("inventory", _)) => inventory(walk, document, draft),
        Some(("checks", checks)) => {
            walk.fields(document, "checks", keys::CHECKS);
            for (name, value) in walk.named(checks, "checks") {
                check(walk, name, value, draft);
            }
        }
        Some(("policy", _)) => policy(walk, document, draft),
        _ => {}
    }
}

fn playbook(walk: &mut Walk<'_>, document: &Node, name: &Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(document, "playbook", keys::PLAYBOOK) else { return };
    let name_text = walk.name(name, "playbook").unwrap_or("unnamed").to_owned();
    let get = |key: &str| fields.get(key);
    let mode = get("mode").and_then(|node| {
        if node.text() == Some("approve") {
            walk.error(
                112,
                node,
                "mode `approve` is not in this release",
                "comes later",
                "`observe` says what it would do",
            );
            return None;
        }
        walk.one_of(node, "mode", &[("observe", Mode::Observe), ("auto", Mode::Auto)])
    });
    let target = get("target").and_then(|node| {
        walk.one_of(
            node,
            "target",
            &[("none", TargetKind::None), ("node", TargetKind::Node), ("group", TargetKind::Group)],
        )
    });
    let on_resolved = get("on_resolved").and_then(|node| {
        walk.one_of(
            node,
            "on_resolved",
            &[("cancel", OnResolved::Cancel), ("continue", OnResolved::Continue)],
        )
    });
    let (triggers, trigger_nodes) = each(walk, get("triggers"), "triggers", trigger);
    let (steps, step_nodes) = each(walk, get("steps"), "steps", step);
    let (closing, verify_nodes) = each(walk, get("verify"), "verify", verify);
    let (escalations, escalate_nodes) = each(walk, get("escalate"), "escalate", escalate);
    if let Some(node) =
        get("steps").filter(|node| matches!(&node.kind, Kind::List(items) if items.is_empty()))
    {
        walk.error(108, node, "there is no step", "empty", "a playbook does something");
    }
    let playbook = Playbook {
        name: PlaybookName::from(name_text.as_str()),
        description: get("description")
            .and_then(|node| walk.plain(node, "description"))
            .unwrap_or_default()
            .to_owned(),
        mode: mode.unwrap_or(Mode::Observe),
        target: target.unwrap_or(TargetKind::None),
        triggers,
        when: get("when").and_then(|node| expression(walk, node, "when")),
        inputs: get("inputs").map(|node| inputs(walk, node)).unwrap_or_default(),
        guard: guard(walk, get("guard")),
        steps,
        verify: closing,
        on_resolved: on_resolved.unwrap_or(OnResolved::Cancel),
        deadline: get("deadline")
            .and_then(|node| walk.duration(node, "deadline"))
            .unwrap_or(Span::minutes(60)),
        escalate: escalations,
    };
    let places = Places {
        file: walk.file,
        name: name.range.clone(),
        when: get("when").cloned(),
        triggers: trigger_nodes,
        steps: step_nodes,
        verify: verify_nodes,
        guard: get("guard").cloned(),
        escalate: escalate_nodes,
    };
    draft.playbooks.push((playbook, places));
}

/// The items of a list that could be read, each with its place.
fn each<T>(
    walk: &mut Walk<'_>,
    node: Option<&Node>,
    key: &str,
    read: fn(&mut Walk<'_>, &Node) -> Option<T>,
) -> (Vec<T>, Vec<Node>) {
    let items = node.map(|node| walk.list(node, key)).unwrap_or_default();
    items.iter().filter_map(|node| Some((read(walk, node)?, node.clone()))).unzip()
}

/// Reads CEL. Braces in it are the commonest slip.
fn expression(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Expr> {
    let text = node.text()?;
    if text.contains("{{") {
        walk.error(301, node, "`{{` in CEL", format!("`{what}` is CEL"), "drop the braces");
        return None;
    }
    match cel::parse(text) {
        Ok(expr) => Some(expr),
        Err(error) => {
            let at = walk.place(within(node, &error.range));
            walk.findings.error(300, at, format!("no expression: {}", error.message), "here", "");
            None
        }
    }
}

/// Place of a part of a scalar. Exact for what is written on one line without escapes; else the whole scalar.
pub(crate) fn within(node: &Node, part: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let Kind::Scalar { text, plain } = &node.kind else { return node.range.clone() };
    let quote = usize::from(!plain);
    if node.range.len() == text.len() + 2 * quote {
        let start = node.range.start + quote;
        let end = (start + part.end.max(part.start + 1)).min(node.range.end.max(start + 1));
        (start + part.start).min(end)..end
    } else {
        node.range.clone()
    }
}

fn template(walk: &mut Walk<'_>, node: &Node, what: &str) -> Option<Template> {
    let Some(text) = node.text() else {
        walk.error(203, node, format!("`{what}` wants text"), format!("found {}", node.word()), "");
        return None;
    };
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(error) => {
            let at = walk.place(within(node, &error.range));
            walk.findings.error(
                303,
                at,
                error.message,
                "here",
                "compute in `when` or `if`; a template only fills in",
            );
            None
        }
    }
}

fn trigger(walk: &mut Walk<'_>, node: &Node) -> Option<Trigger> {
    let fields = walk.fields(node, "trigger", keys::TRIGGER)?;
    match (fields.get("alert"), node.get("manual")) {
        (Some(alert), None) => {
            let matchers: Vec<Matcher> =
                walk.list(alert, "alert").to_vec().iter().filter_map(|item| matcher(walk, item)).collect();
            if !matchers.is_empty() && matchers.iter().all(|matcher| !matcher.ensures()) {
                walk.error(
                    402,
                    alert,
                    "this matches every alert",
                    "all of these accept \"\"",
                    "add `alertname=\"…\"`",
                );
            }
            contradiction(walk, alert, &matchers);
            let target = fields.get("target").and_then(|node| template(walk, node, "target"));
            Some(Trigger::Alert { matchers, target })
        }
        (None, Some(_)) => Some(Trigger::Manual),
        (Some(_), Some(manual)) => {
            walk.error(107, manual, "two kinds in a trigger", "`alert` and `manual`", "make two triggers");
            None
        }
        (None, None) => {
            walk.error(
                108,
                node,
                "the trigger has no kind",
                "this trigger",
                "`alert: [alertname=\"…\"]` or `manual: {}`",
            );
            None
        }
    }
}

fn matcher(walk: &mut Walk<'_>, node: &Node) -> Option<Matcher> {
    let text = node.text()?;
    match Matcher::parse(text) {
        Ok(matcher) => Some(matcher),
        Err(matcher::Error::NoOperator) => {
            walk.error(
                401,
                node,
                "no operator in the matcher",
                text.to_owned(),
                format!("`alertname=\"{text}\"`?"),
            );
            None
        }
        Err(matcher::Error::NoLabel) => {
            walk.error(401, node, "no label in the matcher", text.to_owned(), "`label=\"value\"`");
            None
        }
        Err(matcher::Error::Quotes) => {
            walk.error(
                401,
                node,
                "the matcher's value must stand in double quotes",
                text.to_owned(),
                "quote the whole item: 'label=\"value\"'",
            );
            None
        }
        Err(matcher::Error::Regex(why)) => {
            walk.error(
                401,
                node,
                format!("no expression that Alertmanager would read: {why}"),
                text.to_owned(),
                "Go's RE2 syntax, anchored",
            );
            None
        }
    }
}

fn contradiction(walk: &mut Walk<'_>, node: &Node, matchers: &[Matcher]) {
    for (i, a) in matchers.iter().enumerate() {
        let against = matchers[..i]
            .iter()
            .find(|b| b.label == a.label && b.op == matcher::Op::Equal && !a.accepts(&b.value));
        if let Some(b) = against {
            walk.error(
                403,
                node,
                "this can never match",
                format!("{}, {}", b.text, a.text),
                "make two triggers",
            );
        }
    }
}

fn inputs(walk: &mut Walk<'_>, node: &Node) -> BTreeMap<Arc<str>, Input> {
    let mut out = BTreeMap::new();
    for (name, value) in walk.named(node, "inputs") {
        let Some(fields) = walk.fields(value, "input", keys::INPUT) else { continue };
        let kinds = [("string", 0), ("int", 1), ("bool", 2)];
        let kind = match fields.get("type").and_then(|node| walk.one_of(node, "type", &kinds)) {
            Some(1) => Type::Int,
            Some(2) => Type::Bool,
            _ => Type::Str,
        };
        let mut constant = |node: &Node| {
            let value = node.text().and_then(|text| parse_input(text, &kind));
            if value.is_none() {
                walk.error(203, node, format!("this is no {kind}"), "here", "");
            }
            value
        };
        let default = fields.get("default").and_then(&mut constant);
        let one_of = match fields.get("one_of").map(|node| &node.kind) {
            Some(Kind::List(items)) => items.iter().filter_map(&mut constant).collect(),
            _ => Vec::new(),
        };
        out.insert(name.text().unwrap_or_default().into(), Input { kind, default, one_of });
    }
    out
}

/// A value of an input from its text.
#[must_use]
pub(crate) fn parse_input(text: &str, kind: &Type) -> Option<Value> {
    match kind {
        Type::Int => text.parse().ok().map(Value::Int),
        Type::Bool => text.parse().ok().map(Value::Bool),
        _ => Some(Value::str(text)),
    }
}

fn guard(walk: &mut Walk<'_>, node: Option<&Node>) -> Guard {
    let mut guard = Guard {
        scope: LockScope::Target,
        busy: Busy::Queue,
        wait: Span::minutes(30),
        cooldown: None,
        budgets: Vec::new(),
        min_healthy: None,
        quorum: None,
    };
    let Some(fields) = node.and_then(|node| walk.fields(node, "guard", keys::GUARD)) else { return guard };
    if let Some(lock) = fields.get("lock").and_then(|node| walk.fields(node, "lock", keys::LOCK)) {
        let scopes = [
            ("target", LockScope::Target),
            ("node", LockScope::Target),
            ("group", LockScope::Group),
            ("domain", LockScope::Domain),
        ];
        guard.scope =
            lock.get("scope").and_then(|node| walk.one_of(node, "scope", &scopes)).unwrap_or(guard.scope);
        guard.busy = lock
            .get("busy")
            .and_then(|node| walk.one_of(node, "busy", &[("queue", Busy::Queue), ("skip", Busy::Skip)]))
            .unwrap_or(guard.busy);
        guard.wait = lock.get("wait").and_then(|node| walk.duration(node, "wait")).unwrap_or(guard.wait);
    }
    guard.cooldown = fields.get("cooldown").and_then(|node| walk.duration(node, "cooldown"));
    if let Some(node) = fields.get("budget") {
        guard.budgets = walk.list(node, "budget").iter().filter_map(|node| budget(walk, node)).collect();
    }
    guard.min_healthy = fields.get("min_healthy").and_then(|node| min_healthy(walk, node));
    guard.quorum = fields.get("quorum").and_then(|node| walk.int(node, "quorum", 1..=9));
    guard
}

fn budget(walk: &mut Walk<'_>, node: &Node) -> Option<Budget> {
    let fields = walk.fields(node, "budget", keys::BUDGET)?;
    let scopes = [BudgetScope::Playbook, BudgetScope::Group, BudgetScope::Provider, BudgetScope::Domain]
        .map(|scope| (scope.word(), scope));
    Some(Budget {
        max: fields.get("max").and_then(|node| walk.int(node, "max", 1..=1_000_000))?,
        per: fields.get("per").and_then(|node| walk.duration(node, "per"))?,
        scope: fields
            .get("scope")
            .map_or(Some(BudgetScope::Playbook), |node| walk.one_of(node, "scope", &scopes))?,
    })
}

fn min_healthy(walk: &mut Walk<'_>, node: &Node) -> Option<MinHealthy> {
    let fields = walk.fields(node, "min_healthy", keys::MIN_HEALTHY)?;
    match (fields.get("at_least"), fields.get("percent")) {
        (Some(node), None) => walk.int(node, "at_least", 1..=10_000).map(MinHealthy::AtLeast),
        (None, Some(node)) => walk.int(node, "percent", 1..=100).map(MinHealthy::Percent),
        _ => {
            walk.error(
                108,
                node,
                "`min_healthy` needs one of `at_least` and `percent`",
                "here",
                "`{at_least: 2}`",
            );
            None
        }
    }
}

fn verify(walk: &mut Walk<'_>, node: &Node) -> Option<Verify> {
    let fields = walk.fields(node, "verify", keys::VERIFY)?;
    let words = [("up", Status::Up), ("degraded", Status::Degraded), ("down", Status::Down)];
    let verify = Verify {
        check: fields.get("check").and_then(|node| template(walk, node, "check"))?,
        is: fields.get("is").map_or(Some(Status::Up), |node| walk.one_of(node, "is", &words))?,
        hold: fields.get("for").map_or(Some(Span::seconds(30)), |node| walk.duration(node, "for"))?,
        within: fields.get("within").and_then(|node| walk.duration(node, "within"))?,
    };
    if verify.hold >= verify.within {
        let message = "this verify can never hold";
        walk.error(
            601,
            node,
            message,
            format!("`for` {} is not below `within` {}", verify.hold, verify.within),
            "raise `within`",
        );
    }
    Some(verify)
}

fn escalate(walk: &mut Walk<'_>, node: &Node) -> Option<Escalate> {
    let fields = walk.fields(node, "escalate", keys::ESCALATE)?;
    Some(Escalate {
        to: fields.get("to").and_then(|node| walk.plain(node, "to"))?.into(),
        after: fields.get("after").map_or(Some(Span::ZERO), |node| walk.duration(node, "after"))?,
        text: fields.get("text").and_then(|node| template(walk, node, "text")),
    })
}

fn step(walk: &mut Walk<'_>, node: &Node) -> Option<Step> {
    let fields = walk.fields(node, "step", keys::STEP)?;
    let id = fields.get("id").and_then(|node| step_id(walk, node))?;
    let condition = fields.get("if").and_then(|node| expression(walk, node, "if"));
    let goes_on = fields
        .get("on_failure")
        .and_then(|node| match node.text() {
            Some("undo") => {
                walk.error(112, node, "`undo` is not in this release", "comes later", "`stop` or `continue`");
                None
            }
            _ => walk.one_of(node, "on_failure", &[("stop", false), ("continue", true)]),
        })
        .unwrap_or(false);
    let kinds: Vec<&str> =
        ["use", "verify", "wait"].into_iter().filter(|kind| fields.get(kind).is_some()).collect();
    let kind = match kinds.as_slice() {
        [] => {
            walk.error(108, node, "the step has no kind", "this step", "`use`, `verify` or `wait`");
            return None;
        }
        [first, second, ..] => {
            walk.error(
                107,
                node,
                "two kinds in a step",
                format!("`{first}` and `{second}`"),
                "make two steps",
            );
            return None;
        }
        ["use"] => StepKind::Use(action(walk, fields)?),
        ["verify"] => StepKind::Verify(fields.get("verify").and_then(|node| verify(walk, node))?),
        [_] => StepKind::Wait(fields.get("wait").and_then(|node| walk.duration(node, "wait"))?),
    };
    Some(Step { id, condition, goes_on, kind })
}

fn step_id(walk: &mut Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.plain(node, "id")?;
    let good = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.starts_with(|c: char| c.is_ascii_alphabetic());
    if good && text.len() <= STEP_ID_MAX && text != "closing" {
        return Some(text.into());
    }
    walk.error(
        109,
        node,
        format!("bad id `{text}`"),
        "letters, digits and `_`; `-` is minus in CEL",
        format!("`{}`?", text.replace(['-', ' '], "_")),
    );
    None
}

fn action(walk: &mut Walk<'_>, fields: Fields<'_>) -> Option<Use> {
    let node = fields.get("use")?;
    let name = walk.plain(node, "use")?;
    let authors = || action::ALL.iter().filter(|declared| declared.authors);
    let Some(declared) = authors().find(|declared| declared.name == name) else {
        let near = crate::diagnostic::nearest(name, authors().map(|declared| declared.name));
        let hint = near.map_or_else(
            || format!("known: {}", authors().map(|d| d.name).collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        walk.error(201, node, format!("unknown action `{name}`"), "no such action", hint);
        return None;
    };
    let parameters: Vec<keys::Key> = declared
        .params
        .iter()
        .map(|param| keys::Key { name: param.name, doc: param.doc, required: param.required, later: false })
        .collect();
    let empty = Node { range: node.range.clone(), kind: Kind::Map(Vec::new()) };
    let with = walk.fields(fields.get("with").unwrap_or(&empty), "with", &parameters)?;
    let mut args = Vec::new();
    let mut subject = None;
    for param in declared.params {
        let Some(value) = with.get(param.name) else { continue };
        match param.kind {
            ParamType::Node | ParamType::Group => subject = object(walk, value, param.kind),
            kind => {
                if let Some(arg) = argument(walk, value, param.name, kind) {
                    args.push((param.name, arg));
                }
            }
        }
    }
    let (effect, destructive) = http_effect(declared, &args);
    let retries = matches!(effect, Effect::Read | Effect::Idempotent);
    let attempts = fields.get("attempts").and_then(|node| {
        let attempts = walk.int(node, "attempts", 1..=20)?;
        if attempts > 1 && effect == Effect::AtMostOnce {
            walk.error(
                506,
                node,
                "this may act twice",
                format!("`attempts: {attempts}` on an action that may run at most once"),
                "remove it, or say what makes a second try safe: `idempotency_header`, `observe`, `effect`",
            );
        }
        Some(attempts)
    });
    Some(Use {
        action: declared,
        declared: declared.hash().into(),
        args,
        subject,
        effect,
        destructive,
        timeout: fields.get("timeout").and_then(|node| walk.duration(node, "timeout")).unwrap_or(TIMEOUT),
        attempts: attempts.unwrap_or(if retries { 3 } else { 1 }),
    })
}

/// Effect class of a request and whether it can destroy: anything but GET and HEAD can.
fn http_effect(declared: &Declaration, args: &[(&'static str, Arg)]) -> (Effect, bool) {
    let word = |name: &str| {
        args.iter().find(|(arg, _)| *arg == name).and_then(|(_, arg)| match arg {
            Arg::Constant(serde_json::Value::String(text)) => Some(text.as_str()),
            _ => None,
        })
    };
    let has = |name: &str| args.iter().any(|(arg, _)| *arg == name);
    if declared.name != action::HTTP_REQUEST.name {
        return (declared.effect, false);
    }
    let method = word("method").unwrap_or("GET");
    let reads = matches!(method, "GET" | "HEAD");
    let effect = match word("effect") {
        Some("idempotent") => Effect::Idempotent,
        Some("at_most_once") => Effect::AtMostOnce,
        _ if has("idempotency_header") => Effect::Idempotent,
        _ if has("observe") => Effect::Reconcilable,
        _ if reads => Effect::Read,
        _ if matches!(method, "PUT" | "DELETE") => Effect::Idempotent,
        _ => Effect::AtMostOnce,
    };
    (effect, !reads)
}

fn object(walk: &mut Walk<'_>, node: &Node, kind: ParamType) -> Option<Subject> {
    let template = template(walk, node, "node or group")?;
    Some(match (template.constant(), kind) {
        (None, _) => Subject::Path(template),
        (Some(name), ParamType::Group) => Subject::Group(name.into()),
        (Some(name), _) => Subject::Node(name.into()),
    })
}

fn argument(walk: &mut Walk<'_>, node: &Node, name: &str, kind: ParamType) -> Option<Arg> {
    let filled = |walk: &mut Walk<'_>, node: &Node, escape| {
        let template = template(walk, node, name)?;
        Some(match template.constant() {
            Some(text) => Arg::Constant(text.into()),
            None => Arg::Template(template, escape),
        })
    };
    match kind {
        ParamType::Url => filled(walk, node, Escape::Url),
        ParamType::Text => filled(walk, node, Escape::Plain),
        ParamType::OneOf(words) => {
            let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
            walk.one_of(node, name, &words).map(|word| Arg::Constant(word.into()))
        }
        ParamType::Ints => {
            let numbers: Vec<u32> =
                walk.list(node, name).iter().filter_map(|item| walk.int(item, name, 100..=599)).collect();
            Some(Arg::Constant(numbers.into()))
        }
        ParamType::Headers => {
            let entries = walk.named(node, name);
            Some(Arg::Map(
                entries
                    .iter()
                    .filter_map(|(key, value)| {
                        let key = key.text()?.to_owned();
                        let arg = secret(walk, value, Some(&key))
                            .or_else(|| filled(walk, value, Escape::Header))?;
                        Some((key, arg))
                    })
                    .collect(),
            ))
        }
        ParamType::Json => json(walk, node, name),
        ParamType::Observe => {
            let fields = walk.fields(node, "observe", keys::OBSERVE)?;
            let url = fields.get("url").and_then(|node| filled(walk, node, Escape::Url))?;
            let done = fields.get("done")?;
            let expr = expression(walk, done, "done")?;
            let scope = cel::Scope {
                roots: vec![
                    ("status".into(), Type::Int),
                    ("json".into(), Type::Json),
                    ("before".into(), Type::Object("observation")),
                ],
                ..cel::Scope::default()
            };
            let (_, problems) = cel::check(&expr, &scope);
            for problem in problems.into_iter().filter(|problem| problem.code != 305) {
                let at = walk.place(within(done, &problem.range));
                walk.findings.error(problem.code, at, problem.message, problem.label, problem.hint);
            }
            Some(Arg::Map(vec![("url".into(), url), ("done".into(), Arg::Constant(expr.text.into()))]))
        }
        ParamType::Node | ParamType::Group => None,
    }
}

/// `{secret: name}`, and the finding when a secret stands in clear.
fn secret(walk: &mut Walk<'_>, node: &Node, key: Option<&str>) -> Option<Arg> {
    if let Kind::Map(entries) = &node.kind {
        if let [(name, value)] = entries.as_slice()
            && name.text() == Some("secret")
        {
            return walk.name(value, "secret").map(|name| Arg::Secret(name.to_owned()));
        }
        return None;
    }
    let text = node.text().unwrap_or_default();
    let telling = key.is_some_and(|key| {
        ["authorization", "x-api-key", "cookie"].contains(&key.to_ascii_lowercase().as_str())
    });
    if (telling || text.starts_with("Bearer ") || text.starts_with("Basic ")) && !text.contains("{{") {
        walk.error(
            507,
            node,
            "a secret in clear",
            "like a token",
            "`{secret: name}`; the runner reads it from a file or its environment",
        );
    }
    None
}

fn json(walk: &mut Walk<'_>, node: &Node, name: &str) -> Option<Arg> {
    if let Some(secret) = secret(walk, node, None) {
        return Some(secret);
    }
    Some(match &node.kind {
        Kind::Map(entries) => Arg::Map(
            entries
                .iter()
                .filter_map(|(key, value)| Some((key.text()?.to_owned(), json(walk, value, name)?)))
                .collect(),
        ),
        Kind::List(items) => Arg::List(items.iter().filter_map(|item| json(walk, item, name)).collect()),
        Kind::Scalar { text, plain } => {
            let template = template(walk, node, name)?;
            match (template.constant(), plain) {
                (None, _) => Arg::Template(template, Escape::Plain),
                // YAML 1.2's core schema for what is unquoted; everything else is text.
                (Some(_), true) => Arg::Constant(
                    serde_json::from_str(text)
                        .ok()
                        .filter(|v: &serde_json::Value| !v.is_array() && !v.is_object())
                        .unwrap_or_else(|| text.as_str().into()),
                ),
                (Some(_), false) => Arg::Constant(text.as_str().into()),
            }
        }
    })
}

fn inventory(walk: &mut Walk<'_>, document: &Node, draft: &mut Draft) {
    let Some(groups) =
        walk.fields(document, "inventory", keys::INVENTORY).and_then(|fields| fields.get("groups"))
    else {
        return;
    };
    for (name, value) in walk.named(groups, "groups") {
        let Some(group_name) = walk.name(name, "group").map(Arc::<str>::from) else { continue };
        let Some(fields) = walk.fields(value, "group", keys::GROUP) else { continue };
        let mut group = inventory::Draft {
            health: fields.get("health").and_then(|node| walk.plain(node, "health")).map(Into::into),
            via: fields.get("via").and_then(|node| walk.name(node, "via")).map(Zone::from),
            labels: words(walk, fields.get("labels")),
            ..inventory::Draft::default()
        };
        for (name, value) in fields.get("nodes").map(|node| walk.named(node, "nodes")).unwrap_or_default() {
            let Some(node_name) = walk.name(name, "node") else { continue };
            let empty = Node { range: value.range.clone(), kind: Kind::Map(Vec::new()) };
            let value = if value.is_null() { &empty } else { value };
            let Some(fields) = walk.fields(value, "node", keys::NODE) else { continue };
            let text = |walk: &mut Walk<'_>, key: &str| {
                fields.get(key).and_then(|node| walk.plain(node, key)).unwrap_or_default().to_owned()
            };
            let node = NodeDraft {
                id: text(walk, "id"),
                ids: words(walk, fields.get("ids")),
                address: text(walk, "address"),
                aliases: fields
                    .get("aliases")
                    .map(|node| {
                        walk.list(node, "aliases").iter().filter_map(Node::text).map(Arc::from).collect()
                    })
                    .unwrap_or_default(),
                labels: words(walk, fields.get("labels")),
                via: fields.get("via").and_then(|node| walk.name(node, "via")).map(Zone::from),
            };
            group.nodes.insert(node_name.into(), node);
        }
        let place = walk.place(name.range.clone());
        if draft.groups.insert(group_name.clone(), (group, place.clone())).is_some() {
            walk.findings.error(
                102,
                place,
                format!("group `{group_name}` is there twice"),
                "again",
                "one file owns a group",
            );
        }
    }
}

fn words(walk: &mut Walk<'_>, node: Option<&Node>) -> BTreeMap<String, String> {
    let Some(node) = node else { return BTreeMap::new() };
    walk.named(node, "labels")
        .iter()
        .filter_map(|(k, v)| Some((k.text()?.to_owned(), v.text()?.to_owned())))
        .collect()
}

fn check(walk: &mut Walk<'_>, name: &Node, value: &Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(value, "check", keys::CHECK) else { return };
    let name_text = name.text().unwrap_or_default().to_owned();
    if !name_text.split('/').all(regreen_schemas::id::is_token) {
        walk.error(109, name, format!("bad name `{name_text}`"), "tokens joined by `/`", "rename it");
    }
    let Some(tcp) =
        fields.get("kind").and_then(|node| walk.one_of(node, "kind", &[("http", false), ("tcp", true)]))
    else {
        return;
    };
    let with = fields
        .get("with")
        .and_then(|node| walk.fields(node, "with", if tcp { keys::CHECK_TCP } else { keys::CHECK_HTTP }));
    let Some(with) = with else {
        walk.error(
            108,
            value,
            "key `with` is missing",
            "this check",
            "`with: {url: …}` or `with: {address: …}`",
        );
        return;
    };
    let Some(address) =
        with.get(if tcp { "address" } else { "url" }).and_then(|node| template(walk, node, "with"))
    else {
        return;
    };
    let accept = with.get("accept").map(|node| {
        walk.list(node, "accept")
            .iter()
            .filter_map(|item| walk.int(item, "accept", 100..=599))
            .filter_map(|n| u16::try_from(n).ok())
            .collect()
    });
    let mut span = |key: &str, default: Span| {
        fields.get(key).and_then(|node| walk.duration(node, key)).unwrap_or(default)
    };
    let (interval, timeout, fresh) = (
        span("interval", Span::seconds(10)),
        span("timeout", Span::seconds(3)),
        span("fresh", Span::seconds(30)),
    );
    let vantages: Vec<Vantage> = match fields.get("vantages") {
        Some(node) => walk
            .list(node, "vantages")
            .iter()
            .filter_map(|item| walk.name(item, "vantage"))
            .map(Vantage::from)
            .collect(),
        None => vec![Vantage::from("main")],
    };
    let count = u32::try_from(vantages.len()).unwrap_or(u32::MAX);
    let quorum = fields.get("quorum").and_then(|node| walk.int(node, "quorum", 1..=count.max(1)));
    let groups = fields.get("in").map(|node| {
        walk.list(node, "in")
            .iter()
            .filter_map(|item| Some((item.text()?.to_owned(), walk.place(item.range.clone()))))
            .collect()
    });
    let check = CheckDraft {
        place: walk.place(name.range.clone()),
        each: fields
            .get("each")
            .and_then(|node| walk.one_of(node, "each", &[("node", Each::Node), ("group", Each::Group)])),
        groups: groups.unwrap_or_default(),
        tcp,
        address,
        accept: accept.unwrap_or_default(),
        interval,
        timeout,
        fall: fields.get("fall").and_then(|node| walk.int(node, "fall", 1..=100)).unwrap_or(3),
        rise: fields.get("rise").and_then(|node| walk.int(node, "rise", 1..=100)).unwrap_or(2),
        fresh,
        vantages,
        quorum: quorum.unwrap_or(count / 2 + 1),
    };
    if draft.checks.insert(name_text.clone(), check).is_some() {
        walk.error(102, name, format!("check `{name_text}` is there twice"), "again", "take one away");
    }
}

fn policy(walk: &mut Walk<'_>, document: &Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(document, "policy", keys::POLICY) else { return };
    for node in fields.get("system").map(|system| walk.list(system, "system")).unwrap_or_default() {
        if let Some(name) = walk.name(node, "receiver") {
            draft.system.push((name.into(), walk.place(node.range.clone())));
        }
    }
    let Some(receivers) = fields.get("receivers") else { return };
    for (name, value) in walk.named(receivers, "receivers") {
        let Some(receiver_name) = walk.name(name, "receiver").map(Arc::<str>::from) else { continue };
        let Some(fields) = walk.fields(value, "receiver", keys::RECEIVER) else { continue };
        let receiver = if let Some(webhook) = fields.get("webhook") {
            let Some(fields) = walk.fields(webhook, "webhook", keys::RECEIVER_WEBHOOK) else { continue };
            match (fields.get("url"), fields.get("secret")) {
                (Some(url), None) => walk.plain(url, "url").map(|url| Receiver::Webhook(url.into())),
                (None, Some(secret)) => walk
                    .name(secret, "secret")
                    .map(|name| Receiver::Webhook(serde_json::json!({"secret": name}))),
                _ => {
                    walk.error(
                        108,
                        webhook,
                        "`webhook` needs one of `url` and `secret`",
                        "here",
                        "`{url: https://…}`",
                    );
                    None
                }
            }
        } else if value.get("log").is_some() {
            Some(Receiver::Log)
        } else {
            walk.error(
                108,
                value,
                "the receiver has no kind",
                "this receiver",
                "`{log: {}}` or `{webhook: {url: …}}`",
            );
            None
        };
        if let Some(receiver) = receiver
            && draft.receivers.insert(receiver_name.clone(), receiver).is_some()
        {
            walk.error(
                102,
                name,
                format!("receiver `{receiver_name}` is there twice"),
                "again",
                "take one away",
            );
        }
    }
}

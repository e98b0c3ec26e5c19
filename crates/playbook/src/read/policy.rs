//! `policy:`: receivers, approvers, ceilings.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{Draft, guard, matchers::matchers, playbook::MODES};
use crate::{
    keys,
    model::DEFAULT_APPROVERS,
    set::{Ceilings, Receiver, Watchdog},
    tree::Node,
    walk::{Fields, Walk},
};

pub(super) fn policy(walk: &mut Walk<'_>, document: &Node, draft: &mut Draft) {
    let Some(fields) = walk.fields(document, "policy", keys::POLICY) else { return };
    for node in fields.get("system").map(|system| walk.list(system, "system")).unwrap_or_default() {
        if let Some(name) = walk.name(node, "receiver") {
            draft.system.push((name.into(), walk.place(node.range.clone())));
        }
    }
    for (name, value) in fields.get("receivers").map(|r| walk.named(r, "receivers")).unwrap_or_default() {
        let Some(receiver_name) = walk.name(name, "receiver").map(Arc::<str>::from) else { continue };
        let Some(receiver) = receiver(walk, value) else { continue };
        if draft.receivers.insert(receiver_name.clone(), receiver).is_some() {
            let message = format!("receiver `{receiver_name}` is there twice");
            walk.error(102, name, message, "again", "take one away");
        }
    }
    if let Some(node) = fields.get("watchdog") {
        draft.watchdog = watchdog(walk, node);
    }
    for (name, value) in fields.get("approvers").map(|a| walk.named(a, "approvers")).unwrap_or_default() {
        approvers(walk, name, value, draft);
    }
    if let Some(node) = fields.get("ceilings") {
        let read = ceilings(walk, node);
        if draft.ceilings.is_some() {
            walk.error(102, node, "`ceilings` are there twice", "again", "one file owns them");
        }
        draft.ceilings = draft.ceilings.take().or(read);
    }
}

fn ceilings(walk: &mut Walk<'_>, node: &Node) -> Option<Ceilings> {
    let fields = walk.fields(node, "ceilings", keys::CEILINGS)?;
    let mode = fields.get("mode").and_then(|node| walk.one_of(node, "mode", &MODES));
    let storm = fields.get("storm").and_then(|node| walk.percent(node, "storm"));
    let budgets = fields.get("budget").map(|node| guard::budgets(walk, node)).unwrap_or_default();
    let default = Ceilings::default();
    Some(Ceilings { mode: mode.unwrap_or(default.mode), storm: storm.unwrap_or(default.storm), budgets })
}

fn watchdog(walk: &mut Walk<'_>, node: &Node) -> Option<Watchdog> {
    let fields = walk.fields(node, "watchdog", keys::WATCHDOG)?;
    let matchers = matchers(walk, fields.get("alert")?);
    let within = fields.get("within").and_then(|node| walk.duration(node, "within"))?;
    Some(Watchdog { matchers, within })
}

fn receiver(walk: &mut Walk<'_>, value: &Node) -> Option<Receiver> {
    let fields = walk.fields(value, "receiver", keys::RECEIVER)?;
    let kinds: Vec<&'static str> =
        keys::RECEIVER.iter().map(|key| key.name).filter(|kind| value.get(kind).is_some()).collect();
    let [kind] = kinds.as_slice() else {
        let hint = "`{log: {}}`, `{slack: \"#ops\"}`, `{pagerduty: {secret: …}}`, `{email: {to: […]}}` or `{webhook: {url: …}}`";
        let message =
            if kinds.is_empty() { "the receiver has no kind" } else { "the receiver has two kinds" };
        walk.error(108, value, message, "this receiver", hint);
        return None;
    };
    let to = match *kind {
        "log" => json!({}),
        "webhook" => webhook(walk, fields.get("webhook")?)?,
        "slack" => slack(walk, fields.get("slack")?)?,
        "pagerduty" => json!({"key": secret(walk, fields.get("pagerduty")?)?}),
        _ => email(walk, fields.get("email")?)?,
    };
    Some(Receiver { kind, to })
}

fn webhook(walk: &mut Walk<'_>, node: &Node) -> Option<Value> {
    let fields = walk.fields(node, "webhook", keys::RECEIVER_WEBHOOK)?;
    match (fields.get("url"), fields.get("secret")) {
        (Some(url), None) => Some(json!({"url": walk.plain(url, "url")?})),
        (None, Some(name)) => Some(json!({"url": {"secret": walk.name(name, "secret")?}})),
        _ => {
            let hint = "`{url: https://…}`";
            walk.error(108, node, "`webhook` needs one of `url` and `secret`", "here", hint);
            None
        }
    }
}

fn slack(walk: &mut Walk<'_>, node: &Node) -> Option<Value> {
    let token = json!({"secret": "slack"});
    if node.text().is_some() {
        return Some(json!({"channel": walk.plain(node, "slack")?, "token": token}));
    }
    let fields = walk.fields(node, "slack", keys::RECEIVER_SLACK)?;
    let channel = walk.plain(fields.get("channel")?, "channel")?.to_owned();
    let token = fields.get("token").map_or(Some(token), |node| secret(walk, node))?;
    Some(json!({"channel": channel, "token": token}))
}

fn email(walk: &mut Walk<'_>, node: &Node) -> Option<Value> {
    let fields: Fields<'_> = walk.fields(node, "email", keys::RECEIVER_EMAIL)?;
    let items = walk.list(fields.get("to")?, "to");
    let to: Vec<&str> = items.iter().filter_map(|item| walk.plain(item, "to")).collect();
    let mut out = json!({"to": to});
    if let Some(from) = fields.get("from").and_then(|node| walk.plain(node, "from")) {
        out["from"] = from.into();
    }
    Some(out)
}

/// `{secret: name}`.
fn secret(walk: &mut Walk<'_>, node: &Node) -> Option<Value> {
    let fields = walk.fields(node, "secret", keys::SECRET)?;
    Some(json!({"secret": walk.name(fields.get("secret")?, "secret")?}))
}

fn approvers(walk: &mut Walk<'_>, name: &Node, value: &Node, draft: &mut Draft) {
    let Some(group) = walk.name(name, "approvers").map(Arc::<str>::from) else { return };
    if *group == *DEFAULT_APPROVERS && value.text().is_some() {
        let named = walk.name(value, "default").map(|name| (name.into(), walk.place(value.range.clone())));
        draft.default_approvers = named;
        return;
    }
    let items = walk.list(value, "approvers");
    let people: BTreeSet<Arc<str>> =
        items.iter().filter_map(|item| walk.plain(item, "approvers")).map(Arc::from).collect();
    if people.is_empty() {
        walk.error(108, value, format!("nobody is in `{group}`"), "empty", "a list of operators' names");
    }
    draft.approvers.insert(group, people);
}

#[cfg(test)]
mod tests {
    use regreen_schemas::event::Mode;

    use super::super::tests::read;
    use crate::model::BudgetScope;

    #[test]
    fn ceilings_are_read_once() {
        let text = "apiVersion: regreen/v1
policy: lab
ceilings: {mode: approve, storm: 30%, budget: [{max: 10, per: 1d, scope: domain}]}
";
        let (draft, findings) = read(&[("p.yaml", text)]);
        assert!(findings.list.is_empty(), "{}", findings.render(false));
        let ceilings = draft.ceilings.expect("they are there");
        assert_eq!((ceilings.mode, ceilings.storm), (Mode::Approve, 30));
        assert_eq!(ceilings.budgets[0].scope, BudgetScope::Domain);
        let (_, findings) = read(&[("p.yaml", text), ("q.yaml", text)]);
        assert_eq!(findings.list.iter().map(|one| one.code).collect::<Vec<_>>(), [102]);
        for (from, to) in [("approve", "never"), ("30%", "30"), ("max: 10", "max: ten"), ("storm", "strom")] {
            let (_, findings) = read(&[("p.yaml", &text.replacen(from, to, 1))]);
            assert_eq!(findings.list.len(), 1, "{to}: {}", findings.render(false));
        }
    }
}

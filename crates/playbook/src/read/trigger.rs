//! `triggers:`: what starts a playbook.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{PlaybookName, Span, run::RunResult};

use super::{filled, matchers::matchers, schedule::schedule};
use crate::{
    keys,
    model::{Is, On, Trigger},
    tree::Node,
    walk::{Fields, Walk},
};

pub(super) fn triggers(walk: &mut Walk<'_>, node: &Node) -> (Vec<Trigger>, Vec<Node>) {
    let mut places: BTreeMap<Arc<str>, std::ops::Range<usize>> = BTreeMap::new();
    let mut out = (Vec::new(), Vec::new());
    for (at, node) in walk.list(node, "triggers").iter().enumerate() {
        let Some(trigger) = trigger(walk, node, at + 1) else { continue };
        let place = node.get("id").unwrap_or(node).range.clone();
        if let Some(first) = places.insert(trigger.id.clone(), place.clone()) {
            let message = format!("trigger `{}` is there twice", trigger.id);
            let (again, first) = (walk.place(place), walk.place(first));
            walk.findings.error(102, again, message, "again", "rename one");
            walk.findings.also(first, "first here");
            continue;
        }
        out.0.push(trigger);
        out.1.push(node.clone());
    }
    out
}

fn trigger(walk: &mut Walk<'_>, node: &Node, place: usize) -> Option<Trigger> {
    let fields = walk.fields(node, "trigger", keys::TRIGGER)?;
    // `manual:` may stand there with nothing behind it.
    let kinds: Vec<&str> =
        keys::TRIGGER_KINDS.iter().copied().filter(|kind| node.get(kind).is_some()).collect();
    let kind = match kinds.as_slice() {
        [kind] => *kind,
        [] => {
            let hint = "`alert: [alertname=\"…\"]`, `verdict: {check, is}`, `schedule: {cron}`, `manual: {}`, \
                        `run: {playbook}` or `webhook: {path, secret}`";
            walk.missing(node, "the trigger has no kind", "this trigger", hint);
            return None;
        }
        [first, second, ..] => {
            let at = node.get(second).unwrap_or(node);
            let label = format!("`{first}` and `{second}`");
            walk.error(107, at, "two kinds in a trigger", label, "make two triggers");
            return None;
        }
    };
    walk.owned(node, &keys::TRIGGER_TABLE, kind);
    let id = match fields.get("id") {
        Some(node) => walk.name(node, "id")?.into(),
        None => place.to_string().into(),
    };
    let on = on(walk, kind, fields)?;
    let target = fields.get("target").and_then(|node| super::template(walk, node, "target"));
    let inputs = fields.get("inputs").map(|node| filled(walk, node, "inputs")).unwrap_or_default();
    let hold = fields.get("for").map_or(Some(Span::ZERO), |node| walk.duration(node, "for"))?;
    Some(Trigger { id, on, target, inputs, hold })
}

fn on(walk: &mut Walk<'_>, kind: &str, fields: Fields<'_>) -> Option<On> {
    match kind {
        "alert" => {
            let words = [("firing", false), ("resolved", true)];
            let status = fields.get("status");
            let resolved = status.map_or(Some(false), |node| walk.one_of(node, "status", &words))?;
            Some(On::Alert { matchers: matchers(walk, fields.get("alert")?), resolved })
        }
        "verdict" => {
            let fields = walk.fields(fields.get("verdict")?, "verdict", keys::VERDICT)?;
            let check = walk.plain(fields.get("check")?, "check")?.into();
            let is = walk.one_of(fields.get("is")?, "is", &Is::ALL.map(|is| (is.word(), is)))?;
            Some(On::Verdict { check, is })
        }
        "schedule" => {
            let fields = walk.fields(fields.get("schedule")?, "schedule", keys::SCHEDULE)?;
            let words = [("skip", false), ("once", true)];
            let missed = fields.get("missed");
            let once = missed.map_or(Some(false), |node| walk.one_of(node, "missed", &words))?;
            schedule(walk, fields, once).map(On::Schedule)
        }
        "manual" => {
            let Some(node) = fields.get("manual") else { return Some(On::Manual { by: None }) };
            let fields = walk.fields(node, "manual", keys::MANUAL)?;
            let by = match fields.get("by") {
                Some(node) => Some(walk.name(node, "by")?.into()),
                None => None,
            };
            Some(On::Manual { by })
        }
        "run" => {
            let fields = walk.fields(fields.get("run")?, "run", keys::ON_RUN)?;
            let words = RunResult::ALL.map(|result| (result.word(), result));
            let playbook = PlaybookName::from(walk.name(fields.get("playbook")?, "playbook")?);
            let result = match fields.get("result") {
                Some(node) => Some(walk.one_of(node, "result", &words)?),
                None => None,
            };
            Some(On::Run { playbook, result })
        }
        _ => {
            let fields = walk.fields(fields.get("webhook")?, "webhook", keys::WEBHOOK)?;
            let path = walk.name(fields.get("path")?, "path")?.into();
            Some(On::Webhook { path, secret: walk.name(fields.get("secret")?, "secret")?.into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{each_is_told, good};
    use crate::model::{Is, On, Trigger};

    fn said(trigger: &Trigger) -> String {
        let on = match &trigger.on {
            On::Alert { matchers, resolved } => format!("alert {} {resolved}", matchers.len()),
            On::Verdict { check, is } => format!("verdict {check} {}", is.word()),
            On::Schedule(schedule) => format!("schedule {} {}", schedule.text, schedule.once),
            On::Manual { by } => format!("manual {by:?}"),
            On::Run { playbook, result } => format!("run {playbook} {result:?}"),
            On::Webhook { path, secret } => format!("webhook {path} {secret}"),
        };
        format!("{} {on} {} {} {}", trigger.id, trigger.target.is_some(), trigger.inputs.len(), trigger.hold)
    }

    #[test]
    fn every_kind_is_read() {
        let playbook = good(
            r#"triggers:
  - {alert: ['alertname="A"', 'node!=""'], for: 30s, target: "{{ alert.labels.node }}"}
  - {id: over, alert: ['alertname="A"'], status: resolved, inputs: {hard: "true"}}
  - {verdict: {check: es-node/*, is: not_up}, for: 1m, target: "{{ verdict.node }}"}
  - {schedule: {cron: "0 4 * * 1", zone: Europe/Berlin, missed: once}, target: a1}
  - {schedule: {cron: "0 * * * *"}}
  - manual:
  - {id: by-hand, manual: {by: sre}}
  - {run: {playbook: other, result: failed}}
  - {run: {playbook: other}}
  - {webhook: {path: deploys, secret: hook}, inputs: {version: "{{ event.data.version }}"}}"#,
        );
        let found: Vec<String> = playbook.triggers.iter().map(said).collect();
        let wanted = [
            "1 alert 2 false true 0 30s",
            "over alert 1 true false 1 0s",
            "3 verdict es-node/* not_up true 0 1m",
            "4 schedule 0 4 * * 1 Europe/Berlin true true 0 0s",
            "5 schedule 0 * * * * UTC false false 0 0s",
            "6 manual None false 0 0s",
            "by-hand manual Some(\"sre\") false 0 0s",
            "8 run other Some(Failed) false 0 0s",
            "9 run other None false 0 0s",
            "10 webhook deploys hook false 1 0s",
        ];
        assert_eq!(found, wanted);
        assert_eq!(Is::ALL.len(), 5);
    }

    #[test]
    fn each_slip_is_told() {
        each_is_told(&[
            ("triggers: [{for: 1m}]", 108, "no kind"),
            ("triggers: [{manual: {}, run: {playbook: a}}]", 107, "`manual` and `run`"),
            ("triggers: [{id: a, manual: {}}, {id: a, run: {playbook: b}}]", 102, "trigger `a`"),
            ("triggers: [{id: '2', manual: {}}, {run: {playbook: b}}]", 102, "trigger `2`"),
            ("triggers: [{id: A b, manual: {}}]", 109, "bad name `A b`"),
            ("triggers: [{manual: {}, target: a1}]", 101, "belongs to"),
            ("triggers: [{manual: yes}]", 203, "`manual` wants a map"),
            (
                "triggers: [{manual: {}, status: firing}]",
                101,
                "`status` is no key of a trigger with `manual`",
            ),
            ("triggers: [{schedule: {cron: '0 * * * *'}, for: 1m}]", 101, "belongs to `alert`, `verdict`"),
            ("triggers: [{verdict: {check: a, is: unknown}}]", 203, "`is` wants one of"),
            ("triggers: [{verdict: {check: a}}]", 108, "key `is`"),
            ("triggers: [{schedule: {cron: '0 25 * * *'}}]", 203, "`cron` wants five fields"),
            ("triggers: [{schedule: {cron: '0 0 30 2 *'}}]", 203, "never comes"),
            (
                "triggers: [{schedule: {cron: '0 * * * *', zone: Europe/Berln}}]",
                205,
                "time zone `Europe/Berln`",
            ),
            ("triggers: [{schedule: {cron: '0 * * * *', missed: twice}}]", 203, "`missed` wants one of"),
            ("triggers: [{run: {playbook: a, result: good}}]", 203, "`result` wants one of"),
            ("triggers: [{webhook: {path: a}}]", 108, "key `secret`"),
            ("triggers: [{webhook: {path: a/b, secret: c}}]", 109, "bad name `a/b`"),
        ]);
    }
}

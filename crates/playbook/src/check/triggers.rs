//! What starts a playbook: each trigger by itself, one against the others, and those that are joined by `correlate`.

use super::{
    judge::Judge,
    names::Pattern,
    scope::{self, begins, ensured, word},
};
use crate::{
    cel::{Kind, Tree},
    matcher::{Matcher, Op},
    model::{Is, On, TargetKind, Trigger},
    template::{Part, Template},
    tree::Node,
};

impl Judge<'_> {
    pub(super) fn triggers(&mut self) {
        let (playbook, places) = (self.playbook, self.places);
        for (at, (trigger, node)) in playbook.triggers.iter().zip(&places.triggers).enumerate() {
            match &trigger.on {
                On::Manual { by: Some(by) } => {
                    let manual = node.get("manual").unwrap_or(node);
                    self.known_approvers(by, manual.get("by").unwrap_or(manual));
                }
                On::Verdict { check, is } => self.verdict(check, *is, node),
                On::Run { .. } => self.follows(&trigger.on, node),
                _ => {}
            }
            self.started_on(trigger, node);
            let manual = matches!(trigger.on, On::Manual { .. });
            let inputs = node.get("inputs").unwrap_or(node);
            let scope = scope::trigger(playbook, trigger, self.set, true);
            self.inputs(&trigger.inputs, playbook, !manual, inputs, &scope);
            self.shadowed(at, trigger, node);
        }
    }

    /// The target that a trigger names.
    fn started_on(&mut self, trigger: &Trigger, node: &Node) {
        let wanted = self.playbook.target;
        match (&trigger.target, node.get("target")) {
            (Some(_), Some(at)) if wanted == TargetKind::None => {
                let hint = "`target: node`, `group` or `service`";
                self.error(203, at, "this playbook has no target", "the trigger names one", hint);
            }
            (Some(template), Some(at)) => {
                let scope = scope::trigger(self.playbook, trigger, self.set, false);
                self.target(template, wanted, at, &scope);
                if begins(self.playbook, trigger) {
                    self.of_window(template, at);
                }
            }
            (None, None) if wanted != TargetKind::None && !self.brings_target(trigger) => {
                let hint = match trigger.on {
                    On::Alert { .. } => "`target: \"{{ alert.labels.… }}\"`",
                    On::Verdict { .. } => "`target: \"{{ verdict.node }}\"`",
                    _ => "`target:` and a name of the inventory",
                };
                self.error(108, node, "key `target` is missing", "this trigger", hint);
            }
            _ => {}
        }
    }

    /// Whoever starts it by hand names the target; a run that ended has one of its own.
    fn brings_target(&self, trigger: &Trigger) -> bool {
        match &trigger.on {
            On::Manual { .. } => true,
            On::Run { playbook, .. } => {
                let other = self.book.get(playbook.as_str());
                other.is_none_or(|other| other.target == self.playbook.target)
            }
            _ => !begins(self.playbook, trigger),
        }
    }

    fn verdict(&mut self, check: &str, is: Is, node: &Node) {
        let verdict = node.get("verdict").unwrap_or(node);
        let pattern = Pattern::of_trigger(check);
        let at = self.at(verdict.get("check").unwrap_or(verdict).range.clone());
        if self.known_check(&pattern, at) {
            let at = self.at(verdict.get("is").unwrap_or(verdict).range.clone());
            self.can_be(&pattern, is, at);
        }
    }

    /// A window has one target: what names it must name the window.
    fn of_window(&mut self, target: &Template, node: &Node) {
        let Some(correlate) = &self.playbook.correlate else { return };
        for part in &target.parts {
            let Part::Path(expr, range) = part else { continue };
            let Some(label) =
                label(&expr.tree).filter(|label| !correlate.by.iter().any(|by| **by == **label))
            else {
                continue;
            };
            let at = self.at(crate::read::within(node, range));
            let found = format!("`{label}` is not in `by`");
            self.findings.error(405, at, "the target differs in the window", found, "add it to `by`");
        }
    }

    /// A trigger that another one before it makes useless.
    fn shadowed(&mut self, at: usize, trigger: &Trigger, node: &Node) {
        if self.playbook.correlate.is_some() {
            return;
        }
        let same = |before: &Trigger| {
            before.target == trigger.target
                && before.inputs == trigger.inputs
                && before.hold <= trigger.hold
                && covers(&before.on, &trigger.on)
        };
        if let Some(before) = self.playbook.triggers[..at].iter().position(same) {
            let place = self.at(node.range.clone());
            let label = format!("trigger {} takes all that this one takes", before + 1);
            self.findings.warning(406, place, "this trigger is shadowed", label, "take it out");
        }
    }

    pub(super) fn correlate(&mut self) {
        let (Some(correlate), Some(node)) = (&self.playbook.correlate, self.places.document.get("correlate"))
        else {
            return;
        };
        let triggers = &self.playbook.triggers;
        for (key, ids) in [("all", &correlate.all), ("absent", &correlate.absent)] {
            let at = node.get(key).unwrap_or(node);
            for (index, id) in ids.iter().enumerate() {
                let at = super::judge::items(Some(at)).get(index).unwrap_or(at);
                self.declared("trigger", id, triggers.iter().map(|trigger| &*trigger.id), at);
            }
        }
        let by = node.get("by").unwrap_or(node);
        for (index, label) in correlate.by.iter().enumerate() {
            self.sure_label(label, super::judge::items(Some(by)).get(index).unwrap_or(by));
        }
        let count = correlate.count.as_ref().and_then(|count| count.distinct.as_ref());
        if let Some(label) = count {
            self.sure_label(label, node.get("count").and_then(|count| count.get("distinct")).unwrap_or(node));
        }
    }

    /// A label that every trigger must bring.
    fn sure_label(&mut self, label: &str, node: &Node) {
        let triggers = &self.playbook.triggers;
        let Some(at) = triggers.iter().position(|trigger| !ensured(trigger).contains(label)) else { return };
        let on = &triggers[at].on;
        let (why, hint) = match on {
            On::Alert { .. } => (
                format!("no matcher of trigger {} ensures it", at + 1),
                format!("add `{label}!=\"\"` to its matchers"),
            ),
            _ => (
                format!("trigger {}: `{}` has no labels", at + 1, word(on)),
                "only alerts have labels".into(),
            ),
        };
        self.error(304, node, format!("label `{label}` may be missing"), why, hint);
    }
}

/// The label that a path reads.
fn label(tree: &Tree) -> Option<&String> {
    let Kind::Field(labels, label) = &tree.kind else { return None };
    let Kind::Field(alert, field) = &labels.kind else { return None };
    (field == "labels" && matches!(&alert.kind, Kind::Name(name) if name == "alert")).then_some(label)
}

/// Whether the first takes all that the second takes.
fn covers(first: &On, second: &On) -> bool {
    match (first, second) {
        (On::Alert { matchers: weak, resolved: a }, On::Alert { matchers: strong, resolved: b }) => {
            a == b && !weak.is_empty() && weak.iter().all(|weak| strong.iter().any(|it| implies(it, weak)))
        }
        (On::Verdict { check: a, is: weak }, On::Verdict { check: b, is: strong }) => {
            let within = match (Pattern::of_trigger(a), Pattern::of_trigger(b)) {
                (Pattern::Prefix(a), Pattern::Prefix(b) | Pattern::Exact(b)) => b.starts_with(&a),
                (a, b) => a == b,
            };
            within && (weak == strong || weaker(*weak, *strong))
        }
        _ => false,
    }
}

fn weaker(weak: Is, strong: Is) -> bool {
    matches!((weak, strong), (Is::NotUp, Is::Degraded | Is::Down) | (Is::NotDown, Is::Up | Is::Degraded))
}

fn implies(strong: &Matcher, weak: &Matcher) -> bool {
    let same = strong.op == weak.op && strong.value == weak.value;
    strong.label == weak.label && (same || strong.op == Op::Equal && weak.accepts(&strong.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stronger_matcher_implies_a_weaker() {
        let matcher = |text: &str| Matcher::parse(text).expect(text);
        for (strong, weak, wanted) in [
            (r#"a="x""#, r#"a="x""#, true),
            (r#"a="x""#, r#"a=~"x|y""#, true),
            (r#"a="x""#, r#"a!="""#, true),
            (r#"a=~"x|y""#, r#"a="x""#, false),
            (r#"a="x""#, r#"b="x""#, false),
        ] {
            assert_eq!(implies(&matcher(strong), &matcher(weak)), wanted, "{strong} {weak}");
        }
    }
}

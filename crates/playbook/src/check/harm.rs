//! The rules that keep a playbook from doing harm: guards, verdicts, verifies and escalations of what can destroy,
//! by itself or by what it runs; approvals that somebody hears of (language.md, sections 3 and 7).

use std::collections::BTreeSet;

use super::{guards::Guards, judge::Judge, names::asked};
use crate::{
    cel::Scope,
    diagnostic::Place,
    inventory::Group,
    model::{MinHealthy, Needed, On, StepKind, TargetKind},
};

impl Judge<'_> {
    pub(super) fn harm(&mut self) {
        self.in_parallel();
        self.enough_nodes();
        self.gone_back();
        if !self.starts() {
            return;
        }
        let reach = self.reach;
        if let Some(step) = &reach.destroys {
            let at = self.step_place(step, "use");
            self.guarded(reach.lacks, at);
            self.checked();
            self.second_opinion();
            self.resolved();
            // Callers of one playbook are told once of what it reads.
            let told =
                |at: &Place| self.findings.list.iter().any(|found| found.code == 512 && found.at == *at);
            if let Some((check, at)) = reach.narrow.as_ref().filter(|(_, at)| !told(at)) {
                let message = "one vantage decides over destruction";
                let label = format!("`{check}` has a single vantage");
                let hint = "write `quorum: 1` under `guard:` if you mean it";
                self.findings.error(512, at.clone(), message, label, hint);
            }
        }
        let asks_back = self.playbook.failback.as_ref().is_some_and(|failback| failback.approval.is_some());
        if (reach.asks || asks_back) && self.playbook.notify.is_empty() {
            let at = self.at(self.places.name.clone());
            let hint = "`notify: [receiver]`; else only `regreen approvals list` knows";
            self.findings.warning(514, at, "it asks, and nobody hears of it", "no `notify`", hint);
        }
        let ends = |on: &On| matches!(on, On::Alert { .. } | On::Verdict { .. });
        if let Some(step) = &reach.irreversible
            && self.playbook.triggers.iter().any(|trigger| ends(&trigger.on))
        {
            let at = self.step_place(step, "use");
            let (message, hint) = ("a resolved alert ends what can't be undone", "`on_resolved: continue`");
            self.findings.warning(604, at, message, "`on_resolved: cancel`", hint);
        }
    }

    fn guarded(&mut self, lacks: Guards, at: Place) {
        let missing: Vec<String> = lacks.keys().into_iter().map(|key| format!("`{key}`")).collect();
        if !missing.is_empty() {
            let label = format!("no {}", missing.join(", no "));
            let hint = format!("under `guard:` add {}", missing.join(", "));
            self.findings.error(501, at, "destructive, unguarded", label, hint);
        }
    }

    /// The repair is looked at, and its failure told. What is there but wrong has its own finding.
    fn checked(&mut self) {
        let missing = |key: &str| self.places.document.get(key).is_none();
        let at = self.at(self.places.name.clone());
        if self.playbook.verify.is_empty() && missing("verify") {
            let hint = "add `verify: [{check: …, within: …}]`";
            self.findings.error(502, at.clone(), "nothing checks the repair", "no closing `verify`", hint);
        }
        if self.playbook.escalate.is_empty() && missing("escalate") {
            let hint = "add `escalate: [{to: …}]`";
            self.findings.error(510, at, "it fails unseen", "no `escalate`", hint);
        }
    }

    /// Who says that something is wrong must not be the only one.
    fn second_opinion(&mut self) {
        let asks = self
            .playbook
            .when
            .as_ref()
            .is_some_and(|when| asked(&when.tree).iter().any(|asked| asked.function != "known"));
        let unreadable = self.playbook.when.is_none() && self.places.document.get("when").is_some();
        if asks || unreadable {
            return;
        }
        let (playbook, places) = (self.playbook, self.places);
        let found = playbook.triggers.iter().zip(&places.triggers).find_map(|(trigger, node)| {
            let (key, word) = match trigger.on {
                On::Alert { .. } => ("alert", "an alert"),
                On::Webhook { .. } => ("webhook", "a posted event"),
                On::Schedule(_) => ("schedule", "a schedule"),
                On::Verdict { .. } | On::Manual { .. } | On::Run { .. } => return None,
            };
            Some((word, node.get(key).unwrap_or(node)))
        });
        if let Some((word, node)) = found {
            let hint = "add `when: down(\"…\")`: a second pair of eyes";
            self.error(503, node, format!("{word} alone destroys"), "no verdict asked", hint);
        }
    }

    fn resolved(&mut self) {
        let (playbook, places) = (self.playbook, self.places);
        for (trigger, node) in playbook.triggers.iter().zip(&places.triggers) {
            if matches!(trigger.on, On::Alert { resolved: true, .. }) {
                let at = node.get("status").unwrap_or(node);
                self.error(404, at, "destructive on resolved", "hits the healthy", "start on firing");
            }
        }
    }

    fn in_parallel(&mut self) {
        let mut told = BTreeSet::new();
        for step in self.playbook.all_steps() {
            let StepKind::Parallel(parallel) = &step.kind else { continue };
            for inner in crate::model::all_of(&parallel.steps) {
                if self.book.destroys(inner) && told.insert(inner.id.clone()) {
                    let at = self.step_place(&inner.id, "use");
                    let hint = "`for_each`, or one after the other";
                    self.findings.error(504, at, "destructive in `parallel`", "all at once", hint);
                }
            }
        }
    }

    /// What goes back is a run of its own: nobody's guards but its own hold.
    fn gone_back(&mut self) {
        let Some(failback) = &self.playbook.failback else { return };
        let name = failback.run.as_str();
        let (Some(callee), Some(reach)) = (self.book.get(name), self.book.reach(name)) else { return };
        if reach.destroys.is_none() {
            return;
        }
        let mut lacks = reach.lacks;
        lacks.min_healthy &= failback.approval.is_none();
        let closing = !callee.verify.is_empty();
        let at = self.place_of("failback");
        let node = self.places.document.get("failback").and_then(|node| node.get("run"));
        let at = node.map_or(at, |node| self.at(node.range.clone()));
        self.guarded(lacks, at.clone());
        if !closing {
            let hint = format!("add `verify:` to `{name}`");
            self.findings.error(502, at, "nothing checks the way back", "no closing `verify`", hint);
        }
    }
}

/// Guards that can't hold.
impl Judge<'_> {
    pub(super) fn guard(&mut self, scope: &Scope) {
        let Some(node) = self.places.document.get("guard") else { return };
        if let (Some(asked), Some(node)) = (&self.playbook.guard.approval, node.get("approval")) {
            self.known_approvers(&asked.by, node.get("by").unwrap_or(node));
        }
        let wanted = self.playbook.guard.min_healthy.as_ref().and_then(|wanted| wanted.group.as_ref());
        let at = node.get("min_healthy").and_then(|node| node.get("group"));
        if let (Some(template), Some(at)) = (wanted, at) {
            self.target(template, TargetKind::Group, at, scope);
        }
    }

    fn enough_nodes(&mut self) {
        let Some(wanted) = &self.playbook.guard.min_healthy else { return };
        let node = self.places.document.get("guard").and_then(|guard| guard.get("min_healthy"));
        let at = node.map_or_else(|| self.place_of("guard"), |node| self.at(node.range.clone()));
        let by_target = matches!(self.playbook.target, TargetKind::Node | TargetKind::Group);
        if wanted.group.is_none() && !by_target {
            let message = "`min_healthy` never holds: of which group?";
            let hint = "add `group:`, as `\"{{ target.standby }}\"`";
            self.findings.error(505, at, message, "the target is in no group", hint);
            return;
        }
        let Some((needed, others, all)) = self.too_few(wanted) else { return };
        let label = format!("{needed} others of {all}, and there are {others}");
        let hint = match (others, wanted.needed) {
            (0, _) => "add nodes, or ask people: `approval`".to_owned(),
            (_, Needed::AtLeast(_)) => format!("`at_least: {others}`"),
            (_, Needed::Percent(_)) => format!("`percent: {}`", others * 100 / all.max(1)),
        };
        self.findings.error(505, at, "`min_healthy` never holds", label, hint);
    }

    /// What is needed, what there is at most and the whole group, where no group has enough.
    fn too_few(&self, wanted: &MinHealthy) -> Option<(usize, usize, usize)> {
        let all = &self.set.inventory.groups;
        let named = wanted.group.as_ref().map(|group| group.constant());
        let groups: Vec<&Group> = match named {
            Some(Some(name)) => all.get(name).into_iter().collect(),
            // A side of the service, or whatever the path names.
            Some(None) | None => all.values().collect(),
        };
        // The target itself is no other, where it is surely in that group.
        let own = usize::from(self.playbook.target == TargetKind::Node && wanted.group.is_none());
        let count = |group: &&Group| {
            let all = group.nodes.len();
            let needed = match wanted.needed {
                Needed::AtLeast(needed) => usize::try_from(needed).unwrap_or(usize::MAX),
                Needed::Percent(percent) => (all * usize::try_from(percent).unwrap_or(100)).div_ceil(100),
            };
            (needed, all.saturating_sub(own), all)
        };
        // Nodes that are found at the provider are not known yet.
        if groups.is_empty() || groups.iter().any(|group| group.nodes.is_empty() || group.discover.is_some())
        {
            return None;
        }
        let counts: Vec<_> = groups.iter().map(count).collect();
        if counts.iter().any(|(needed, others, _)| others >= needed) {
            return None;
        }
        counts.into_iter().max_by_key(|(_, others, _)| *others)
    }
}

//! The rules that keep a playbook from doing harm: guards, verdicts, verifies and escalations of what can destroy,
//! approvals that somebody hears of, times that fit (language.md, sections 3 and 7).

use regreen_schemas::{Span, check::Status, view};

use crate::{
    check::Judge,
    diagnostic::Place,
    model::{Needed, On, StepKind, TargetKind, Verify},
    tree::{Kind, Node},
};

impl Judge<'_> {
    pub(crate) fn destructive(&mut self) {
        let playbook = self.playbook;
        let name = Node { range: self.places.name.clone(), kind: Kind::List(Vec::new()) };
        let guard = &playbook.guard;
        // What is there but wrong has its own finding.
        let written =
            |key: &str| self.places.document.get("guard").is_some_and(|guard| guard.get(key).is_some());
        let asks_first = guard.approval.is_some();
        let missing: Vec<String> = ["cooldown", "budget", "min_healthy"]
            .into_iter()
            .filter(|key| !(written(key) || *key == "min_healthy" && asks_first))
            .map(|key| format!("`{key}`"))
            .collect();
        if !missing.is_empty() {
            let label = format!("no {}", missing.join(", no "));
            self.error(
                501,
                &name,
                "destructive, unguarded",
                label,
                format!("under `guard:` add {}", missing.join(", ")),
            );
        }
        if playbook.verify.is_empty() {
            self.error(
                502,
                &name,
                "nothing checks the repair",
                "no closing `verify`",
                "add `verify: [{check: …, within: …}]`",
            );
        }
        let by_alert = playbook.triggers.iter().any(|trigger| matches!(trigger.on, On::Alert { .. }));
        let asks = playbook
            .when
            .as_ref()
            .is_some_and(|when| ["down(", "up(", "degraded("].iter().any(|call| when.text.contains(call)));
        let unreadable = playbook.when.is_none() && self.places.document.get("when").is_some();
        if by_alert && !asks && !unreadable {
            self.error(
                503,
                &name,
                "an alert alone destroys",
                "no verdict asked",
                "add `when: down(\"…\")`: a second pair of eyes",
            );
        }
        if playbook.escalate.is_empty() {
            self.error(510, &name, "it fails unseen", "no `escalate`", "add `escalate: [{to: …}]`");
        }
        if guard.quorum.is_none() && self.set.checks.values().any(|check| check.vantages.len() == 1) && asks {
            self.error(
                512,
                &name,
                "one vantage decides over destruction",
                "a check has a single vantage",
                "write `quorum: 1` under `guard:` if you mean it",
            );
        }
        self.enough_nodes(&name);
    }

    pub(crate) fn enough_nodes(&mut self, name: &Node) {
        let Some(Needed::AtLeast(needed)) =
            self.playbook.guard.min_healthy.as_ref().map(|wanted| wanted.needed)
        else {
            return;
        };
        let largest = self.set.inventory.groups.values().map(|group| group.nodes.len()).max().unwrap_or(0);
        let others = u32::try_from(largest)
            .unwrap_or(u32::MAX)
            .saturating_sub(u32::from(self.playbook.target == TargetKind::Node));
        if others < needed {
            let at = self.places.document.get("guard").unwrap_or(name).clone();
            self.error(
                505,
                &at,
                "`min_healthy` never holds",
                format!("{needed} others are needed, the largest group has {others}"),
                format!("`at_least: {others}`"),
            );
        }
    }

    pub(crate) fn durations(&mut self) {
        let mut total = self.playbook.guard.approval.as_ref().map_or(Span::ZERO, |asked| asked.within);
        for step in &self.playbook.steps {
            total = total
                + match &step.kind {
                    StepKind::Use(action) => {
                        Span(action.timeout.0.saturating_mul(i64::from(action.attempts)))
                    }
                    StepKind::Verify(verify) => verify.within,
                    StepKind::Approve(approve) => approve.asked.within,
                    StepKind::Wait(span) => *span,
                    _ => Span::ZERO,
                };
        }
        let name = self.at(self.places.name.clone());
        if total > self.playbook.deadline {
            let label = format!("{total} > {}", self.playbook.deadline);
            self.findings.warning(
                603,
                name.clone(),
                "steps may outlast the deadline",
                label,
                "raise `deadline`, or lower timeouts",
            );
        }
        if matches!(self.playbook.steps.last().map(|step| &step.kind), Some(StepKind::Wait(_)))
            && self.playbook.verify.is_empty()
        {
            self.findings.warning(
                602,
                name,
                "a wait proves nothing",
                "it ends with `wait`",
                "`verify` a check",
            );
        }
    }

    pub(crate) fn approval(&mut self) {
        let name = Node { range: self.places.name.clone(), kind: Kind::List(Vec::new()) };
        let steps = self.playbook.steps.iter();
        let asks = self.playbook.guard.approval.is_some()
            || steps.clone().any(|step| matches!(step.kind, StepKind::Approve(_)));
        if asks && self.playbook.notify.is_empty() {
            let (at, hint) = (
                self.at(name.range.clone()),
                "`notify: [receiver]`; else only `regreen approvals list` knows",
            );
            self.findings.warning(514, at, "it asks, and nobody hears of it", "no `notify`", hint);
        }
        let Some(approval) = &self.playbook.guard.approval else { return };
        let written = self.places.document.get("guard").and_then(|guard| guard.get("approval")).cloned();
        self.known_approvers(&approval.by, &written.unwrap_or(name));
    }

    /// A verify counts looks; of joined checks only `all` that is up says something about each look.
    pub(crate) fn watchable(&mut self, verify: &Verify, name: &str, at: Place) {
        let Some(view::Kind::Of { join, .. }) = self.set.checks.get(name).map(|check| &check.kind) else {
            return;
        };
        if *join != view::Join::All || verify.is != Status::Up {
            let hint = "verify the checks that it joins, or an `all` that is up";
            let message = format!("`{name}` is joined from others: it has no looks of its own");
            self.findings.error(605, at, message, "a verify counts looks", hint);
        }
    }
}

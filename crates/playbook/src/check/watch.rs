//! What is watched: verdicts that are asked for and verifies, of checks that are there and can be so.

use std::sync::Arc;

use regreen_schemas::{check::Status, view};

use super::{
    judge::Judge,
    names::{Pattern, asked, can_be, groups},
};
use crate::{
    cel::{Expr, Scope},
    diagnostic::Place,
    model::{Is, TargetKind, Verify},
    read::within,
    template::{Part, Template},
    tree::Node,
    value::Type,
};

impl Judge<'_> {
    /// The verdicts that an expression asks for, and the groups that it names.
    pub(super) fn asked(&mut self, expr: &Expr, node: &Node) {
        for (group, range) in groups(&expr.tree) {
            self.known_object(TargetKind::Group, group, self.at(within(node, &range)));
        }
        for asked in asked(&expr.tree) {
            let at = self.at(within(node, &asked.range));
            let wanted = match asked.function {
                "degraded" => Some(Is::Degraded),
                "down" => Some(Is::Down),
                _ => None,
            };
            if self.known_check(&asked.pattern, at.clone())
                && let Some(wanted) = wanted
            {
                self.can_be(&asked.pattern, wanted, at);
            }
        }
    }

    /// Warns when no check of that name can ever have that status.
    pub(super) fn can_be(&mut self, pattern: &Pattern, is: Is, at: Place) {
        let set = self.set;
        let wanted =
            [Status::Up, Status::Degraded, Status::Down].into_iter().filter(|status| is.holds(*status));
        let wanted: Vec<Status> = wanted.collect();
        let never = |check: &view::Check| !wanted.iter().any(|status| can_be(check, *status, set, 0));
        let mut checks = pattern.matching(set).peekable();
        let Some(first) = checks.peek().map(|check| check.name.clone()) else { return };
        if checks.all(never) {
            let message = format!("`{first}` can never be {}", is.word());
            let hint = match is {
                Is::Degraded => "give the check a `degraded:` bound",
                _ => "ask for what it can be",
            };
            self.findings.warning(607, at, message, "never so", hint);
        }
    }

    pub(super) fn verify(&mut self, verify: &Verify, node: &Node, scope: &Scope) {
        let at = node.get("check").unwrap_or(node);
        let found = self.template(&verify.check, at, scope);
        if let Some(found) = found.filter(|found| *found != Type::Str) {
            let message = "`check` wants a check's name";
            self.error(305, at, message, format!("this is {found}"), "as `web/{{ target.name }}`");
            return;
        }
        let pattern = Pattern::of_template(&verify.check);
        let place = self.at(at.range.clone());
        if !self.known_check(&pattern, place.clone()) || !self.members(&verify.check, place.clone()) {
            return;
        }
        if !self.watchable(verify, &pattern, &place) {
            return;
        }
        let is = match verify.is {
            Status::Degraded => Is::Degraded,
            Status::Down => Is::Down,
            _ => return,
        };
        let place = self.at(node.get("is").unwrap_or(at).range.clone());
        self.can_be(&pattern, is, place);
    }

    /// A verify counts looks; of joined checks only `all` that is up says something about each look.
    fn watchable(&mut self, verify: &Verify, pattern: &Pattern, at: &Place) -> bool {
        let blind = |check: &view::Check| match &check.kind {
            view::Kind::Of { join, .. } => *join != view::Join::All || verify.is != Status::Up,
            _ => false,
        };
        let mut checks = pattern.matching(self.set).peekable();
        let Some(first) = checks.peek().map(|check| check.name.clone()) else { return true };
        if !checks.all(blind) {
            return true;
        }
        let hint = "verify the checks that it joins, or an `all` that is up";
        let message = format!("`{first}` is joined from others: it has no looks of its own");
        self.findings.error(605, at.clone(), message, "a verify counts looks", hint);
        false
    }

    /// `web/{{ target.name }}`: of all that the target may be, some must have such a check.
    fn members(&mut self, check: &Template, at: Place) -> bool {
        let [Part::Text(prefix), Part::Path(path, _)] = check.parts.as_slice() else { return true };
        let kind = match (self.playbook.target, path.text.trim_end_matches(".name")) {
            (kind, "target") => kind,
            (TargetKind::Node, "target.group")
            | (TargetKind::Service, "target.active" | "target.standby" | "target.preferred") => {
                TargetKind::Group
            }
            _ => return true,
        };
        let inventory = &self.set.inventory;
        let mut names: Box<dyn Iterator<Item = &Arc<str>>> = match kind {
            TargetKind::Node => Box::new(inventory.groups.values().flat_map(|group| group.nodes.keys())),
            TargetKind::Group => Box::new(inventory.groups.keys()),
            TargetKind::Service => Box::new(inventory.services.keys()),
            TargetKind::None => return true,
        };
        let there = |name: &Arc<str>| self.set.checks.contains_key(format!("{prefix}{name}").as_str());
        // Nodes that are found at the provider are not known yet.
        let unknown = inventory.groups.values().any(|group| group.discover.is_some());
        if kind == TargetKind::Node && unknown || names.any(there) {
            return true;
        }
        let message = format!("`{prefix}…` is no check of a {}", kind.word());
        let hint = format!("`each: {}` makes one for each", kind.word());
        self.findings.error(205, at, message, format!("no {} has one", kind.word()), hint);
        false
    }
}

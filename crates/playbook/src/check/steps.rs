//! Steps, however deep: what each sees, and what it gives to those after it.

use super::{
    judge::{Judge, items, record},
    outside::outside,
    scope,
};
use crate::{
    cel::{self, Expr, Gives, Scope, constant},
    model::{Approve, Branch, ForEach, OnFailure, Step, StepKind, Undo, Use},
    tree::Node,
    value::Type,
};

impl Judge<'_> {
    /// Steps that are done one after the other; afterwards all of them are visible.
    pub(super) fn steps(&mut self, list: &[Step], scope: &mut Scope) {
        list.iter().for_each(|step| self.step(step, scope));
    }

    fn step(&mut self, step: &Step, scope: &mut Scope) {
        let Some(node) = self.places.steps.get(&step.id) else {
            scope.steps.push(scope::seen(&step.id, Gives::Unclear, true));
            return;
        };
        let (visible, known) = (scope.steps.len(), scope.facts.len());
        if let (Some(condition), Some(at)) = (&step.condition, node.get("if")) {
            self.condition(condition, at, scope);
            self.reachable(condition, at);
            scope.facts.extend(cel::facts(&condition.tree, true));
        }
        let gives = self.kind(step, node, scope);
        let sure = step.condition.is_none() && matches!(step.on_failure, OnFailure::Stop | OnFailure::Undo);
        if let OnFailure::Steps(handlers) = &step.on_failure {
            // The failed step is visible to them; what is within it may have been done or not.
            scope::forget(&mut scope.steps, visible);
            scope.steps.push(scope::seen(&step.id, gives.clone(), false));
            self.steps(handlers, scope);
            scope.steps.retain(|seen| seen.id != step.id);
        }
        scope.facts.truncate(known);
        if !sure {
            scope::forget(&mut scope.steps, visible);
        }
        scope.steps.push(scope::seen(&step.id, gives, sure));
    }

    /// What a step does; steps within it are visible afterwards, where there is one of each.
    fn kind(&mut self, step: &Step, node: &Node, scope: &mut Scope) -> Gives {
        match &step.kind {
            StepKind::Use(action) => self.uses(step, action, node, scope),
            StepKind::Verify(verify) => {
                if let Some(node) = node.get("verify") {
                    self.verify(verify, node, scope);
                }
                Gives::Nothing
            }
            StepKind::Run(call) => self.call(call, node, scope),
            StepKind::Parallel(parallel) => {
                self.parallel(&parallel.steps, scope);
                Gives::Nothing
            }
            StepKind::ForEach(each) => {
                self.for_each(each, node, scope);
                Gives::Nothing
            }
            StepKind::Choose(branches) => {
                self.choose(branches, node, scope);
                Gives::Nothing
            }
            StepKind::Approve(approve) => {
                self.approve(approve, node, scope);
                Gives::Nothing
            }
            StepKind::Set(values) => {
                let at = node.get("set").unwrap_or(node);
                let found: Option<Vec<_>> = values
                    .iter()
                    .map(|(name, value)| {
                        let found = self.expression(value, at.get(name).unwrap_or(at), scope);
                        found.map(|found| (name.clone(), found))
                    })
                    // All of them are judged before one of them hides the type.
                    .collect::<Vec<_>>()
                    .into_iter()
                    .collect();
                found.map_or(Gives::Unclear, |fields| Gives::Result(record(fields)))
            }
            StepKind::Wait(_) => Gives::Nothing,
        }
    }

    fn uses(&mut self, step: &Step, action: &Use, node: &Node, scope: &mut Scope) -> Gives {
        self.parameters(action, node, scope);
        let gives = Gives::Result(match &action.action.result {
            Some(fields) => Type::Record(fields.clone().into()),
            None => Type::Json,
        });
        if let Undo::Steps(undo) = &action.undo {
            // Undone is what went well, and nobody after it sees how.
            let visible = scope.steps.len();
            scope.steps.push(scope::seen(&step.id, gives.clone(), true));
            self.steps(undo, scope);
            scope.steps.truncate(visible);
        }
        gives
    }

    /// At once: none sees another, and all are visible afterwards.
    fn parallel(&mut self, steps: &[Step], scope: &mut Scope) {
        let visible = scope.steps.len();
        let mut after = Vec::new();
        for step in steps {
            self.step(step, scope);
            after.extend(scope.steps.drain(visible..));
        }
        scope.steps.extend(after);
    }

    fn for_each(&mut self, each: &ForEach, node: &Node, scope: &mut Scope) {
        let at = node.get("for_each").unwrap_or(node);
        let item = match self.expression(&each.list, at, scope) {
            Some(Type::List(item)) => Some(*item),
            Some(found) => {
                let label = format!("this is {found}");
                self.error(305, at, "`for_each` wants a list", label, "as `group(\"web\").nodes`");
                None
            }
            None => None,
        };
        let name = each.name.to_string();
        let before = (scope.roots.len(), scope.outside.len(), scope.unclear.len(), scope.steps.len());
        if outside(&each.list.tree, self.playbook, scope).is_some() {
            scope.outside.push(name.clone());
        }
        match item {
            Some(item) => scope.roots.push((name, item)),
            None => scope.unclear.push(name),
        }
        self.steps(&each.steps, scope);
        scope.roots.truncate(before.0);
        scope.outside.truncate(before.1);
        scope.unclear.truncate(before.2);
        scope.steps.truncate(before.3);
    }

    fn choose(&mut self, branches: &[Branch], node: &Node, scope: &mut Scope) {
        let nodes = items(node.get("choose"));
        let (visible, known) = (scope.steps.len(), scope.facts.len());
        let mut after = Vec::new();
        let mut taken = false;
        for (at, branch) in branches.iter().enumerate() {
            let place = nodes.get(at).unwrap_or(node);
            if taken {
                let place = self.at(place.range.clone());
                let hint = "take it out, or correct the `if`";
                self.findings.warning(606, place, "this branch is never taken", "one before is always", hint);
                taken = false;
            }
            let before = scope.facts.len();
            if let Some(condition) = &branch.condition {
                let place = place.get("if").unwrap_or(place);
                self.condition(condition, place, scope);
                self.reachable(condition, place);
                taken |= constant(&condition.tree) == Some(true);
                scope.facts.extend(cel::facts(&condition.tree, true));
            }
            self.steps(&branch.steps, scope);
            after.extend(scope.steps.drain(visible..));
            scope.facts.truncate(before);
            // The next branch is only looked at when this one was not taken.
            scope
                .facts
                .extend(branch.condition.iter().flat_map(|condition| cel::facts(&condition.tree, false)));
        }
        scope.facts.truncate(known);
        scope::forget(&mut after, 0);
        scope.steps.extend(after);
    }

    fn approve(&mut self, approve: &Approve, node: &Node, scope: &Scope) {
        let at = node.get("approve").unwrap_or(node);
        self.known_approvers(&approve.asked.by, at.get("by").unwrap_or(at));
        if let (Some(text), Some(at)) = (&approve.text, at.get("text")) {
            self.lenient(text, at, scope);
        }
    }

    fn reachable(&mut self, condition: &Expr, node: &Node) {
        if constant(&condition.tree) == Some(false) {
            let at = self.at(node.range.clone());
            self.findings.warning(606, at, "this is never done", "always false", "take it out");
        }
    }
}

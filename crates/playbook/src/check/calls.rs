//! Playbooks that run, follow or measure others: they must be there, and what they are given must fit.

use std::sync::Arc;

use super::judge::Judge;
use crate::{
    cel::{Gives, Scope},
    model::{Call, Input, LockScope, On, Playbook, StepKind, TargetKind},
    template::Template,
    tree::Node,
    value::{Type, Value},
};

/// How wide a playbook's lock is, in words of `lock.scope`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Nothing,
    Node,
    Group,
    Service,
    Domain,
}

impl Width {
    fn of(playbook: &Playbook) -> Self {
        let target = match playbook.target {
            TargetKind::None => Self::Nothing,
            TargetKind::Node => Self::Node,
            TargetKind::Group => Self::Group,
            TargetKind::Service => Self::Service,
        };
        target.max(match playbook.guard.scope {
            LockScope::Target => Self::Nothing,
            LockScope::Group => Self::Group,
            LockScope::Service => Self::Service,
            LockScope::Domain => Self::Domain,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Node => "a node",
            Self::Group => "a group",
            Self::Service => "a service",
            Self::Domain => "the domain",
        }
    }
}

impl Judge<'_> {
    /// A step that runs another playbook.
    pub(super) fn call(&mut self, call: &Call, node: &Node, scope: &Scope) -> Gives {
        let at = node.get("run").unwrap_or(node);
        let inputs = node.get("inputs").unwrap_or(at);
        let Some(callee) = self.known_playbook(call.playbook.as_str(), at) else {
            let templates = call.target.iter().map(|template| ("target", template, node));
            let given = call.inputs.iter().map(|(name, template)| (&**name, template, inputs));
            for (name, template, map) in templates.chain(given) {
                self.template(template, map.get(name).unwrap_or(map), scope);
            }
            return Gives::Unclear;
        };
        self.call_target(call, callee, node, scope);
        self.inputs(&call.inputs, callee, true, inputs, scope);
        let (own, wide) = (Width::of(self.playbook), Width::of(callee));
        if wide > own {
            let label = format!("it locks {}, this playbook {}", wide.word(), own.word());
            let hint = "widen `lock.scope` under `guard:` here";
            self.error(511, at, "a sub-run's lock is wider than its caller's", label, hint);
        }
        let index = self.book.index(call.playbook.as_str());
        index.and_then(|index| self.outputs.get(index)).cloned().unwrap_or(Gives::Unclear)
    }

    fn call_target(&mut self, call: &Call, callee: &Playbook, node: &Node, scope: &Scope) {
        let at = node.get("run").unwrap_or(node);
        let (own, wanted) = (self.playbook.target, callee.target);
        match (&call.target, node.get("target")) {
            (Some(template), Some(at)) if wanted == TargetKind::None => {
                self.template(template, at, scope);
                let message = format!("`{}` has no target", callee.name);
                self.error(203, at, message, "one is given", "leave it out");
            }
            (Some(template), Some(at)) => self.target(template, wanted, at, scope),
            (None, None) if wanted != TargetKind::None && wanted != own => {
                let (message, hint) = match own {
                    TargetKind::None => (
                        "key `target` is missing".to_owned(),
                        "this playbook has no target to pass on".to_owned(),
                    ),
                    _ => (
                        format!("a {} where a {} is wanted", own.word(), wanted.word()),
                        match (own, wanted) {
                            (TargetKind::Node, TargetKind::Group) => {
                                "`target: \"{{ target.group }}\"`".to_owned()
                            }
                            _ => format!("give it a `target`: a {}", wanted.word()),
                        },
                    ),
                };
                let label = format!("`{}` wants a {}", callee.name, wanted.word());
                self.error(if own == TargetKind::None { 108 } else { 204 }, at, message, label, hint);
            }
            _ => {}
        }
    }

    /// A template that names a target, or is one.
    pub(super) fn target(&mut self, template: &Template, kind: TargetKind, node: &Node, scope: &Scope) {
        let found = self.template(template, node, scope);
        if let Some(name) = template.constant() {
            self.known_object(kind, name, self.at(node.range.clone()));
            return;
        }
        let fits = |found: &Type| matches!(found, Type::Str) || *found == Type::Object(kind.word());
        if let Some(found) = found.filter(|found| !fits(found)) {
            let message = format!("{found} where a {} is wanted", kind.word());
            let hint = format!("a {}, or the name of one", kind.word());
            self.error(204, node, message, format!("this is {found}"), hint);
        }
    }

    /// Inputs against what is declared; `whole`: what has no default must be there.
    pub(super) fn inputs(
        &mut self,
        given: &[(Arc<str>, Template)],
        callee: &Playbook,
        whole: bool,
        node: &Node,
        scope: &Scope,
    ) {
        for (name, template) in given {
            let at = node.get(name).unwrap_or(node);
            let found = self.template(template, at, scope);
            let declared = callee.inputs.keys().map(AsRef::as_ref);
            if self.declared("input", name, declared, at)
                && let Some(input) = callee.inputs.get(name)
            {
                self.input(name, input, template, found.as_ref(), at);
            }
        }
        let missing = callee.inputs.iter().find(|(name, input)| {
            whole && input.default.is_none() && !given.iter().any(|(given, _)| given == *name)
        });
        if let Some((name, input)) = missing {
            let label = format!("`{}` needs it", callee.name);
            let hint = format!("`inputs: {{{name}: …}}`, {}, or give it a `default`", input.kind);
            self.error(108, node, format!("input `{name}` is missing"), label, hint);
        }
    }

    fn input(&mut self, name: &str, input: &Input, template: &Template, found: Option<&Type>, at: &Node) {
        if let Some(text) = template.constant() {
            if let Type::Object(kind) = &input.kind {
                let kinds = [TargetKind::Node, TargetKind::Group, TargetKind::Service];
                if let Some(kind) = kinds.into_iter().find(|known| known.word() == *kind) {
                    self.known_object(kind, text, self.at(at.range.clone()));
                }
                return;
            }
            let value = input.read(&text.into());
            let allowed = |value: &Value| input.one_of.is_empty() || input.one_of.contains(value);
            if !value.as_ref().is_some_and(allowed) {
                let words: Vec<String> = input.one_of.iter().map(ToString::to_string).collect();
                let wanted = if words.is_empty() { input.kind.to_string() } else { words.join(", ") };
                let message = format!("input `{name}` can't be `{text}`");
                self.error(203, at, message, "not one of its values", format!("it takes {wanted}"));
            }
            return;
        }
        let Some(found) = found else { return };
        let named = matches!(input.kind, Type::Object(_)) && *found == Type::Str;
        if *found != input.kind && *found != Type::Json && !named {
            let message = format!("input `{name}` wants {}", input.kind);
            self.error(305, at, message, format!("this is {found}"), "");
        }
    }

    pub(super) fn failback(&mut self, start: &Scope) {
        let (Some(failback), Some(node)) = (&self.playbook.failback, self.places.document.get("failback"))
        else {
            return;
        };
        let at = node.get("run").unwrap_or(node);
        if let Some(callee) = self.known_playbook(failback.run.as_str(), at) {
            let (own, wanted) = (self.playbook.target, callee.target);
            if wanted != TargetKind::None && wanted != own {
                let label = format!("`{}` wants a {}", callee.name, wanted.word());
                let message = format!("a {} where a {} is wanted", own.word(), wanted.word());
                self.error(204, at, message, label, "it runs for the same target");
            }
            self.inputs(&[], callee, true, at, start);
        }
        if let Some(when) = node.get("when") {
            self.condition(&failback.when, when, start);
        }
        if let Some(asked) = &failback.approval {
            let approval = node.get("approval").unwrap_or(node);
            self.known_approvers(&asked.by, approval.get("by").unwrap_or(approval));
        }
    }

    /// A drill breaks something, and nothing else does.
    pub(super) fn drill(&mut self) {
        let faults: Vec<_> = self
            .playbook
            .all_steps()
            .into_iter()
            .filter_map(|step| match &step.kind {
                StepKind::Use(action) if action.action.provider() == "fault" => Some(&step.id),
                _ => None,
            })
            .collect();
        let Some(node) = self.places.document.get("drill") else {
            for step in faults {
                let at = self.step_place(step, "use");
                let hint = "`drill: {of: …}`, and never a playbook that repairs";
                self.findings.error(515, at, "only a drill breaks things", "no `drill` here", hint);
            }
            return;
        };
        let Some(drill) = &self.playbook.drill else { return };
        self.known_playbook(drill.of.as_str(), node.get("of").unwrap_or(node));
        if let Some(canary) = &drill.canary {
            let at = self.at(node.get("canary").unwrap_or(node).range.clone());
            self.known_check(&super::names::Pattern::Exact(canary.to_string()), at);
        }
        if faults.is_empty() {
            let at = self.at(node.get("of").unwrap_or(node).range.clone());
            let hint = "a step with `use: fault.…`";
            self.findings.warning(517, at, "this drill breaks nothing", "no `fault.*` step", hint);
        }
    }

    /// A playbook that follows another's runs.
    pub(super) fn follows(&mut self, on: &On, node: &Node) {
        let On::Run { playbook, .. } = on else { return };
        let at = node.get("run").and_then(|run| run.get("playbook")).unwrap_or(node);
        if *playbook == self.playbook.name {
            let hint = "start it by what went wrong";
            self.error(206, at, "this playbook follows itself", "without end", hint);
            return;
        }
        self.known_playbook(playbook.as_str(), at);
    }
}

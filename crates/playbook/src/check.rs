//! What only all files together can tell: names that must exist, types at their places, and the rules that keep a
//! playbook from doing harm (language.md, sections 3 and 7).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::CheckName;

use crate::{
    cel::{self, Expr, Scope, check::Problem},
    diagnostic::{Findings, Place, nearest},
    expand,
    inventory::Inventory,
    model::{Arg, DEFAULT_APPROVERS, On, OnFailure, Playbook, StepKind, Subject, TargetKind, Verify},
    read::{Draft, Places, within},
    set::Set,
    template::{Part, Template},
    tree::Node,
    value::{Type, Value},
};

/// Most entries of `escalate`.
const ESCALATE_MAX: usize = 16;

fn unknown_receiver(name: &str, set: &Set) -> String {
    nearest(name, set.receivers.keys().map(AsRef::as_ref)).map_or_else(
        || "declare it under `receivers:` of `policy:`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    )
}

/// Groups of approvers, with the one that `default:` names under that name too.
fn approvers(
    mut groups: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    default: Option<(Arc<str>, Place)>,
    findings: &mut Findings,
) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    let Some((name, place)) = default else { return groups };
    match groups.get(&name).cloned() {
        Some(people) => drop(groups.insert(DEFAULT_APPROVERS.into(), people)),
        None => {
            let message = format!("unknown approvers `{name}`");
            findings.error(205, place, message, "not declared", "name one of the groups beside it");
        }
    }
    groups
}

/// Joins the drafts and checks them. The set is only used when there is no error.
pub(crate) fn together(draft: Draft, findings: &mut Findings) -> Set {
    let mut set = Set {
        receivers: draft.receivers,
        watchdog: draft.watchdog,
        actions: draft.actions,
        ceilings: draft.ceilings.unwrap_or_default(),
        ..Set::default()
    };
    for (name, place) in draft.system {
        if !set.receivers.contains_key(&name) {
            let message = format!("unknown receiver `{name}`");
            findings.error(205, place, message, "not declared", unknown_receiver(&name, &set));
        }
        set.system.push(name);
    }
    let default = draft.default_approvers.as_ref().map(|(name, _)| name.clone());
    set.approvers = approvers(draft.approvers, draft.default_approvers, findings);
    let mut owners: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for (group, (drafted, place)) in &draft.groups {
        for name in drafted.nodes.iter().flat_map(|(name, node)| node.aliases.iter().chain([name])) {
            if let Some(other) = owners.insert(name.clone(), group.clone()) {
                let message = format!("`{name}` names two nodes");
                findings.error(
                    102,
                    place.clone(),
                    message,
                    format!("also in group `{other}`"),
                    "a node is in one group, and a name is one node's",
                );
            }
        }
    }
    let groups = draft.groups;
    set.inventory =
        Inventory::new(groups.iter().map(|(name, (drafted, _))| (name.clone(), drafted.clone())).collect());
    for (service, sides) in draft.services {
        for (group, place) in &sides {
            if !set.inventory.groups.contains_key(group) {
                let near = nearest(group, set.inventory.groups.keys().map(AsRef::as_ref));
                let hint = near.map_or_else(|| "add it".to_owned(), |near| format!("did you mean `{near}`?"));
                let message = format!("unknown group `{group}`");
                findings.error(205, place.clone(), message, "not in the inventory", hint);
            }
        }
        set.inventory.services.insert(service, sides.into_iter().map(|(group, _)| group).collect());
    }
    for (name, check) in &draft.checks {
        expand::expand(name, check, &set.inventory, &mut set.checks, findings);
    }
    for (name, check) in &draft.checks {
        expand::join(name, check, &mut set.checks, findings);
    }
    set.silences = expand::silences(&draft.checks, &set.inventory);
    set.joined = expand::dependents(&draft.checks, &set.checks, findings);
    for (name, (drafted, place)) in &groups {
        if let Some(health) = &drafted.health
            && let Some(missing) = drafted
                .nodes
                .keys()
                .find(|node| !set.checks.contains_key(format!("{health}/{node}").as_str()))
        {
            let hint = format!("a check `{health}` with `each: node` and `in: [{name}]`");
            findings.error(
                205,
                place.clone(),
                format!("unknown check `{health}/{missing}`"),
                "health of this group",
                hint,
            );
        }
    }
    let mut drafted = draft.playbooks;
    if let Some(default) = default {
        drafted.iter_mut().for_each(|(playbook, _)| playbook.ask_by_name(&default));
    }
    for (playbook, places) in &drafted {
        Judge { playbook, places, set: &set, findings: &mut *findings }.judge();
    }
    for (playbook, places) in drafted {
        for budget in &playbook.guard.budgets {
            let most = set.budgets.entry(budget.scope).or_default();
            *most = (*most).max(budget.max);
        }
        let (name, place) = (playbook.name.clone(), Place { file: places.file, range: places.name });
        if set.playbooks.insert(name.clone(), playbook).is_some() {
            findings.error(102, place, format!("playbook `{name}` is there twice"), "again", "rename one");
        }
    }
    set
}

/// Judges one playbook: here its names and types, in `harm` what it could do.
pub(crate) struct Judge<'a> {
    pub playbook: &'a Playbook,
    pub places: &'a Places,
    pub set: &'a Set,
    pub findings: &'a mut Findings,
}

impl Judge<'_> {
    pub(crate) fn at(&self, range: std::ops::Range<usize>) -> Place {
        Place { file: self.places.file, range }
    }

    pub(crate) fn error(
        &mut self,
        code: u16,
        node: &Node,
        message: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let at = self.at(node.range.clone());
        self.findings.error(code, at, message, label, hint);
    }

    fn judge(&mut self) {
        self.triggers();
        let mut scope = self.scope();
        if let (Some(when), Some(node)) = (&self.playbook.when, self.places.document.get("when")) {
            self.condition(when, node, &scope);
        }
        for step in &self.playbook.steps {
            let Some(node) = self.places.steps.get(&step.id) else { continue };
            if scope.steps.iter().any(|id| **id == *step.id) {
                self.error(102, node, format!("step `{}` is there twice", step.id), "again", "rename one");
            }
            let mut here = scope.clone();
            if let (Some(condition), Some(at)) = (&step.condition, node.get("if")) {
                self.condition(condition, at, &scope);
                // What the step's own `if` asks for is known to be there in its `with`.
                here.conditional.retain(|id| !condition.text.contains(&format!("steps.{id}.ok")));
            }
            self.step(&step.kind, node, &here);
            if step.condition.is_some() || matches!(step.on_failure, OnFailure::Continue) {
                scope.conditional.push(step.id.to_string());
            }
            scope.steps.push(step.id.to_string());
        }
        for (verify, node) in self.playbook.verify.iter().zip(&self.places.verify) {
            self.verify(verify, node, &scope);
        }
        self.escalations(&scope);
        self.approval();
        self.notified();
        if self.playbook.destructive() {
            self.destructive();
        }
        self.durations();
    }

    fn triggers(&mut self) {
        let wants_target = self.playbook.target != TargetKind::None;
        for (trigger, node) in self.playbook.triggers.iter().zip(&self.places.triggers) {
            if let On::Manual { by: Some(by) } = &trigger.on {
                self.known_approvers(by, node);
            }
            let On::Alert { matchers, .. } = &trigger.on else { continue };
            match (wants_target, &trigger.target) {
                (true, None) => self.error(
                    108,
                    node,
                    "key `target` is missing",
                    "this trigger",
                    "`target: \"{{ alert.labels.… }}\"`",
                ),
                (false, Some(_)) => self.error(
                    203,
                    node,
                    "this playbook has no target",
                    "the trigger names one",
                    "`target: node` or `target: group`",
                ),
                (_, Some(template)) => {
                    let labels = matchers.iter().filter(|m| m.ensures()).map(|m| m.label.clone()).collect();
                    let scope = Scope {
                        roots: vec![("alert".into(), Type::Object("alert"))],
                        labels,
                        ..Scope::default()
                    };
                    if let Some(at) = node.get("target") {
                        self.template(template, at, &scope);
                        self.named_target(template, at);
                    }
                }
                (false, None) => {}
            }
        }
    }

    pub(crate) fn known_approvers(&mut self, name: &str, node: &Node) {
        if self.set.approvers.contains_key(name) {
            return;
        }
        let near = nearest(name, self.set.approvers.keys().map(AsRef::as_ref));
        let hint = near.map_or_else(
            || format!("under `approvers:` of `policy:` add `{name}: [operator]`"),
            |near| format!("did you mean `{near}`?"),
        );
        self.error(205, node, format!("unknown approvers `{name}`"), "nobody could say yes", hint);
    }

    fn named_target(&mut self, template: &Template, node: &Node) {
        let Some(name) = template.constant() else { return };
        let inventory = &self.set.inventory;
        let found = match self.playbook.target {
            TargetKind::Node => inventory.node(name),
            _ => inventory.group(name),
        };
        if found.is_none() {
            self.error(
                205,
                node,
                format!("`{name}` is not in the inventory"),
                "unknown",
                "add it, or fix the name",
            );
        }
    }

    /// What is visible in the playbook's expressions and templates.
    fn scope(&self) -> Scope {
        let mut roots = vec![
            ("run".to_owned(), Type::Object("run")),
            ("steps".to_owned(), Type::Object("steps")),
            ("inputs".to_owned(), Type::Object("inputs")),
            ("now".to_owned(), Type::Time),
        ];
        match self.playbook.target {
            TargetKind::Node => roots.push(("target".into(), Type::Object("node"))),
            TargetKind::Group => roots.push(("target".into(), Type::Object("group"))),
            TargetKind::Service => roots.push(("target".into(), Type::Object("service"))),
            TargetKind::None => {}
        }
        let mut absent = Vec::new();
        let manual =
            self.playbook.triggers.iter().position(|trigger| matches!(trigger.on, On::Manual { .. }));
        match manual {
            Some(at) => absent.push(("alert", format!("trigger {}: `manual`", at + 1))),
            None => roots.push(("alert".into(), Type::Object("alert"))),
        }
        // Ensured means: by every alert trigger.
        let mut ensured: Option<BTreeSet<String>> = None;
        for trigger in &self.playbook.triggers {
            if let On::Alert { matchers, .. } = &trigger.on {
                let labels: BTreeSet<String> =
                    matchers.iter().filter(|m| m.ensures()).map(|m| m.label.clone()).collect();
                ensured = Some(match ensured {
                    Some(before) => before.intersection(&labels).cloned().collect(),
                    None => labels,
                });
            }
        }
        let inputs =
            self.playbook.inputs.iter().map(|(name, input)| (name.to_string(), input.kind.clone())).collect();
        Scope {
            roots,
            absent,
            labels: ensured.unwrap_or_default().into_iter().collect(),
            inputs,
            ..Scope::default()
        }
    }

    fn problems(&mut self, problems: Vec<Problem>, node: &Node, shift: usize) {
        for problem in problems {
            let range = problem.range.start + shift..problem.range.end + shift;
            let at = self.at(within(node, &range));
            self.findings.error(problem.code, at, problem.message, problem.label, problem.hint);
        }
    }

    fn condition(&mut self, expr: &Expr, node: &Node, scope: &Scope) {
        let (found, problems) = cel::check(expr, scope);
        self.problems(problems, node, 0);
        if let Some(found) = found.filter(|found| *found != Type::Bool) {
            self.error(
                305,
                node,
                "this must be true or false",
                format!("it is {found}"),
                "compare it with something",
            );
        }
        self.constant_checks(&expr.tree, node);
    }

    /// `up("web/a1")` with a constant name must name a check.
    fn constant_checks(&mut self, tree: &cel::Tree, node: &Node) {
        use cel::Kind as K;
        match &tree.kind {
            K::Call(name, arguments) => {
                if let (
                    "up" | "down" | "degraded" | "known",
                    [cel::Tree { kind: K::Literal(Value::Str(check)), range }],
                ) = (name.as_str(), arguments.as_slice())
                {
                    let at = self.at(within(node, range));
                    self.known_check(check, at);
                }
                arguments.iter().for_each(|argument| self.constant_checks(argument, node));
            }
            K::Unary(_, a) | K::Field(a, _) | K::Has(a, _) => self.constant_checks(a, node),
            K::Binary(_, a, b) | K::Index(a, b) | K::Macro(_, a, _, b) => {
                self.constant_checks(a, node);
                self.constant_checks(b, node);
            }
            K::Choose(a, b, c) => [a, b, c].into_iter().for_each(|tree| self.constant_checks(tree, node)),
            K::List(items) => items.iter().for_each(|item| self.constant_checks(item, node)),
            K::Literal(_) | K::Name(_) => {}
        }
    }

    fn known_check(&mut self, name: &str, at: Place) {
        if !self.set.checks.contains_key(name) {
            let near = nearest(name, self.set.checks.keys().map(CheckName::as_str));
            let hint = near.map_or_else(
                || "declare it under `checks:`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.findings.error(205, at, format!("unknown check `{name}`"), "not declared", hint);
        }
    }

    fn template(&mut self, template: &Template, node: &Node, scope: &Scope) -> Option<Type> {
        let mut last = None;
        for part in &template.parts {
            if let Part::Path(expr, range) = part {
                let (found, problems) = cel::check(expr, scope);
                self.problems(problems, node, range.start);
                last = found;
            }
        }
        if template.parts.len() == 1 { last } else { Some(Type::Str) }
    }

    fn step(&mut self, kind: &StepKind, node: &Node, scope: &Scope) {
        match kind {
            StepKind::Wait(_)
            | StepKind::Run(_)
            | StepKind::Parallel(_)
            | StepKind::ForEach(_)
            | StepKind::Choose(_)
            | StepKind::Set(_) => {}
            StepKind::Approve(approve) => {
                self.known_approvers(&approve.asked.by, node.get("approve").unwrap_or(node));
                let at = node.get("approve").and_then(|node| node.get("text"));
                if let (Some(text), Some(at)) = (&approve.text, at) {
                    self.lenient(text, at, scope);
                }
            }
            StepKind::Verify(verify) => {
                if let Some(node) = node.get("verify") {
                    self.verify(verify, node, scope);
                }
            }
            StepKind::Use(action) => {
                let with = node.get("with").unwrap_or(node);
                for (name, arg) in &action.args {
                    self.argument(arg, with.get(name).unwrap_or(with), scope);
                }
                match &action.subject {
                    Some(subject) => {
                        let at = with.get("node").or_else(|| with.get("group")).unwrap_or(with);
                        self.subject(subject, at, with.get("node").is_some(), scope);
                    }
                    None if action.destructive => {
                        self.error(
                            501,
                            node,
                            "a destructive step without object",
                            "this step",
                            "say what it acts on: `node: \"{{ target }}\"` or `group: …`",
                        );
                    }
                    None => {}
                }
            }
        }
    }

    fn subject(&mut self, subject: &Subject, node: &Node, is_node: bool, scope: &Scope) {
        let wanted = if is_node { "node" } else { "group" };
        match subject {
            Subject::Path(template) => {
                if let Some(found) =
                    self.template(template, node, scope).filter(|found| *found != Type::Object(wanted))
                {
                    self.error(
                        204,
                        node,
                        format!("{found} where a {wanted} is wanted"),
                        "no inventory object",
                        "pass `{{ target }}`",
                    );
                }
            }
            Subject::Node(name) if self.set.inventory.node(name).is_none() => {
                self.error(
                    204,
                    node,
                    "raw id for a node",
                    format!("`{name}` is not in the inventory"),
                    "pass `{{ target }}`, or a node's name",
                );
            }
            Subject::Group(name) if self.set.inventory.group(name).is_none() => {
                self.error(
                    204,
                    node,
                    "raw id for a group",
                    format!("`{name}` is not in the inventory"),
                    "a group's name",
                );
            }
            _ => {}
        }
    }

    fn argument(&mut self, arg: &Arg, node: &Node, scope: &Scope) {
        match arg {
            Arg::Template(template, _) => {
                self.template(template, node, scope);
            }
            Arg::Map(entries) => {
                entries
                    .iter()
                    .for_each(|(key, arg)| self.argument(arg, node.get(key).unwrap_or(node), scope));
            }
            Arg::List(items) => {
                if let crate::tree::Kind::List(nodes) = &node.kind {
                    items.iter().zip(nodes).for_each(|(arg, node)| self.argument(arg, node, scope));
                }
            }
            Arg::Constant(_) | Arg::Secret(_) | Arg::File(_) => {}
        }
    }

    fn verify(&mut self, verify: &Verify, node: &Node, scope: &Scope) {
        let at = node.get("check").unwrap_or(node);
        self.template(&verify.check, at, scope);
        if let Some(name) = verify.check.constant() {
            let place = self.at(at.range.clone());
            self.known_check(name, place.clone());
            self.watchable(verify, name, place);
        }
    }

    fn escalations(&mut self, scope: &Scope) {
        if let Some(node) = self.places.escalate.get(ESCALATE_MAX) {
            let message = format!("more than {ESCALATE_MAX} entries");
            self.error(203, &node.clone(), message, "too many", "tell fewer, who tell the others");
        }
        for (escalate, node) in self.playbook.escalate.iter().zip(&self.places.escalate) {
            if !self.set.receivers.contains_key(&escalate.to) {
                let hint = unknown_receiver(&escalate.to, self.set);
                self.error(
                    205,
                    node.get("to").unwrap_or(node),
                    format!("unknown receiver `{}`", escalate.to),
                    "not declared",
                    hint,
                );
            }
            let (Some(template), Some(at)) = (&escalate.text, node.get("text")) else { continue };
            self.lenient(template, at, scope);
        }
    }

    /// Text is for people: a missing label prints as missing, so nothing must be ensured.
    fn lenient(&mut self, template: &Template, at: &Node, scope: &Scope) {
        for part in &template.parts {
            if let Part::Path(expr, range) = part {
                let (_, mut problems) = cel::check(expr, scope);
                problems.retain(|problem| !matches!(problem.code, 304 | 306 | 307));
                self.problems(problems, at, range.start);
            }
        }
    }

    fn notified(&mut self) {
        for (receiver, node) in self.playbook.notify.iter().zip(&self.places.notify) {
            if !self.set.receivers.contains_key(receiver) {
                let hint = unknown_receiver(receiver, self.set);
                self.error(205, node, format!("unknown receiver `{receiver}`"), "not declared", hint);
            }
        }
    }
}

//! Steps, with the steps within them: one list of ids, however deep they stand.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::PlaybookName;

use super::{action, expression, filled, guard, playbook::verify, template};
use crate::{
    keys,
    model::{Approve, Branch, Call, ForEach, OnFailure, Parallel, Step, StepKind, Undo},
    tree::{Kind, Node},
    walk::{Fields, Walk},
};

/// Ids that the run itself uses: its closing verify, its approval, and what is undone.
const RESERVED: [&str; 3] = ["closing", "guard", "undo"];
/// Names that an item of `for_each` would hide.
/// What templates trust by its name is among them: an item from outside must not be called so.
const ROOTS: [&str; 11] =
    ["target", "alert", "verdict", "event", "inputs", "vars", "run", "now", "steps", "node", "group"];
/// Most steps or items at once.
const AT_ONCE_MAX: u32 = 64;
/// Most items of `for_each`.
const AT_MOST_MAX: u32 = 1000;
/// How many steps of `parallel` are done at once unless given.
const PARALLEL: u32 = 4;
/// How many items `for_each` takes unless given.
const AT_MOST: u32 = 10;

/// What a step that fails does where it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// The run ends.
    Stop,
    /// What was done is undone.
    Undo,
}

/// The steps of one playbook.
pub(super) struct Steps<'w, 'f> {
    pub walk: &'w mut Walk<'f>,
    /// Every step by its id, as far as it was read.
    pub places: BTreeMap<Arc<str>, Node>,
}

impl Steps<'_, '_> {
    /// A list of steps, which is not empty.
    pub fn list(&mut self, node: &Node, what: &str, unsaid: Unsaid) -> Vec<Step> {
        let items = self.walk.list(node, what);
        if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            self.walk.error(108, node, "there is no step", "empty", "say what is done, or take it out");
        }
        items.iter().filter_map(|node| self.step(node, unsaid)).collect()
    }

    fn step(&mut self, node: &Node, unsaid: Unsaid) -> Option<Step> {
        let fields = self.walk.fields(node, "step", keys::STEP)?;
        let id = fields.get("id").and_then(|node| self.id(node));
        if let Some(id) = &id {
            self.places.insert(id.clone(), node.clone());
        }
        let condition = fields.get("if").and_then(|node| expression(self.walk, node, "if"));
        let kinds: Vec<&str> =
            keys::STEP_KINDS.iter().copied().filter(|kind| fields.get(kind).is_some()).collect();
        let kind = match kinds.as_slice() {
            [kind] => *kind,
            [] => {
                let hint =
                    keys::STEP_KINDS.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
                self.walk.error(108, node, "the step has no kind", "this step", format!("one of {hint}"));
                return None;
            }
            [first, second, ..] => {
                let label = format!("`{first}` and `{second}`");
                self.walk.error(107, node, "two kinds in a step", label, "make two steps");
                return None;
            }
        };
        self.walk.owned(node, &keys::STEP_TABLE, kind);
        let on_failure = self.on_failure(fields, kind, unsaid);
        // What a step within fails with, this one answers: only `undo` would end the same.
        let inner = if matches!(on_failure, OnFailure::Undo) { Unsaid::Undo } else { Unsaid::Stop };
        let kind = self.kind(kind, fields, inner)?;
        Some(Step { id: id?, condition, on_failure, kind })
    }

    fn id(&mut self, node: &Node) -> Option<Arc<str>> {
        let id = self.walk.identifier(node, "id")?;
        if RESERVED.contains(&id) {
            self.walk.error(109, node, format!("bad id `{id}`"), "the run itself uses it", "rename it");
            return None;
        }
        let Some(first) = self.places.get(id) else { return Some(id.into()) };
        let first = self.walk.place(first.get("id").unwrap_or(first).range.clone());
        self.walk.error(102, node, format!("step `{id}` is there twice"), "again", "rename one");
        self.walk.findings.also(first, "first here");
        None
    }

    fn on_failure(&mut self, fields: Fields<'_>, kind: &str, unsaid: Unsaid) -> OnFailure {
        let default = match unsaid {
            Unsaid::Stop => OnFailure::Stop,
            Unsaid::Undo => OnFailure::Undo,
        };
        let Some(node) = fields.get("on_failure") else { return default };
        let read = match (&node.kind, node.text()) {
            (Kind::List(_), _) => OnFailure::Steps(self.list(node, "on_failure", unsaid)),
            (_, Some("stop")) => OnFailure::Stop,
            (_, Some("continue")) => OnFailure::Continue,
            (_, Some("undo")) => OnFailure::Undo,
            _ => {
                self.walk.wrong(node, "on_failure", "`stop`, `continue`, `undo` or a list of steps", "");
                return default;
            }
        };
        if kind == "approve" && matches!(read, OnFailure::Continue | OnFailure::Steps(_)) {
            let hint = "`stop`, or leave `on_failure` out";
            self.walk.error(508, node, "silence is a no", "the run would go on after `approve`", hint);
        }
        read
    }

    fn kind(&mut self, kind: &str, fields: Fields<'_>, inner: Unsaid) -> Option<StepKind> {
        let node = fields.get(kind)?;
        Some(match kind {
            "use" => self.action(fields)?,
            "verify" => StepKind::Verify(verify(self.walk, node)?),
            "run" => StepKind::Run(self.call(node, fields)?),
            "parallel" => StepKind::Parallel(self.parallel(node, fields, inner)?),
            "for_each" => StepKind::ForEach(self.for_each(node, fields, inner)?),
            "choose" => StepKind::Choose(self.choose(node, inner)?),
            "approve" => StepKind::Approve(self.approve(node)?),
            "set" => StepKind::Set(self.set(node)),
            _ => StepKind::Wait(self.walk.duration(node, "wait")?),
        })
    }

    fn action(&mut self, fields: Fields<'_>) -> Option<StepKind> {
        let mut used = action::action(self.walk, fields)?;
        used.undo = match fields.get("undo") {
            None => action::opposite(self.walk, fields.node, &used),
            Some(node) if node.text() == Some("none") => Undo::None,
            Some(node) if matches!(node.kind, Kind::List(_)) => {
                Undo::Steps(self.list(node, "undo", Unsaid::Stop))
            }
            Some(node) => {
                let hint = "leave it out for the action's own";
                self.walk.wrong(node, "undo", "`none` or a list of steps", hint);
                Undo::None
            }
        };
        Some(StepKind::Use(Box::new(used)))
    }

    fn call(&mut self, node: &Node, fields: Fields<'_>) -> Option<Call> {
        let playbook = PlaybookName::from(self.walk.name(node, "run")?);
        let target = fields.get("target").and_then(|node| template(self.walk, node, "target"));
        let inputs = fields.get("inputs").map(|node| filled(self.walk, node, "inputs"));
        Some(Call { playbook, target, inputs: inputs.unwrap_or_default() })
    }

    fn at_once(&mut self, fields: Fields<'_>, default: u32) -> Option<u32> {
        fields.get("at_once").map_or(Some(default), |node| self.walk.int(node, "at_once", 1..=AT_ONCE_MAX))
    }

    fn parallel(&mut self, node: &Node, fields: Fields<'_>, inner: Unsaid) -> Option<Parallel> {
        let words = [("slow", false), ("fast", true)];
        let at_once = self.at_once(fields, PARALLEL);
        let fail = fields.get("fail");
        let fast = fail.map_or(Some(false), |node| self.walk.one_of(node, "fail", &words));
        let steps = self.list(node, "parallel", inner);
        Some(Parallel { steps, at_once: at_once?, fast: fast? })
    }

    fn for_each(&mut self, node: &Node, fields: Fields<'_>, inner: Unsaid) -> Option<ForEach> {
        let list = expression(self.walk, node, "for_each");
        let name = self.needed(fields, "as", "`as: n`").and_then(|node| self.item(node));
        let steps = self.needed(fields, "steps", "`steps: [{id, use, …}]`");
        let steps = steps.map(|node| self.list(node, "steps", inner));
        let at_once = self.at_once(fields, 1);
        let at_most = fields.get("at_most");
        let at_most = at_most.map_or(Some(AT_MOST), |node| self.walk.int(node, "at_most", 1..=AT_MOST_MAX));
        Some(ForEach { list: list?, name: name?, steps: steps?, at_once: at_once?, at_most: at_most? })
    }

    fn needed<'n>(&mut self, fields: Fields<'n>, key: &str, hint: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            self.walk.missing(fields.node, format!("key `{key}` is missing"), "this step", hint);
        }
        found
    }

    fn item(&mut self, node: &Node) -> Option<Arc<str>> {
        let name = self.walk.identifier(node, "name")?;
        if ROOTS.contains(&name) {
            let label = "it means something already";
            self.walk.error(109, node, format!("bad name `{name}`"), label, "rename it");
            return None;
        }
        Some(name.into())
    }

    fn choose(&mut self, node: &Node, inner: Unsaid) -> Option<Vec<Branch>> {
        let items = self.walk.list(node, "choose");
        let last = items.len().saturating_sub(1);
        let mut branches = Vec::new();
        for (at, item) in items.iter().enumerate() {
            branches.extend(self.branch(item, at == last, inner));
        }
        if items.last().is_none_or(|item| item.get("else").is_none()) {
            let hint = "`- else: [steps]` at the end: what is done when no `if` is true";
            self.walk.missing(node, "`else` is missing", "this `choose`", hint);
        }
        (branches.len() == items.len() && !branches.is_empty()).then_some(branches)
    }

    fn branch(&mut self, node: &Node, last: bool, inner: Unsaid) -> Option<Branch> {
        let fields = self.walk.fields(node, "branch", keys::BRANCH)?;
        let (condition, steps) = match (fields.get("if"), fields.get("steps"), fields.get("else")) {
            (None, None, Some(_)) if !last => {
                let hint = "put it last: nothing after it could be reached";
                self.walk.missing(node, "`else` is not the last branch", "this branch", hint);
                return None;
            }
            (None, None, Some(steps)) => (None, steps),
            (Some(condition), Some(steps), None) => (Some(expression(self.walk, condition, "if")), steps),
            (_, _, Some(node)) => {
                let hint = "`{if, steps}` or `{else: steps}`";
                self.walk.error(107, node, "two kinds in a branch", "`else` and `if` or `steps`", hint);
                return None;
            }
            (condition, _, None) => {
                let key = if condition.is_none() { "if" } else { "steps" };
                let message = format!("key `{key}` is missing");
                self.walk.missing(node, message, "this branch", "`{if: …, steps: […]}`");
                return None;
            }
        };
        let steps = self.list(steps, "steps", inner);
        match condition {
            Some(condition) => Some(Branch { condition: Some(condition?), steps }),
            None => Some(Branch { condition: None, steps }),
        }
    }

    fn approve(&mut self, node: &Node) -> Option<Approve> {
        let asked = guard::approval(self.walk, node, "approve", keys::APPROVE)?;
        let text = node.get("text").and_then(|node| template(self.walk, node, "text"));
        Some(Approve { asked, text })
    }

    fn set(&mut self, node: &Node) -> Vec<(Arc<str>, crate::cel::Expr)> {
        let entries = self.walk.identified(node, "set");
        let value =
            |(name, node): (&str, &Node)| Some((Arc::from(name), expression(self.walk, node, "set")?));
        entries.into_iter().filter_map(value).collect()
    }
}

#[cfg(test)]
mod tests;

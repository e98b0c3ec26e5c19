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
const ROOTS: [&str; 9] = ["target", "alert", "verdict", "event", "inputs", "vars", "run", "now", "steps"];
/// Most steps or items at once.
const AT_ONCE_MAX: u32 = 64;
/// Most items of `for_each`.
const AT_MOST_MAX: u32 = 1000;
/// How many steps of `parallel` are done at once unless given.
const PARALLEL: u32 = 4;
/// How many items `for_each` takes unless given.
const AT_MOST: u32 = 10;

/// Kinds of steps, by their keys.
const KINDS: [&str; 9] = ["use", "verify", "run", "parallel", "for_each", "choose", "approve", "set", "wait"];

/// Keys that only some kinds have.
const OWN: [(&str, &[&str]); 11] = [
    ("with", &["use"]),
    ("timeout", &["use"]),
    ("attempts", &["use"]),
    ("undo", &["use"]),
    ("target", &["run"]),
    ("inputs", &["run"]),
    ("fail", &["parallel"]),
    ("at_once", &["parallel", "for_each"]),
    ("as", &["for_each"]),
    ("steps", &["for_each"]),
    ("at_most", &["for_each"]),
];

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
        let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| fields.get(kind).is_some()).collect();
        let kind = match kinds.as_slice() {
            [kind] => *kind,
            [] => {
                let hint = KINDS.map(|kind| format!("`{kind}`")).join(", ");
                self.walk.error(108, node, "the step has no kind", "this step", format!("one of {hint}"));
                return None;
            }
            [first, second, ..] => {
                let label = format!("`{first}` and `{second}`");
                self.walk.error(107, node, "two kinds in a step", label, "make two steps");
                return None;
            }
        };
        self.walk.owned(node, &OWN, kind, "step");
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
mod tests {
    use super::super::tests::{each_is_told, good, playbook};
    use crate::model::{OnFailure, Step, StepKind, Undo};

    /// A step with all that is within it, in a line.
    fn said(step: &Step) -> String {
        let list = |steps: &[Step]| steps.iter().map(said).collect::<Vec<_>>().join(", ");
        let kind = match &step.kind {
            StepKind::Use(used) => match &used.undo {
                Undo::None => format!("use {}", used.action.name),
                Undo::Action(undo) => format!("use {} ~ {}", used.action.name, undo.action.name),
                Undo::Steps(steps) => format!("use {} ~ [{}]", used.action.name, list(steps)),
            },
            StepKind::Verify(verify) => format!("verify {}", verify.within),
            StepKind::Run(call) => {
                format!("run {} {} {}", call.playbook, call.target.is_some(), call.inputs.len())
            }
            StepKind::Parallel(all) => {
                format!("parallel {} {} [{}]", all.at_once, all.fast, list(&all.steps))
            }
            StepKind::ForEach(each) => {
                let (name, body) = (&each.name, list(&each.steps));
                format!("each {name} in {} {}/{} [{body}]", each.list.text, each.at_once, each.at_most)
            }
            StepKind::Choose(branches) => {
                let branch = |branch: &crate::model::Branch| {
                    let condition = branch.condition.as_ref().map_or("else", |expr| expr.text.as_str());
                    format!("{condition} [{}]", list(&branch.steps))
                };
                format!("choose {}", branches.iter().map(branch).collect::<Vec<_>>().join(" "))
            }
            StepKind::Approve(approve) => format!("approve {}", approve.asked.by),
            StepKind::Set(values) => format!("set {}", values.len()),
            StepKind::Wait(span) => format!("wait {span}"),
        };
        let failing = match &step.on_failure {
            OnFailure::Stop => String::new(),
            OnFailure::Continue => " !continue".to_owned(),
            OnFailure::Undo => " !undo".to_owned(),
            OnFailure::Steps(steps) => format!(" ![{}]", list(steps)),
        };
        format!("{}: {kind}{failing}", step.id)
    }

    #[test]
    fn every_kind_is_read() {
        let cases: &[(&str, &str)] = &[
            ("{id: a, wait: 5s}", "a: wait 5s"),
            ("{id: a, verify: {check: c, within: 1m}, on_failure: continue}", "a: verify 1m !continue"),
            ("{id: a, run: b}", "a: run b false 0"),
            ("{id: a, run: b, target: '{{ target }}', inputs: {n: '3'}}", "a: run b true 1"),
            ("{id: a, parallel: [{id: b, wait: 1s}]}", "a: parallel 4 false [b: wait 1s]"),
            (
                "{id: a, parallel: [{id: b, wait: 1s}], at_once: 2, fail: fast}",
                "a: parallel 2 true [b: wait 1s]",
            ),
            (
                "{id: a, for_each: target.nodes, as: n, steps: [{id: b, wait: 1s}]}",
                "a: each n in target.nodes 1/10 [b: wait 1s]",
            ),
            (
                "{id: a, for_each: target.nodes, as: n, at_once: 2, at_most: 3, steps: [{id: b, wait: 1s}]}",
                "a: each n in target.nodes 2/3 [b: wait 1s]",
            ),
            (
                "{id: a, choose: [{if: 1 == 1, steps: [{id: b, wait: 1s}]}, {else: [{id: c, wait: 2s}]}]}",
                "a: choose 1 == 1 [b: wait 1s] else [c: wait 2s]",
            ),
            ("{id: a, approve: {by: sre, text: 'go on?'}}", "a: approve sre"),
            ("{id: a, set: {x: 1 + 1, y: now}}", "a: set 2"),
            ("{id: a, wait: 5s, on_failure: [{id: b, wait: 1s}]}", "a: wait 5s ![b: wait 1s]"),
            ("{id: a, use: cloud.node.stop, with: {node: a1}}", "a: use cloud.node.stop ~ cloud.node.start"),
            ("{id: a, use: cloud.node.stop, with: {node: a1}, undo: none}", "a: use cloud.node.stop"),
            (
                "{id: a, use: cloud.node.stop, with: {node: a1}, undo: [{id: b, wait: 1s}]}",
                "a: use cloud.node.stop ~ [b: wait 1s]",
            ),
            ("{id: a, use: cloud.service.move, with: {service: s, to: es-b}}", "a: use cloud.service.move"),
        ];
        for (step, wanted) in cases {
            let playbook = good(&format!("steps: [{step}]"));
            assert_eq!(said(&playbook.steps[0]), *wanted);
        }
    }

    #[test]
    fn what_a_playbook_does_on_failure_is_what_its_steps_do_that_do_not_say() {
        let playbook = good(
            r"on_failure: undo
steps:
  - {id: a, wait: 1s}
  - {id: b, wait: 1s, on_failure: stop}
  - {id: c, wait: 1s, on_failure: [{id: d, wait: 1s}]}
  - {id: e, parallel: [{id: f, wait: 1s}]}
  - {id: g, parallel: [{id: h, wait: 1s}], on_failure: continue}
  - {id: i, use: cloud.node.stop, with: {node: a1}, undo: [{id: j, wait: 1s}]}
finally:
  - {id: k, wait: 1s}",
        );
        let found: Vec<String> = playbook.steps.iter().chain(&playbook.finally).map(said).collect();
        let wanted = [
            "a: wait 1s !undo",
            "b: wait 1s",
            "c: wait 1s ![d: wait 1s !undo]",
            "e: parallel 4 false [f: wait 1s !undo] !undo",
            "g: parallel 4 false [h: wait 1s] !continue",
            "i: use cloud.node.stop ~ [j: wait 1s] !undo",
            "k: wait 1s",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn every_step_has_its_place_however_deep() {
        let lines = r"steps:
  - {id: a, wait: 1s, on_failure: [{id: b, parallel: [{id: c, wait: 1s}]}]}
  - {id: d, choose: [{if: now == now, steps: [{id: e, wait: 1s}]}, {else: [{id: f, wait: 1s}]}]}
  - {id: g, use: cloud.node.stop, with: {node: a1}, undo: [{id: h, wait: 1s}]}
finally: [{id: i, for_each: target.nodes, as: n, steps: [{id: j, wait: 1s}]}]";
        let text = format!("apiVersion: regreen/v1\nplaybook: p\n{lines}\n");
        let (draft, _) = super::super::tests::read(&[("p", &text), ("a", super::super::tests::ACTIONS)]);
        let (playbook, places) = &draft.playbooks[0];
        let ids: Vec<&str> = places.steps.keys().map(AsRef::as_ref).collect();
        assert_eq!(ids, ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
        let mut all: Vec<&str> = playbook.all_steps().iter().map(|step| &*step.id).collect();
        all.sort_unstable();
        assert_eq!(all, ids, "the model knows the same");
    }

    #[test]
    fn a_second_step_of_the_same_name_is_told_with_the_first() {
        let (_, findings) =
            playbook("steps: [{id: a, wait: 1s}, {id: b, wait: 1s, on_failure: [{id: a, wait: 1s}]}]");
        let [finding] = findings.list.as_slice() else { panic!("{}", findings.render(false)) };
        assert_eq!(
            (finding.code, finding.also.as_ref().map(|(_, label)| label.as_str())),
            (102, Some("first here"))
        );
    }

    #[test]
    fn each_slip_is_told() {
        each_is_told(&[
            ("steps: []", 108, "no step"),
            ("steps: [{id: a}]", 108, "no kind"),
            ("steps: [{wait: 1s}]", 108, "key `id`"),
            ("steps: [{id: a, wait: 1s, set: {b: 1}}]", 107, "`set` and `wait`"),
            ("steps: [{id: a-b, wait: 1s}]", 109, "bad id `a-b`"),
            ("steps: [{id: undo, wait: 1s}]", 109, "the run itself uses it"),
            ("steps: [{id: a, wait: 1s, with: {}}]", 101, "belongs to `use`"),
            ("steps: [{id: a, verify: {check: c, within: 1m}, at_once: 2}]", 101, "`parallel`, `for_each`"),
            ("steps: [{id: a, wait: 1s, undo: none}]", 101, "belongs to `use`"),
            ("steps: [{id: a, wait: 1s, on_failure: go}]", 203, "`on_failure` wants"),
            ("steps: [{id: a, wait: 1s, on_failure: []}]", 108, "no step"),
            ("steps: [{id: a, approve: {}, on_failure: [{id: b, wait: 1s}]}]", 508, "silence"),
            ("on_failure: continue", 203, "`on_failure` wants one of"),
            ("steps: [{id: a, for_each: target.nodes, steps: [{id: b, wait: 1s}]}]", 108, "key `as`"),
            ("steps: [{id: a, for_each: target.nodes, as: n}]", 108, "key `steps`"),
            (
                "steps: [{id: a, for_each: target.nodes, as: target, steps: [{id: b, wait: 1s}]}]",
                109,
                "already",
            ),
            ("steps: [{id: a, for_each: '{{ x }}', as: n, steps: [{id: b, wait: 1s}]}]", 301, "is CEL"),
            ("steps: [{id: a, parallel: [{id: b, wait: 1s}], fail: now}]", 203, "`fail` wants one of"),
            ("steps: [{id: a, parallel: [{id: b, wait: 1s}], at_once: 0}]", 203, "`at_once` wants"),
            (
                "steps: [{id: a, choose: [{if: 1 == 1, steps: [{id: b, wait: 1s}]}]}]",
                108,
                "`else` is missing",
            ),
            (
                "steps: [{id: a, choose: [{else: [{id: b, wait: 1s}]}, {else: [{id: c, wait: 1s}]}]}]",
                108,
                "not the last",
            ),
            (
                "steps: [{id: a, choose: [{if: 1 == 1, else: [{id: b, wait: 1s}]}]}]",
                107,
                "two kinds in a branch",
            ),
            ("steps: [{id: a, choose: [{if: 1 == 1}, {else: [{id: b, wait: 1s}]}]}]", 108, "key `steps`"),
            ("steps: [{id: a, set: {b c: 1}}]", 109, "bad name `b c`"),
            ("steps: [{id: a, set: {b: {c: 1}}}]", 203, "`set` wants an expression"),
            ("steps: [{id: a, use: cloud.node.stop, with: {node: a1}, undo: all}]", 203, "`undo` wants"),
            ("steps: [{id: a, run: B c}]", 109, "bad name `B c`"),
            ("finally: [{id: pause, wait: 1s}]", 102, "step `pause`"),
        ]);
    }
}

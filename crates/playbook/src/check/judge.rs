//! Judges one playbook: the order in which its parts are looked at, and where findings are drawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use super::{
    book::{Book, Reach},
    names::did_you_mean,
    scope,
};
use crate::{
    cel::{self, Expr, Gives, Scope, check::Problem, constant},
    diagnostic::{Findings, Place, nearest},
    model::{Playbook, StepKind},
    read::{Places, within},
    set::Set,
    template::{Part, Template},
    tree::{Kind, Node},
    value::Type,
};

/// Most entries of `escalate`.
const ESCALATE_MAX: usize = 16;

pub(super) struct Judge<'a> {
    pub playbook: &'a Playbook,
    pub places: &'a Places,
    /// What it can do together with all that it runs.
    pub reach: &'a Reach,
    pub set: &'a Set,
    /// Where foreign actions are declared.
    pub declared: &'a BTreeMap<Arc<str>, Place>,
    pub book: &'a Book<'a>,
    /// What playbooks give their callers, as far as they were judged.
    pub outputs: &'a [Gives],
    pub findings: &'a mut Findings,
}

/// The items of a list.
pub(super) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

impl Judge<'_> {
    /// Judges all of it; returns what it gives its caller.
    pub fn judge(mut self) -> Gives {
        let (playbook, places) = (self.playbook, self.places);
        self.ceiling();
        self.triggers();
        self.correlate();
        let mut scope = scope::start(playbook, places, self.set);
        self.when(&mut scope);
        self.guard(&scope);
        self.failback(&scope);
        self.drill();
        scope::with_steps(&mut scope, playbook, places);
        self.steps(&playbook.steps, &mut scope);
        for (verify, node) in playbook.verify.iter().zip(&places.verify) {
            self.verify(verify, node, &scope);
        }
        let gives = self.outputs(&scope);
        scope::forget(&mut scope.steps, 0);
        for step in &playbook.finally {
            self.steps(std::slice::from_ref(step), &mut scope);
            // Each is tried, however those before it ended.
            scope::forget(&mut scope.steps, 0);
        }
        self.escalations(&scope);
        for (receiver, node) in playbook.notify.iter().zip(&places.notify) {
            self.known_receiver(receiver, node);
        }
        self.foreign();
        self.harm();
        self.flow();
        self.durations();
        gives
    }

    /// Whether it starts by itself, and not only within another's run.
    pub fn starts(&self) -> bool {
        !self.playbook.triggers.is_empty() || !items(self.places.document.get("triggers")).is_empty()
    }

    fn when(&mut self, scope: &mut Scope) {
        let (Some(when), Some(node)) = (&self.playbook.when, self.places.document.get("when")) else {
            return;
        };
        self.condition(when, node, scope);
        if constant(&when.tree) == Some(false) {
            let at = self.at(node.range.clone());
            self.findings.warning(606, at, "this never starts", "always false", "take it out");
        }
        scope.facts.extend(cel::facts(&when.tree, true));
    }

    fn outputs(&mut self, scope: &Scope) -> Gives {
        let Some(node) = self.places.document.get("outputs") else { return Gives::Result(record([])) };
        let mut fields = Vec::new();
        let mut unclear = false;
        for output in &self.playbook.outputs {
            let at = node.get(&output.name).unwrap_or(node);
            match self.expression(&output.value, at, scope) {
                Some(found) => fields.push((output.name.clone(), found)),
                None => unclear = true,
            }
        }
        if unclear { Gives::Unclear } else { Gives::Result(record(fields)) }
    }

    /// Actions that no runner of this release has: each is named once.
    fn foreign(&mut self) {
        let mut told = BTreeSet::new();
        for step in self.playbook.all_steps() {
            let StepKind::Use(action) = &step.kind else { continue };
            let name = &action.action.name;
            let Some(declared) = self.declared.get(name).filter(|_| told.insert(name)) else { continue };
            let file = self.findings.sources.get(declared.file).map_or("", |source| &source.path);
            let (message, label) =
                (format!("no runner of this release has `{name}`"), format!("declared in {file}"));
            let hint = "a runner of your own must serve it before this playbook can act";
            let at = self.step_place(&step.id, "use");
            self.findings.note(202, at, message, label, hint);
        }
    }

    fn ceiling(&mut self) {
        let (most, mode) = (self.set.ceilings.mode, self.playbook.mode);
        if let Some(mode) = mode.filter(|mode| *mode > most) {
            let word = |mode| format!("{mode:?}").to_lowercase();
            let label = format!("`{}`, and the ceiling is `{}`", word(mode), word(most));
            let hint = "lower it here, or raise `mode` of `ceilings:` in `policy:`";
            let at = self.place_of("mode");
            self.findings.warning(516, at, "this acts less than it says", label, hint);
        }
    }

    fn escalations(&mut self, scope: &Scope) {
        if let Some(node) = self.places.escalate.get(ESCALATE_MAX) {
            let message = format!("more than {ESCALATE_MAX} entries");
            self.error(203, node, message, "too many", "tell fewer, who tell the others");
        }
        for (escalate, node) in self.playbook.escalate.iter().zip(&self.places.escalate) {
            self.known_receiver(&escalate.to, node.get("to").unwrap_or(node));
            if let (Some(template), Some(at)) = (&escalate.text, node.get("text")) {
                self.lenient(template, at, scope);
            }
        }
    }
}

/// Types and places.
impl Judge<'_> {
    /// A place of this playbook's file; of what spans lines, the first.
    pub fn at(&self, range: Range<usize>) -> Place {
        let text = self.findings.sources.get(self.places.file).map_or("", |source| &source.text);
        let line = text.get(range.clone()).and_then(|text| text.find('\n'));
        let end = line.map_or(range.end, |length| range.start + length.max(1));
        Place { file: self.places.file, range: range.start..end }
    }

    /// Of a key's value; of the playbook's name where it is not written.
    pub fn place_of(&self, key: &str) -> Place {
        let node = self.places.document.get(key);
        self.at(node.map_or_else(|| self.places.name.clone(), |node| node.range.clone()))
    }

    /// Of a step's key, else of what it uses or runs, else of all of it.
    pub fn step_place(&self, id: &str, key: &str) -> Place {
        let Some(step) = self.places.steps.get(id) else { return self.place_of("playbook") };
        let node = [key, "use", "run"].iter().find_map(|key| step.get(key)).unwrap_or(step);
        self.at(node.range.clone())
    }

    pub fn error(
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

    pub fn problems(&mut self, problems: Vec<Problem>, node: &Node, shift: usize) {
        for problem in problems {
            let range = problem.range.start + shift..problem.range.end + shift;
            let at = self.at(within(node, &range));
            self.findings.error(problem.code, at, problem.message, problem.label, problem.hint);
        }
    }

    /// CEL: its type, and the checks that it names.
    pub fn expression(&mut self, expr: &Expr, node: &Node, scope: &Scope) -> Option<Type> {
        let (found, problems) = cel::check(expr, scope);
        self.problems(problems, node, 0);
        self.asked(expr, node);
        found
    }

    /// CEL that must be true or false.
    pub fn condition(&mut self, expr: &Expr, node: &Node, scope: &Scope) {
        let found = self.expression(expr, node, scope);
        if let Some(found) = found.filter(|found| *found != Type::Bool) {
            let message = "this must be true or false";
            self.error(305, node, message, format!("it is {found}"), "compare it with something");
        }
    }

    /// A template: the type of a path that stands alone, else text.
    pub fn template(&mut self, template: &Template, node: &Node, scope: &Scope) -> Option<Type> {
        let mut last = None;
        for part in &template.parts {
            if let Part::Path(expr, range) = part {
                let (found, problems) = path(expr, scope);
                self.problems(problems, node, range.start);
                last = found;
            }
        }
        if matches!(template.parts.as_slice(), [Part::Path(..)]) { last } else { Some(Type::Str) }
    }

    /// Text is for people: what is missing prints as missing, so nothing must be ensured.
    pub fn lenient(&mut self, template: &Template, at: &Node, scope: &Scope) {
        for part in &template.parts {
            if let Part::Path(expr, range) = part {
                let (_, mut problems) = path(expr, scope);
                problems.retain(|problem| !matches!(problem.code, 304 | 306 | 307));
                self.problems(problems, at, range.start);
            }
        }
    }

    /// A name among those that the playbook itself declares.
    pub fn declared<'n>(
        &mut self,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
        node: &Node,
    ) -> bool {
        if known.clone().any(|known| known == name) {
            return true;
        }
        let all: Vec<&str> = known.clone().collect();
        let hint = did_you_mean(nearest(name, known), || match all.as_slice() {
            [] => format!("there is no {what}"),
            _ => format!("known: {}", all.join(", ")),
        });
        self.error(205, node, format!("unknown {what} `{name}`"), "not declared", hint);
        false
    }
}

/// A path of a template; the clock is for CEL alone.
fn path(expr: &Expr, scope: &Scope) -> (Option<Type>, Vec<Problem>) {
    let (found, mut problems) = cel::check(expr, scope);
    if matches!(&expr.tree.kind, cel::Kind::Name(name) if name == "now") && problems.is_empty() {
        problems.push(Problem {
            code: 303,
            range: expr.tree.range.clone(),
            message: "`now` is for CEL alone".into(),
            label: "not visible here".into(),
            hint: "compute with it in `when`, `if` or `set`".into(),
        });
    }
    (found, problems)
}

/// An object with these fields.
pub(super) fn record(fields: impl IntoIterator<Item = (Arc<str>, Type)>) -> Type {
    Type::Record(Arc::new(fields.into_iter().collect()))
}

/// Steps that could not be read: what is read of them is no second mistake.
pub(super) fn unread(playbook: &Playbook, places: &Places) -> Vec<Arc<str>> {
    let read: BTreeSet<&str> = playbook.all_steps().into_iter().map(|step| &*step.id).collect();
    places.steps.keys().filter(|id| !read.contains(&***id)).cloned().collect()
}

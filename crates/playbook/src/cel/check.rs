//! Types first: what an expression may use at its place, and where it can't work, is known before anything runs.

use std::ops::Range;

use super::{
    Binary, Expr, Kind, Macro, Tree, Unary,
    facts::{Fact, facts},
    scope::{Gives, Scope},
};
use crate::{
    diagnostic::nearest,
    names::{self, Function},
    value::{Type, Value},
};

/// A finding inside an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Code.
    pub code: u16,
    /// Bytes in the expression.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// A word at the place.
    pub label: String,
    /// What to do.
    pub hint: String,
}

/// Checks an expression; its type is `None` where a problem hides it.
#[must_use]
pub fn check(expr: &Expr, scope: &Scope) -> (Option<Type>, Vec<Problem>) {
    let mut checker = Checker { scope, problems: Vec::new(), locals: Vec::new(), facts: scope.facts.clone() };
    let found = checker.tree(&expr.tree);
    (found, checker.problems)
}

struct Checker<'s> {
    scope: &'s Scope,
    problems: Vec<Problem>,
    locals: Vec<(String, Type)>,
    facts: Vec<Fact>,
}

/// What to do instead: a near name, or something else.
fn perhaps<'n>(
    word: &str,
    known: impl IntoIterator<Item = &'n str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, known).map_or_else(otherwise, |near| format!("did you mean `{near}`?"))
}

impl Checker<'_> {
    fn problem(
        &mut self,
        code: u16,
        range: &Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<Type> {
        let (message, label, hint) = (message.into(), label.into(), hint.into());
        self.problems.push(Problem { code, range: range.clone(), message, label, hint });
        None
    }

    fn wants(&mut self, tree: &Tree, wanted: &Type) {
        if let Some(found) = self.tree(tree)
            && found != *wanted
        {
            self.mismatch(tree, &found, wanted);
        }
    }

    fn mismatch(&mut self, tree: &Tree, found: &Type, wanted: &Type) {
        let hint = match (found, wanted) {
            (Type::Str, Type::Int) => "labels are text: `int(…)` makes a number of it",
            (Type::Json, _) => "JSON has no type: use it in a template, or ask a check",
            _ => "",
        };
        self.problem(
            305,
            &tree.range,
            format!("{found} where {wanted} is wanted"),
            format!("this is {found}"),
            hint,
        );
    }

    /// Checks a part that is only evaluated, or only matters, when something else is so.
    fn given(&mut self, more: Vec<Fact>, part: impl FnOnce(&mut Self)) {
        let before = self.facts.len();
        self.facts.extend(more);
        part(self);
        self.facts.truncate(before);
    }

    fn tree(&mut self, tree: &Tree) -> Option<Type> {
        match &tree.kind {
            Kind::Literal(value) => Some(literal(value)),
            Kind::List(items) => self.list(tree, items),
            Kind::Name(name) => self.name(tree, name),
            Kind::Field(object, field) => self.field(tree, object, field),
            Kind::Has(object, _) => match self.tree(object)? {
                Type::Labels | Type::Object(_) | Type::Record(_) | Type::Json => Some(Type::Bool),
                found => {
                    self.problem(305, &object.range, "`has` asks an object", format!("this is {found}"), "")
                }
            },
            Kind::Index(object, index) => self.index(tree, object, index),
            Kind::Call(name, arguments) => self.call(tree, name, arguments),
            Kind::Macro(kind, list, name, body) => self.comprehension(*kind, list, name, body),
            Kind::Unary(Unary::Not, inner) => {
                self.wants(inner, &Type::Bool);
                Some(Type::Bool)
            }
            Kind::Unary(Unary::Minus, inner) => {
                self.wants(inner, &Type::Int);
                Some(Type::Int)
            }
            Kind::Binary(operator, left, right) => self.binary(tree, *operator, left, right),
            Kind::Choose(condition, yes, no) => self.choose(condition, yes, no),
        }
    }

    fn choose(&mut self, condition: &Tree, yes: &Tree, no: &Tree) -> Option<Type> {
        self.wants(condition, &Type::Bool);
        let mut found = None;
        self.given(facts(condition, true), |this| found = this.tree(yes));
        let other = found.clone();
        self.given(facts(condition, false), |this| match &other {
            Some(wanted) => this.wants(no, wanted),
            None => drop(this.tree(no)),
        });
        found
    }

    fn list(&mut self, tree: &Tree, items: &[Tree]) -> Option<Type> {
        let Some((first, rest)) = items.split_first() else {
            return self.problem(305, &tree.range, "an empty list has no type", "here", "");
        };
        let found = self.tree(first)?;
        for item in rest {
            self.wants(item, &found);
        }
        Some(Type::List(Box::new(found)))
    }

    fn name(&mut self, tree: &Tree, name: &str) -> Option<Type> {
        if let Some((_, found)) = self.locals.iter().rev().find(|(local, _)| local == name) {
            return Some(found.clone());
        }
        if let Some((_, found)) = self.scope.roots.iter().rev().find(|(root, _)| root == name) {
            return Some(found.clone());
        }
        if self.scope.unclear.iter().any(|unclear| unclear == name) {
            return None;
        }
        if let Some((_, why)) = self.scope.absent.iter().find(|(absent, _)| *absent == name) {
            let message = format!("`{name}` may be absent");
            return self.problem(307, &tree.range, message, why.clone(), "use `target` or `inputs`");
        }
        let known: Vec<&str> = self.scope.roots.iter().map(|(root, _)| root.as_str()).collect();
        let hint = match name {
            "labels" | "annotations" => format!("did you mean `alert.{name}`?"),
            _ => perhaps(name, known.iter().copied(), || match known.as_slice() {
                [] => "nothing is visible here".to_owned(),
                _ => format!("visible here: {}", known.join(", ")),
            }),
        };
        self.problem(303, &tree.range, format!("unknown name `{name}`"), "not visible here", hint)
    }

    fn field(&mut self, tree: &Tree, object: &Tree, field: &str) -> Option<Type> {
        match self.tree(object)? {
            Type::Labels => {
                self.label(tree, object, field);
                Some(Type::Str)
            }
            Type::Object("steps") => self.step(tree, field),
            Type::Object("step") if field == "result" => self.result(tree, object),
            Type::Object(kind) => names::field(kind, field).or_else(|| {
                let known: Vec<&str> = names::fields(kind).iter().map(|field| field.name).collect();
                self.no_field(tree, kind, field, &known)
            }),
            Type::Record(fields) => fields.get(field).cloned().or_else(|| {
                let known: Vec<&str> = fields.keys().map(AsRef::as_ref).collect();
                let what = match &object.kind {
                    Kind::Name(name) => format!("`{name}`"),
                    Kind::Field(_, name) => format!("this `{name}`"),
                    _ => "this object".to_owned(),
                };
                self.no_field(tree, &what, field, &known)
            }),
            Type::Json => Some(Type::Json),
            found => self.problem(305, &tree.range, format!("{found} has no fields"), "here", ""),
        }
    }

    fn no_field(&mut self, tree: &Tree, what: &str, field: &str, known: &[&str]) -> Option<Type> {
        let hint = perhaps(field, known.iter().copied(), || match known {
            [] => "it has no fields".to_owned(),
            _ => format!("it has {}", known.join(", ")),
        });
        self.problem(303, &tree.range, format!("{what} has no `{field}`"), "unknown field", hint)
    }

    /// A label of an alert is only there where something ensures it.
    fn label(&mut self, tree: &Tree, object: &Tree, label: &str) {
        if !super::facts::is_labels(object) {
            return;
        }
        if !self.facts.iter().any(|fact| matches!(fact, Fact::Label(known) if known == label)) {
            self.problem(
                304,
                &tree.range,
                format!("label `{label}` may be missing"),
                "no matcher ensures it",
                format!("add `{label}!=\"\"` to the matchers, or ask `has(…)` first"),
            );
        }
    }

    fn step(&mut self, tree: &Tree, id: &str) -> Option<Type> {
        if self.scope.steps.iter().any(|step| *step.id == *id) {
            return Some(Type::Object("step"));
        }
        let known: Vec<&str> = self.scope.steps.iter().map(|step| step.id.as_ref()).collect();
        let hint = perhaps(id, known.iter().copied(), || match known.as_slice() {
            [] => "no step is done before this".to_owned(),
            _ => format!("before this: {}", known.join(", ")),
        });
        self.problem(303, &tree.range, format!("there is no step `{id}` before this"), "unknown", hint)
    }

    fn result(&mut self, tree: &Tree, step: &Tree) -> Option<Type> {
        let seen = match &step.kind {
            Kind::Field(_, id) => self.scope.steps.iter().rev().find(|seen| *seen.id == **id),
            _ => None,
        };
        let Some(seen) = seen else {
            return self.problem(305, &tree.range, "which step's result?", "here", "write `steps.id.result`");
        };
        let Gives::Result(found) = &seen.gives else {
            if seen.gives == Gives::Nothing {
                let hint = "only actions, `set` and `run` give one";
                let message = format!("step `{}` has no result", seen.id);
                return self.problem(303, &tree.range, message, "nothing to read", hint);
            }
            return None;
        };
        let sure =
            seen.sure || self.facts.iter().any(|fact| matches!(fact, Fact::Ok(id) if **id == *seen.id));
        if !sure {
            let label = format!("`{}` may be skipped or fail", seen.id);
            let hint = format!("ask `steps.{}.ok` first", seen.id);
            return self.problem(306, &tree.range, "`result` may be absent", label, hint);
        }
        Some(found.clone())
    }

    fn index(&mut self, tree: &Tree, object: &Tree, index: &Tree) -> Option<Type> {
        match self.tree(object)? {
            Type::List(item) => {
                self.wants(index, &Type::Int);
                Some(*item)
            }
            Type::Labels => {
                self.wants(index, &Type::Str);
                if let Kind::Literal(Value::Str(label)) = &index.kind {
                    self.label(tree, object, label);
                }
                Some(Type::Str)
            }
            found => self.problem(305, &tree.range, format!("{found} has no items"), "here", ""),
        }
    }

    fn call(&mut self, tree: &Tree, name: &str, arguments: &[Tree]) -> Option<Type> {
        let Some(function) = names::functions().iter().find(|function| function.name == name) else {
            let known: Vec<&str> = names::functions().iter().map(|function| function.name).collect();
            let hint = perhaps(name, known.iter().copied(), || format!("known: {}", known.join(", ")));
            let message = format!("unknown function `{name}`");
            return self.problem(303, &tree.range, message, "not visible here", hint);
        };
        let found: Vec<Option<Type>> = arguments.iter().map(|argument| self.tree(argument)).collect();
        if !function.forms.iter().any(|form| form.takes.len() == arguments.len()) {
            let label = format!("found {}", arguments.len());
            let message = match function.forms.first() {
                Some(form) => format!("`{name}` takes {} values", form.takes.len()),
                None => format!("`{name}` is written otherwise"),
            };
            return self.problem(305, &tree.range, message, label, format!("`{}`", function.usage));
        }
        let found: Vec<Type> = found.into_iter().collect::<Option<_>>()?;
        let fits = |takes: &[names::Field]| {
            takes.len() == found.len() && takes.iter().zip(&found).all(|(takes, found)| takes.takes(found))
        };
        if let Some(form) = function.forms.iter().find(|form| fits(form.takes)) {
            return Some(form.gives.kind());
        }
        self.misfit(tree, function, arguments, &found);
        function.forms.first().map(|form| form.gives.kind())
    }

    fn misfit(&mut self, tree: &Tree, function: &Function, arguments: &[Tree], found: &[Type]) {
        let [form] = function.forms else {
            let words: Vec<String> = found.iter().map(ToString::to_string).collect();
            let message = format!("`{}` does not take {}", function.name, words.join(" and "));
            self.problem(305, &tree.range, message, "here", format!("`{}`", function.usage));
            return;
        };
        for ((argument, wanted), found) in arguments.iter().zip(form.takes).zip(found) {
            if !wanted.takes(found) {
                self.mismatch(argument, found, &wanted.kind());
            }
        }
    }

    fn comprehension(&mut self, kind: Macro, list: &Tree, name: &str, body: &Tree) -> Option<Type> {
        let item = match self.tree(list)? {
            Type::List(item) => *item,
            found => return self.problem(305, &list.range, format!("{found} is no list"), "here", ""),
        };
        if self.scope.roots.iter().any(|(root, _)| root == name) {
            let message = format!("`{name}` names something else here");
            self.problem(109, &body.range, message, "hidden by the item", "another name for the item");
        }
        self.locals.push((name.to_owned(), item.clone()));
        let found = self.tree(body);
        self.locals.pop();
        if kind == Macro::Map {
            return found.map(|found| Type::List(Box::new(found)));
        }
        if let Some(found) = found.filter(|found| *found != Type::Bool) {
            self.mismatch(body, &found, &Type::Bool);
        }
        Some(if kind == Macro::Filter { Type::List(Box::new(item)) } else { Type::Bool })
    }

    fn binary(&mut self, tree: &Tree, operator: Binary, left: &Tree, right: &Tree) -> Option<Type> {
        match operator {
            Binary::And | Binary::Or => {
                // One decisive side is enough, whatever the other is: each may count on the other.
                let matters = operator == Binary::And;
                self.given(facts(right, matters), |this| this.wants(left, &Type::Bool));
                self.given(facts(left, matters), |this| this.wants(right, &Type::Bool));
                Some(Type::Bool)
            }
            Binary::In => {
                let (item, list) = (self.tree(left)?, self.tree(right)?);
                match list {
                    Type::List(of) if *of == item => Some(Type::Bool),
                    Type::Labels if item == Type::Str => Some(Type::Bool),
                    found => {
                        self.problem(305, &tree.range, format!("{item} can't be in {found}"), "here", "")
                    }
                }
            }
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem => {
                self.arithmetic(tree, operator, left, right)
            }
            _ => self.comparison(tree, operator, left, right),
        }
    }

    fn arithmetic(&mut self, tree: &Tree, operator: Binary, left: &Tree, right: &Tree) -> Option<Type> {
        let (a, b) = (self.tree(left), self.tree(right));
        let (a, b) = (a?, b?);
        match (operator, &a, &b) {
            (_, Type::Int, Type::Int) => Some(Type::Int),
            (Binary::Add, Type::Str, Type::Str) => Some(Type::Str),
            (Binary::Add, Type::Span, Type::Span) | (Binary::Sub, Type::Time, Type::Time) => Some(Type::Span),
            (Binary::Add, Type::Time, Type::Span) => Some(Type::Time),
            _ => {
                let hint = match (&a, &b) {
                    (Type::Object(_), _) | (_, Type::Object(_)) => "an object's name is `.name`",
                    _ => "`string(…)` makes text of a number",
                };
                self.problem(305, &tree.range, format!("{a} and {b} can't be joined so"), "here", hint)
            }
        }
    }

    fn comparison(&mut self, tree: &Tree, operator: Binary, left: &Tree, right: &Tree) -> Option<Type> {
        let (a, b) = (self.tree(left), self.tree(right));
        let (a, b) = (a?, b?);
        let ordered = matches!(a, Type::Int | Type::Str | Type::Span | Type::Time);
        let equality = matches!(operator, Binary::Eq | Binary::Ne);
        if a != b || a == Type::Json {
            let (wrong, found, wanted) = if a == Type::Str { (left, &a, &b) } else { (right, &b, &a) };
            self.mismatch(wrong, found, wanted);
        } else if !ordered && !equality {
            self.problem(305, &tree.range, format!("{a} has no order"), "here", "");
        }
        Some(Type::Bool)
    }
}

fn literal(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        _ => Type::Str,
    }
}

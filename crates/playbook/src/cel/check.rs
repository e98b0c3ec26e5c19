//! Types first: what an expression may use at its place, and where it can't work, is known before anything runs.

use std::ops::Range;

use super::{Binary, Expr, Kind, Macro, Tree, Unary};
use crate::{diagnostic::nearest, names, value::Type};

/// What is visible where an expression stands.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Root names with their types.
    pub roots: Vec<(String, Type)>,
    /// Roots that exist only for some triggers, with the reason (RG307).
    pub absent: Vec<(&'static str, String)>,
    /// Labels that a matcher ensures; `None` when no alert starts it.
    pub labels: Vec<String>,
    /// Earlier steps.
    pub steps: Vec<String>,
    /// Declared inputs.
    pub inputs: Vec<(String, Type)>,
    /// Steps that may not have run when this is evaluated (RG306).
    pub conditional: Vec<String>,
}

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
    let mut checker = Checker { scope, problems: Vec::new(), locals: Vec::new(), asked: Vec::new() };
    collect_has(&expr.tree, &mut checker.asked);
    let found = checker.tree(&expr.tree);
    (found, checker.problems)
}

fn collect_has(tree: &Tree, asked: &mut Vec<String>) {
    match &tree.kind {
        Kind::Has(_, field) => asked.push(field.clone()),
        Kind::Binary(_, a, b) => [a, b].into_iter().for_each(|tree| collect_has(tree, asked)),
        Kind::Unary(_, a) => collect_has(a, asked),
        Kind::Choose(a, b, c) => [a, b, c].into_iter().for_each(|tree| collect_has(tree, asked)),
        _ => {}
    }
}

struct Checker<'s> {
    scope: &'s Scope,
    problems: Vec<Problem>,
    locals: Vec<(String, Type)>,
    asked: Vec<String>,
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
            (Type::Json, _) => "a result's JSON has no type: use it in a template, or ask a check",
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

    fn tree(&mut self, tree: &Tree) -> Option<Type> {
        match &tree.kind {
            Kind::Literal(value) => Some(match value {
                crate::value::Value::Bool(_) => Type::Bool,
                crate::value::Value::Int(_) => Type::Int,
                _ => Type::Str,
            }),
            Kind::List(items) => self.list(items),
            Kind::Name(name) => self.name(tree, name),
            Kind::Field(object, field) => self.field(tree, object, field),
            Kind::Has(object, _) => match self.tree(object)? {
                Type::Labels | Type::Object(_) => Some(Type::Bool),
                found => {
                    self.problem(305, &object.range, "`has` asks an object", format!("this is {found}"), "")
                }
            },
            Kind::Index(object, index) => match self.tree(object)? {
                Type::List(item) => {
                    self.wants(index, &Type::Int);
                    Some(*item)
                }
                Type::Labels => {
                    self.wants(index, &Type::Str);
                    Some(Type::Str)
                }
                found => self.problem(305, &tree.range, format!("{found} has no items"), "here", ""),
            },
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
            Kind::Choose(condition, yes, no) => {
                self.wants(condition, &Type::Bool);
                let found = self.tree(yes)?;
                self.wants(no, &found);
                Some(found)
            }
        }
    }

    fn list(&mut self, items: &[Tree]) -> Option<Type> {
        let (first, rest) = items.split_first()?;
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
        if let Some((_, found)) = self.scope.roots.iter().find(|(root, _)| root == name) {
            return Some(found.clone());
        }
        if let Some((_, why)) = self.scope.absent.iter().find(|(absent, _)| *absent == name) {
            return self.problem(
                307,
                &tree.range,
                format!("`{name}` may be absent"),
                why.clone(),
                "use `target` or `inputs`",
            );
        }
        let known: Vec<&str> = self.scope.roots.iter().map(|(root, _)| root.as_str()).collect();
        let hint = match name {
            "labels" | "annotations" => format!("did you mean `alert.{name}`?"),
            _ => nearest(name, known.iter().copied()).map_or_else(
                || format!("visible here: {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            ),
        };
        self.problem(303, &tree.range, format!("unknown name `{name}`"), "not visible here", hint)
    }

    fn field(&mut self, tree: &Tree, object: &Tree, field: &str) -> Option<Type> {
        match self.tree(object)? {
            Type::Labels => {
                let is_label = matches!(&object.kind, Kind::Field(_, name) if name == "labels");
                let sure = self.scope.labels.iter().any(|label| label == field)
                    || self.asked.iter().any(|asked| asked == field);
                if is_label && !sure {
                    self.problem(
                        304,
                        &tree.range,
                        format!("label `{field}` may be missing"),
                        "no matcher ensures it",
                        format!("add `{field}!=\"\"` to the matchers, or ask `has(…)` first"),
                    );
                }
                Some(Type::Str)
            }
            Type::Object("steps") => self.listed(tree, field, "step", |scope| {
                scope.steps.iter().map(|id| (id.clone(), Type::Object("step"))).collect()
            }),
            Type::Object("inputs") => self.listed(tree, field, "input", |scope| scope.inputs.clone()),
            Type::Object(kind) => {
                if kind == "step" && field == "result" && self.unsure(object) {
                    let id = tree.range.clone();
                    return self.problem(
                        306,
                        &id,
                        "`result` may be absent",
                        "its step may be skipped or fail",
                        "ask `steps.….ok` first",
                    );
                }
                names::field(kind, field).map_or_else(
                    || {
                        let hint = nearest(field, names::fields(kind).iter().map(|(name, _)| *name))
                            .map_or_else(
                                || {
                                    format!(
                                        "it has {}",
                                        names::fields(kind)
                                            .iter()
                                            .map(|(name, _)| *name)
                                            .collect::<Vec<_>>()
                                            .join(", ")
                                    )
                                },
                                |near| format!("did you mean `{near}`?"),
                            );
                        self.problem(
                            303,
                            &tree.range,
                            format!("{kind} has no `{field}`"),
                            "unknown field",
                            hint,
                        )
                    },
                    Some,
                )
            }
            Type::Json => Some(Type::Json),
            found => self.problem(305, &tree.range, format!("{found} has no fields"), "here", ""),
        }
    }

    /// A field of an object whose fields the playbook itself declares.
    fn listed(
        &mut self,
        tree: &Tree,
        field: &str,
        what: &str,
        list: fn(&Scope) -> Vec<(String, Type)>,
    ) -> Option<Type> {
        let known = list(self.scope);
        if let Some((_, found)) = known.iter().find(|(name, _)| name == field) {
            return Some(found.clone());
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        let hint = nearest(field, names.iter().copied()).map_or_else(
            || format!("before this: {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        self.problem(303, &tree.range, format!("there is no {what} `{field}` before this"), "unknown", hint)
    }

    fn unsure(&self, step: &Tree) -> bool {
        matches!(&step.kind, Kind::Field(_, id) if self.scope.conditional.contains(id))
    }

    fn call(&mut self, tree: &Tree, name: &str, arguments: &[Tree]) -> Option<Type> {
        let (wanted, gives): (&[Type], Type) = match (name, arguments.len()) {
            ("up" | "degraded" | "down" | "known", _) => (&[Type::Str], Type::Bool),
            ("group", _) => (&[Type::Str], Type::Object("group")),
            ("string", _) => (&[Type::Int], Type::Str),
            ("int", _) => (&[Type::Str], Type::Int),
            ("duration", _) => (&[Type::Str], Type::Span),
            ("startsWith" | "endsWith" | "contains", _) => (&[Type::Str, Type::Str], Type::Bool),
            ("size", 1) => {
                return match self.tree(&arguments[0])? {
                    Type::Str | Type::List(_) => Some(Type::Int),
                    found => self.problem(305, &tree.range, format!("{found} has no size"), "here", ""),
                };
            }
            _ => {
                let known = [
                    "up",
                    "degraded",
                    "down",
                    "known",
                    "group",
                    "has",
                    "size",
                    "int",
                    "string",
                    "duration",
                    "startsWith",
                    "endsWith",
                    "contains",
                ];
                let hint = nearest(name, known).map_or_else(
                    || format!("known: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                return self.problem(
                    303,
                    &tree.range,
                    format!("unknown function `{name}`"),
                    "not visible here",
                    hint,
                );
            }
        };
        if arguments.len() != wanted.len() {
            return self.problem(
                305,
                &tree.range,
                format!("`{name}` takes {} values", wanted.len()),
                format!("found {}", arguments.len()),
                "",
            );
        }
        for (argument, wanted) in arguments.iter().zip(wanted) {
            self.wants(argument, wanted);
        }
        Some(gives)
    }

    fn comprehension(&mut self, kind: Macro, list: &Tree, name: &str, body: &Tree) -> Option<Type> {
        let item = match self.tree(list)? {
            Type::List(item) => *item,
            found => return self.problem(305, &list.range, format!("{found} is no list"), "here", ""),
        };
        self.locals.push((name.to_owned(), item.clone()));
        let found = self.tree(body);
        self.locals.pop();
        match kind {
            Macro::Map => found.map(|found| Type::List(Box::new(found))),
            _ => {
                if let Some(found) = found.filter(|found| *found != Type::Bool) {
                    self.mismatch(body, &found, &Type::Bool);
                }
                Some(if kind == Macro::Filter { Type::List(Box::new(item)) } else { Type::Bool })
            }
        }
    }

    fn binary(&mut self, tree: &Tree, operator: Binary, left: &Tree, right: &Tree) -> Option<Type> {
        match operator {
            Binary::And | Binary::Or => {
                self.wants(left, &Type::Bool);
                self.wants(right, &Type::Bool);
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
                let (a, b) = (self.tree(left)?, self.tree(right)?);
                match (operator, &a, &b) {
                    (_, Type::Int, Type::Int) => Some(Type::Int),
                    (Binary::Add, Type::Str, Type::Str) => Some(Type::Str),
                    (Binary::Add, Type::Span, Type::Span) | (Binary::Sub, Type::Time, Type::Time) => {
                        Some(Type::Span)
                    }
                    (Binary::Add, Type::Time, Type::Span) => Some(Type::Time),
                    _ => self.problem(
                        305,
                        &tree.range,
                        format!("{a} and {b} can't be joined so"),
                        "here",
                        "`string(…)` makes text of a number",
                    ),
                }
            }
            _ => {
                let (a, b) = (self.tree(left)?, self.tree(right)?);
                let ordered = matches!(a, Type::Int | Type::Str | Type::Span | Type::Time);
                let equality = matches!(operator, Binary::Eq | Binary::Ne);
                if a != b || a == Type::Json {
                    let (wrong, found, wanted) =
                        if a == Type::Str { (left, &a, &b) } else { (right, &b, &a) };
                    self.mismatch(wrong, found, wanted);
                } else if !ordered && !equality {
                    self.problem(305, &tree.range, format!("{a} has no order"), "here", "");
                }
                Some(Type::Bool)
            }
        }
    }
}

//! Evaluation: always ends (every step costs fuel), never panics, and tells *unknown* from *failed*. What was read
//! is traced, so that `explain` shows every clause with its values.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use regreen_schemas::check::Status;

use super::{Binary, Expr, Kind, Macro, Tree, Unary};
use crate::value::Value;

/// Steps one evaluation may take.
const FUEL: u32 = 10_000;
/// Most items or bytes that one operation may build.
const BUILD_MAX: usize = 64 * 1024;

/// Most that one evaluation may build altogether: items, and bytes of text. A list may hold another many times over, so
/// each counts as often as it is held.
const BUILT_MAX: usize = 1024 * 1024;

/// Where names and verdicts come from.
pub trait Env {
    /// A root name.
    fn root(&self, name: &str) -> Option<Value>;
    /// A check's verdict as of now.
    fn verdict(&self, check: &str) -> Status;
    /// A group of the inventory.
    fn group(&self, name: &str) -> Option<Value>;
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// These checks have no verdict.
    Unknown(BTreeSet<String>),
    /// It can't be computed.
    Failed {
        /// Where.
        range: Range<usize>,
        /// Why.
        message: String,
    },
}

impl Stop {
    /// For people, in a line.
    #[must_use]
    pub fn because(&self) -> String {
        match self {
            Self::Unknown(checks) => {
                format!("no verdict for {}", checks.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Self::Failed { message, .. } => message.clone(),
        }
    }
}

/// What an evaluation read: the place in the text and what stood there.
pub type Trace = Vec<(Range<usize>, String)>;

/// Evaluates; the trace is filled also when there is no value.
///
/// # Errors
/// [`Stop`]; unknown wins over failed.
pub fn eval(expr: &Expr, env: &dyn Env, trace: &mut Trace) -> Result<Value, Stop> {
    Eval { env, trace, fuel: FUEL, left: BUILT_MAX, locals: Vec::new() }.tree(&expr.tree)
}

struct Eval<'e> {
    env: &'e dyn Env,
    trace: &'e mut Trace,
    fuel: u32,
    /// What may still be built.
    left: usize,
    locals: Vec<(String, Value)>,
}

fn failed(range: &Range<usize>, message: impl Into<String>) -> Stop {
    Stop::Failed { range: range.clone(), message: message.into() }
}

/// Of two stops the unknown one speaks, and two unknown ones together.
fn worse(a: Stop, b: Stop) -> Stop {
    match (a, b) {
        (Stop::Unknown(mut a), Stop::Unknown(b)) => {
            a.extend(b);
            Stop::Unknown(a)
        }
        (unknown @ Stop::Unknown(_), _) | (_, unknown @ Stop::Unknown(_)) => unknown,
        (first, _) => first,
    }
}

impl Eval<'_> {
    fn tree(&mut self, tree: &Tree) -> Result<Value, Stop> {
        self.fuel = self
            .fuel
            .checked_sub(1)
            .ok_or_else(|| failed(&tree.range, "the expression takes too many steps"))?;
        match &tree.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::List(items) => {
                let values = items.iter().map(|item| self.tree(item)).collect::<Result<Vec<_>, _>>()?;
                self.built(tree, Value::List(Arc::new(values)))
            }
            Kind::Name(name) => {
                if let Some((_, value)) = self.locals.iter().rev().find(|(local, _)| local == name) {
                    return Ok(value.clone());
                }
                self.env.root(name).ok_or_else(|| failed(&tree.range, format!("`{name}` is not there")))
            }
            Kind::Field(object, field) => self.field(tree, object, field),
            Kind::Index(object, index) => self.index(tree, object, index),
            Kind::Has(object, field) => match self.tree(object)? {
                Value::Map(entries) => Ok(Value::Bool(entries.contains_key(field.as_str()))),
                _ => Err(failed(&tree.range, "`has` asks an object")),
            },
            Kind::Call(name, arguments) => self.call(tree, name, arguments),
            Kind::Macro(kind, list, name, body) => self.comprehension(tree, *kind, list, name, body),
            Kind::Unary(Unary::Not, inner) => Ok(Value::Bool(!self.bool(inner)?)),
            Kind::Unary(Unary::Minus, inner) => match self.tree(inner)? {
                Value::Int(n) => n
                    .checked_neg()
                    .map(Value::Int)
                    .ok_or_else(|| failed(&tree.range, "the number is too large")),
                _ => Err(failed(&inner.range, "no number")),
            },
            Kind::Binary(Binary::And, left, right) => self.both(left, right, false),
            Kind::Binary(Binary::Or, left, right) => self.both(left, right, true),
            Kind::Binary(operator, left, right) => {
                let (left, right) = match (self.tree(left), self.tree(right)) {
                    (Ok(left), Ok(right)) => (left, right),
                    (Err(a), Err(b)) => return Err(worse(a, b)),
                    (Err(stop), _) | (_, Err(stop)) => return Err(stop),
                };
                let value =
                    operate(*operator, left, right).map_err(|message| failed(&tree.range, message))?;
                if let Value::Str(_) = value { self.built(tree, value) } else { Ok(value) }
            }
            Kind::Choose(condition, yes, no) => {
                if self.bool(condition)? {
                    self.tree(yes)
                } else {
                    self.tree(no)
                }
            }
        }
    }

    /// A value that was made here, as long as all of them together stay within bounds.
    fn built(&mut self, tree: &Tree, value: Value) -> Result<Value, Stop> {
        if spend(&value, &mut self.left) {
            return Ok(value);
        }
        Err(failed(&tree.range, "the expression builds too much"))
    }

    fn bool(&mut self, tree: &Tree) -> Result<bool, Stop> {
        match self.tree(tree)? {
            Value::Bool(b) => Ok(b),
            _ => Err(failed(&tree.range, "neither true nor false")),
        }
    }

    /// `&&` and `||`: one decisive side is enough, whatever the other is; both sides are always looked at, so that
    /// an unknown is never hidden by a failure.
    fn both(&mut self, left: &Tree, right: &Tree, decisive: bool) -> Result<Value, Stop> {
        match (self.bool(left), self.bool(right)) {
            (Ok(value), _) | (_, Ok(value)) if value == decisive => Ok(Value::Bool(decisive)),
            (Ok(_), Ok(_)) => Ok(Value::Bool(!decisive)),
            (Err(a), Err(b)) => Err(worse(a, b)),
            (Err(stop), Ok(_)) | (Ok(_), Err(stop)) => Err(stop),
        }
    }

    fn field(&mut self, tree: &Tree, object: &Tree, field: &str) -> Result<Value, Stop> {
        let Value::Map(entries) = self.tree(object)? else { return Err(failed(&tree.range, "no object")) };
        let value = entries
            .get(field)
            .cloned()
            .ok_or_else(|| failed(&tree.range, format!("`{field}` is missing")))?;
        if !matches!(value, Value::Map(_) | Value::List(_)) {
            self.trace.push((tree.range.clone(), value.to_json().to_string()));
        }
        Ok(value)
    }

    fn index(&mut self, tree: &Tree, object: &Tree, index: &Tree) -> Result<Value, Stop> {
        match (self.tree(object)?, self.tree(index)?) {
            (Value::Map(entries), Value::Str(key)) => {
                entries.get(&key).cloned().ok_or_else(|| failed(&tree.range, format!("`{key}` is missing")))
            }
            (Value::List(items), Value::Int(at)) => usize::try_from(at)
                .ok()
                .and_then(|at| items.get(at).cloned())
                .ok_or_else(|| failed(&tree.range, format!("there is no item {at}"))),
            _ => Err(failed(&tree.range, "neither a map by text nor a list by number")),
        }
    }

    fn call(&mut self, tree: &Tree, name: &str, arguments: &[Tree]) -> Result<Value, Stop> {
        let values = arguments.iter().map(|argument| self.tree(argument)).collect::<Result<Vec<_>, _>>()?;
        let wanted = match name {
            "up" => Some(Status::Up),
            "degraded" => Some(Status::Degraded),
            "down" => Some(Status::Down),
            _ => None,
        };
        match (name, values.as_slice()) {
            (_, [Value::Str(check)]) if wanted.is_some() || name == "known" => {
                let status = self.env.verdict(check);
                self.trace.push((tree.range.clone(), format!("{check} is {}", status.word())));
                match (wanted, status) {
                    (None, status) => Ok(Value::Bool(status != Status::Unknown)),
                    (_, Status::Unknown) => Err(Stop::Unknown(BTreeSet::from([check.to_string()]))),
                    (Some(wanted), status) => Ok(Value::Bool(status == wanted)),
                }
            }
            ("group", [Value::Str(name)]) => {
                self.env.group(name).ok_or_else(|| failed(&tree.range, format!("there is no group `{name}`")))
            }
            ("size", [Value::Str(text)]) => {
                Ok(Value::Int(i64::try_from(text.chars().count()).unwrap_or(i64::MAX)))
            }
            ("size", [Value::List(items)]) => Ok(Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX))),
            ("int", [Value::Str(text)]) => text
                .parse()
                .map(Value::Int)
                .map_err(|_| failed(&tree.range, format!("`{text}` is no whole number"))),
            ("int", [Value::Int(n)]) => Ok(Value::Int(*n)),
            ("string", [Value::Int(n)]) => Ok(Value::str(n.to_string())),
            ("string", [Value::Str(text)]) => Ok(Value::Str(text.clone())),
            ("duration", [Value::Str(text)]) => regreen_schemas::time::parse_span(text)
                .map(Value::Span)
                .ok_or_else(|| failed(&tree.range, format!("`{text}` is no duration"))),
            ("startsWith", [Value::Str(text), Value::Str(part)]) => {
                Ok(Value::Bool(text.starts_with(part.as_ref())))
            }
            ("endsWith", [Value::Str(text), Value::Str(part)]) => {
                Ok(Value::Bool(text.ends_with(part.as_ref())))
            }
            ("contains", [Value::Str(text), Value::Str(part)]) => {
                Ok(Value::Bool(text.contains(part.as_ref())))
            }
            _ => Err(failed(&tree.range, format!("`{name}` can't be called with this"))),
        }
    }

    fn comprehension(
        &mut self,
        tree: &Tree,
        kind: Macro,
        list: &Tree,
        name: &str,
        body: &Tree,
    ) -> Result<Value, Stop> {
        let Value::List(items) = self.tree(list)? else { return Err(failed(&list.range, "no list")) };
        let mut stop: Option<Stop> = None;
        let mut out = Vec::new();
        for item in items.iter() {
            self.locals.push((name.to_owned(), item.clone()));
            let value = self.tree(body);
            self.locals.pop();
            match (kind, value) {
                (Macro::Exists, Ok(Value::Bool(true))) => return Ok(Value::Bool(true)),
                (Macro::All, Ok(Value::Bool(false))) => return Ok(Value::Bool(false)),
                (Macro::Filter, Ok(Value::Bool(true))) => out.push(item.clone()),
                (Macro::Exists | Macro::All | Macro::Filter, Ok(Value::Bool(_))) => {}
                (Macro::Map, Ok(value)) => out.push(value),
                (_, Ok(_)) => return Err(failed(&body.range, "neither true nor false")),
                // A decisive later item may still settle it, as `||` and `&&` would.
                (Macro::Exists | Macro::All, Err(error)) => {
                    stop = Some(match stop {
                        Some(first) => worse(first, error),
                        None => error,
                    });
                }
                (Macro::Filter | Macro::Map, Err(error)) => return Err(error),
            }
        }
        match (stop, kind) {
            (Some(stop), _) => Err(stop),
            (None, Macro::Exists) => Ok(Value::Bool(false)),
            (None, Macro::All) => Ok(Value::Bool(true)),
            (None, _) if out.len() > BUILD_MAX => Err(failed(&tree.range, "the list grows too long")),
            (None, Macro::Filter | Macro::Map) => self.built(tree, Value::List(Arc::new(out))),
        }
    }
}

/// Takes a value's size off what is left; false where that is not enough.
fn spend(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::Str(text) => 1 + text.len(),
        // Objects of the inventory are there already.
        _ => 1,
    };
    let Some(rest) = left.checked_sub(own) else {
        *left = 0;
        return false;
    };
    *left = rest;
    match value {
        Value::List(items) => items.iter().all(|item| spend(item, left)),
        _ => true,
    }
}

fn operate(operator: Binary, left: Value, right: Value) -> Result<Value, String> {
    use std::cmp::Ordering;
    let compare = |wanted: fn(Ordering) -> bool| -> Result<Value, String> {
        let ordering = match (&left, &right) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            (Value::Span(a), Value::Span(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            _ => return Err("these can't be compared".into()),
        };
        Ok(Value::Bool(wanted(ordering)))
    };
    let number = |result: Option<i64>| {
        result.map(Value::Int).ok_or_else(|| "the number is too large, or divided by zero".to_owned())
    };
    match (operator, &left, &right) {
        (Binary::Eq, a, b) => same(a, b).map(Value::Bool),
        (Binary::Ne, a, b) => same(a, b).map(|same| Value::Bool(!same)),
        (Binary::Lt, ..) => compare(Ordering::is_lt),
        (Binary::Le, ..) => compare(Ordering::is_le),
        (Binary::Gt, ..) => compare(Ordering::is_gt),
        (Binary::Ge, ..) => compare(Ordering::is_ge),
        (Binary::In, item, Value::List(items)) => Ok(Value::Bool(items.contains(item))),
        (Binary::In, Value::Str(key), Value::Map(entries)) => Ok(Value::Bool(entries.contains_key(key))),
        (Binary::Add, Value::Str(a), Value::Str(b)) if a.len() + b.len() <= BUILD_MAX => {
            Ok(Value::str(format!("{a}{b}")))
        }
        (Binary::Add, Value::Span(a), Value::Span(b)) => Ok(Value::Span(*a + *b)),
        (Binary::Add, Value::Time(a), Value::Span(b)) => Ok(Value::Time(*a + *b)),
        (Binary::Sub, Value::Time(a), Value::Time(b)) => Ok(Value::Span(*a - *b)),
        (Binary::Add, Value::Int(a), Value::Int(b)) => number(a.checked_add(*b)),
        (Binary::Sub, Value::Int(a), Value::Int(b)) => number(a.checked_sub(*b)),
        (Binary::Mul, Value::Int(a), Value::Int(b)) => number(a.checked_mul(*b)),
        (Binary::Div, Value::Int(a), Value::Int(b)) => number(a.checked_div(*b)),
        (Binary::Rem, Value::Int(a), Value::Int(b)) => number(a.checked_rem(*b)),
        _ => Err("this operator does not take these".into()),
    }
}

/// Only values of one type can be equal or not: text against number is a mistake, never silently false.
fn same(a: &Value, b: &Value) -> Result<bool, String> {
    if std::mem::discriminant(a) == std::mem::discriminant(b) {
        Ok(a == b)
    } else {
        Err("values of different types are compared".into())
    }
}

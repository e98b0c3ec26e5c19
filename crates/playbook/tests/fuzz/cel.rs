//! Expressions of a wanted type, from the tables of functions and objects: what is generated is well typed, and every
//! name in it has a value.

use std::sync::Arc;

use regreen_playbook::{
    cel::{Env, Scope},
    names::{self, Field},
    value::{Type, Value},
};
use regreen_schemas::{Span, Timestamp, check::Status};

use super::dice::Dice;

/// What is visible: a root for every object, and one of each simple type.
pub fn scope() -> Scope {
    Scope { roots: roots().into_iter().map(|(name, kind, _)| (name, kind)).collect(), ..Scope::default() }
}

fn roots() -> Vec<(String, Type, Value)> {
    let objects = ["node", "group", "service", "run"];
    let mut out: Vec<(String, Type, Value)> =
        objects.iter().map(|kind| (format!("o_{kind}"), Type::Object(kind), object(kind, 3))).collect();
    for (name, kind) in [
        ("t", Type::Bool),
        ("i", Type::Int),
        ("s", Type::Str),
        ("d", Type::Span),
        ("m", Type::Time),
        ("ls", Type::List(Box::new(Type::Str))),
        ("li", Type::List(Box::new(Type::Int))),
        ("ln", Type::List(Box::new(Type::Object("node")))),
    ] {
        let value = sample(&kind, 3);
        out.push((name.to_owned(), kind, value));
    }
    out
}

fn object(kind: &str, depth: usize) -> Value {
    Value::map(names::fields(kind).iter().map(|field| (field.name, sample(&field.field.kind(), depth))))
}

fn sample(kind: &Type, depth: usize) -> Value {
    match kind {
        Type::Bool => Value::Bool(true),
        Type::Int => Value::Int(7),
        Type::Span => Value::Span(Span::seconds(90)),
        Type::Time => Value::Time(Timestamp(1_000_000)),
        Type::Labels => Value::map([("x", Value::str("y"))]),
        Type::List(inner) if depth > 0 => Value::List(Arc::new(vec![sample(inner, depth - 1); 2])),
        Type::List(_) => Value::List(Arc::new(Vec::new())),
        Type::Object(kind) if depth > 0 => object(kind, depth - 1),
        Type::Object(_) => Value::map::<&str>([]),
        _ => Value::str("a1"),
    }
}

/// The values of all that is visible; verdicts are random, and sometimes unknown.
pub struct World {
    roots: Vec<(String, Type, Value)>,
    seed: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self { roots: roots(), seed }
    }
}

impl Env for World {
    fn root(&self, name: &str) -> Option<Value> {
        self.roots.iter().find(|(root, ..)| root == name).map(|(.., value)| value.clone())
    }

    fn verdict(&self, check: &str) -> Status {
        let all = [Status::Up, Status::Degraded, Status::Down, Status::Unknown];
        *Dice::new(self.seed ^ check.len() as u64).pick(&all)
    }

    fn group(&self, _: &str) -> Option<Value> {
        Some(object("group", 3))
    }
}

/// Writes expressions.
pub struct Writer<'d> {
    dice: &'d mut Dice,
    locals: Vec<(String, Type)>,
    left: usize,
}

impl<'d> Writer<'d> {
    pub const fn new(dice: &'d mut Dice) -> Self {
        Self { dice, locals: Vec::new(), left: 40 }
    }

    /// An expression of a type.
    pub fn of(&mut self, kind: &Type) -> String {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || self.dice.chance(25) {
            return self.leaf(kind);
        }
        if self.dice.chance(10) {
            let (condition, yes, no) = (self.of(&Type::Bool), self.of(kind), self.of(kind));
            return format!("({condition} ? {yes} : {no})");
        }
        if self.dice.chance(35)
            && let Some(call) = self.call(kind)
        {
            return call;
        }
        match kind {
            Type::Bool => self.truth(),
            Type::Int => {
                let operator = *self.dice.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.of(kind), self.of(kind))
            }
            Type::Str => format!("({} + {})", self.of(kind), self.of(kind)),
            Type::List(inner) => self.listing(inner),
            _ => self.leaf(kind),
        }
    }

    /// A type to ask for.
    pub fn kind(&mut self) -> Type {
        let list = |inner| Type::List(Box::new(inner));
        let kinds = [
            Type::Bool,
            Type::Int,
            Type::Str,
            Type::Span,
            Type::Time,
            list(Type::Str),
            list(Type::Int),
            list(list(Type::Int)),
        ];
        self.dice.pick(&kinds).clone()
    }

    fn truth(&mut self) -> String {
        let boolean = Type::Bool;
        match self.dice.below(6) {
            0 => format!("({} && {})", self.of(&boolean), self.of(&boolean)),
            1 => format!("({} || {})", self.of(&boolean), self.of(&boolean)),
            2 => format!("!({})", self.of(&boolean)),
            3 => {
                let kind = self.dice.pick(&[Type::Int, Type::Str, Type::Span, Type::Time]).clone();
                let operator = *self.dice.pick(&["==", "!=", "<", "<=", ">", ">="]);
                format!("({} {operator} {})", self.of(&kind), self.of(&kind))
            }
            4 => {
                let kind = self.dice.pick(&[Type::Int, Type::Str]).clone();
                format!("({} in {})", self.of(&kind), self.of(&Type::List(Box::new(kind.clone()))))
            }
            _ => {
                let word = *self.dice.pick(&["exists", "all"]);
                self.over(word, &Type::Bool)
            }
        }
    }

    fn over(&mut self, word: &str, gives: &Type) -> String {
        let kind = self.dice.pick(&[Type::Int, Type::Str, Type::Object("node")]).clone();
        let list = self.of(&Type::List(Box::new(kind.clone())));
        let name = format!("x{}", self.locals.len());
        self.locals.push((name.clone(), kind));
        let body = self.of(gives);
        self.locals.pop();
        format!("{list}.{word}({name}, {body})")
    }

    fn listing(&mut self, inner: &Type) -> String {
        if matches!(inner, Type::Object(_)) || self.dice.chance(30) {
            let list = self.leaf(&Type::List(Box::new(inner.clone())));
            let name = format!("x{}", self.locals.len());
            self.locals.push((name.clone(), inner.clone()));
            let body = self.of(&Type::Bool);
            self.locals.pop();
            return format!("{list}.filter({name}, {body})");
        }
        if self.dice.chance(50) {
            return self.over("map", inner);
        }
        format!("[{}, {}]", self.of(inner), self.of(inner))
    }

    /// A function that gives the type.
    fn call(&mut self, kind: &Type) -> Option<String> {
        let forms: Vec<_> = names::functions()
            .iter()
            .flat_map(|function| function.forms.iter().map(move |form| (function, form)))
            .filter(|(_, form)| form.gives.kind() == *kind && !matches!(form.gives, Field::Result))
            .collect();
        if forms.is_empty() {
            return None;
        }
        let (function, form) = *self.dice.pick(&forms);
        let arguments: Vec<String> = form
            .takes
            .iter()
            .map(|taken| match taken {
                Field::AnyList => self.of(&Type::List(Box::new(Type::Str))),
                _ if function.name == "duration" => "\"1h30m\"".to_owned(),
                taken => self.of(&taken.kind()),
            })
            .collect();
        Some(if function.usage.contains(&format!(".{}(", function.name)) {
            format!("{}.{}({})", arguments[0], function.name, arguments[1..].join(", "))
        } else {
            format!("{}({})", function.name, arguments.join(", "))
        })
    }

    fn leaf(&mut self, kind: &Type) -> String {
        let mut known: Vec<String> = Vec::new();
        known.extend(self.locals.iter().filter(|(_, local)| local == kind).map(|(name, _)| name.clone()));
        for (name, root, _) in roots() {
            if root == *kind {
                known.push(name.clone());
            }
            if let Type::Object(object) = root {
                let fields = names::fields(object).iter().filter(|field| field.field.kind() == *kind);
                known.extend(fields.map(|field| format!("{name}.{}", field.name)));
            }
        }
        match kind {
            Type::Bool => known
                .extend(["true", "false", "up(\"a\")", "down(\"bb\")", "known(\"ccc\")"].map(str::to_owned)),
            Type::Int => known.extend(["0", "3", "9223372036854775807"].map(str::to_owned)),
            Type::Str => known.extend(["\"\"", "\"a1\"", "'x'"].map(str::to_owned)),
            Type::Span => known.push("duration(\"5m\")".to_owned()),
            Type::List(inner) if known.is_empty() => known.push(format!("[{}]", self.leaf(inner))),
            _ => {}
        }
        self.dice.pick(&known).clone()
    }
}

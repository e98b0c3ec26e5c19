//! Our own bounded subset of CEL (docs/adr): three values, exact places, a height that no input can exceed. An
//! *unknown* verdict passes `!`, `&&`, `||` like a CEL error, never becomes true, and wins over any failure.

pub mod check;
pub mod eval;
pub mod facts;
mod parse;
mod scope;

use std::ops::Range;

pub use check::check;
pub use eval::{Env, Stop, Trace, eval};
pub use facts::{Fact, constant, facts};
pub use parse::parse;
pub use scope::{Gives, Scope, Seen};

/// Most tokens of an expression.
pub const TOKENS_MAX: usize = 400;
/// Deepest nesting of an expression.
pub const HEIGHT_MAX: usize = 64;

/// An expression with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// As written.
    pub text: String,
    /// Its tree.
    pub tree: Tree,
}

/// A node of the tree with its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Bytes in the text.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

impl Tree {
    /// The parts that it is made of.
    #[must_use]
    pub fn inner(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::Literal(_) | Kind::Name(_) => Vec::new(),
            Kind::List(items) | Kind::Call(_, items) => items.iter().collect(),
            Kind::Field(a, _) | Kind::Has(a, _) | Kind::Unary(_, a) => vec![a],
            Kind::Index(a, b) | Kind::Macro(_, a, _, b) | Kind::Binary(_, a, b) => vec![a, b],
            Kind::Choose(a, b, c) => vec![a, b, c],
        }
    }
}

/// Kinds of expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true`, `7`, `"text"`.
    Literal(crate::value::Value),
    /// `[a, b]`.
    List(Vec<Tree>),
    /// A root name.
    Name(String),
    /// `a.b`.
    Field(Box<Tree>, String),
    /// `a["b"]`, `a[0]`.
    Index(Box<Tree>, Box<Tree>),
    /// `f(a)`, or `a.f(b)` with the receiver first.
    Call(String, Vec<Tree>),
    /// `a.exists(x, p)` and its kin.
    Macro(Macro, Box<Tree>, String, Box<Tree>),
    /// `has(a.b)`.
    Has(Box<Tree>, String),
    /// `!a`, `-a`.
    Unary(Unary, Box<Tree>),
    /// `a + b`.
    Binary(Binary, Box<Tree>, Box<Tree>),
    /// `a ? b : c`.
    Choose(Box<Tree>, Box<Tree>, Box<Tree>),
}

/// Macros over lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Macro {
    /// Some item.
    Exists,
    /// Every item.
    All,
    /// Those items.
    Filter,
    /// Each item turned.
    Map,
}

/// Operators before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `!`
    Not,
    /// `-`
    Minus,
}

/// Operators between values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `in`
    In,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub range: Range<usize>,
    /// What was expected.
    pub message: String,
}

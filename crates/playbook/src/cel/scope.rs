//! What is visible where an expression stands: names with their types, earlier steps, and what is known to be so.

use std::sync::Arc;

use super::facts::Fact;
use crate::value::Type;

/// What is visible where an expression stands.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Root names with their types. `steps` is one of them where steps are visible.
    pub roots: Vec<(String, Type)>,
    /// Roots that exist only for some triggers, with the reason (RG307).
    pub absent: Vec<(&'static str, String)>,
    /// Earlier steps.
    pub steps: Vec<Seen>,
    /// What is known to be so here: by matchers, by `when`, by the `if` of a step and of those around it.
    pub facts: Vec<Fact>,
    /// Roots whose type a finding elsewhere hides.
    pub unclear: Vec<String>,
    /// Roots that hold what comes from outside, beside those that always do.
    pub outside: Vec<String>,
}

/// An earlier step, as expressions see it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub id: Arc<str>,
    /// Its result.
    pub gives: Gives,
    /// It is done and well whenever this is evaluated; else its result may be absent (RG306).
    pub sure: bool,
}

/// What a step gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A result of this type.
    Result(Type),
    /// No result.
    Nothing,
    /// A finding elsewhere hides it.
    Unclear,
}

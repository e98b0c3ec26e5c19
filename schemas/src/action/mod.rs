//! Declarations of actions: what check, decider and runner must agree on. Implementations live in the services
//! that host them; a declaration's hash travels in `serves`, so that two builds notice when they differ.

pub mod digitalocean;
pub mod elasticsearch;
pub mod haproxy;
pub mod host;
mod http;
mod tell;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use host::EXEC_RUN;
pub use http::HTTP_REQUEST;
pub use tell::{TELLS, TellVerb, telling};

use crate::Span;

/// Timeout of an attempt, where neither the step nor the action says another.
pub const TIMEOUT: Span = Span::seconds(30);

/// What a second try may do: decides what happens after an unknown outcome (rule 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing: needs no ticket.
    Read,
    /// Twice is as good as once.
    Idempotent,
    /// Can be looked up after an unknown outcome.
    Reconcilable,
    /// Neither: a human answers an unknown outcome.
    AtMostOnce,
    /// Tells people: twice is better than never, and it may speak while the stop switch is on (rule 16).
    Tell,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// Text.
    Text,
    /// Text that becomes a URL: values from templates are percent-encoded.
    Url,
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// Whole numbers.
    Ints,
    /// Names to text.
    Headers,
    /// Any value; goes out as JSON.
    Json,
    /// A whole number.
    Int,
    /// True or false.
    Bool,
    /// A length of time.
    Duration,
    /// Text that is run or read as code: nothing from outside may stand in it.
    Code,
    /// A node of the inventory.
    Node,
    /// A group of the inventory.
    Group,
    /// How to look an outcome up: `{url, done}`.
    Observe,
}

/// One parameter of an action.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Param {
    /// Its key under `with`.
    pub name: &'static str,
    /// Its type.
    pub kind: ParamType,
    /// Whether it must be given.
    pub required: bool,
    /// What it means, for the reference.
    pub doc: &'static str,
}

impl Param {
    const fn must(name: &'static str, kind: ParamType, doc: &'static str) -> Self {
        Self { name, kind, required: true, doc }
    }

    const fn may(name: &'static str, kind: ParamType, doc: &'static str) -> Self {
        Self { name, kind, required: false, doc }
    }
}

/// Type of a field of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// JSON as it came: only templates read it.
    Json,
    /// A node, whether or not the inventory has it yet: `{name, id, address, group}`.
    Node,
}

/// An action as declared.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Declaration {
    /// `provider.noun[.verb]`.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Parameters.
    pub params: &'static [Param],
    /// Effect class, unless the parameters decide it.
    pub effect: Effect,
    /// Whether authors may `use` it.
    pub authors: bool,
    /// Whether it can destroy, or interrupt what works; of `http.request` and `exec.run` their parameters say it.
    pub destructive: bool,
    /// Whether nothing can take it back.
    pub irreversible: bool,
    /// The action that undoes it, with the same parameters.
    pub undo: Option<&'static str>,
    /// What its result holds.
    pub result: &'static [(&'static str, FieldType)],
    /// Of one attempt, unless the step says.
    pub timeout: Span,
    /// The field of the result that is a node which is there now.
    pub adds: Option<&'static str>,
    /// The parameter whose node is gone afterwards.
    pub removes: Option<&'static str>,
}

impl Declaration {
    /// What changes nothing: the others are made of it.
    const fn new(name: &'static str, doc: &'static str, params: &'static [Param]) -> Self {
        Self {
            name,
            doc,
            params,
            effect: Effect::Read,
            authors: true,
            destructive: false,
            irreversible: false,
            undo: None,
            result: &[],
            timeout: TIMEOUT,
            adds: None,
            removes: None,
        }
    }

    /// The provider: the first part of the name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }

    /// Hash over the whole declaration, for `serves`.
    #[must_use]
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("invariant: a declaration is plain data");
        crate::hash::h(&[&bytes])
    }
}

/// Every action that this build declares.
pub fn all() -> impl Iterator<Item = &'static Declaration> {
    let providers = [digitalocean::ALL, elasticsearch::ALL, haproxy::ALL, host::ALL];
    let providers = providers.into_iter().flatten().copied();
    let tells = TELLS.iter().map(|(_, _, declaration)| declaration);
    std::iter::once(&HTTP_REQUEST).chain(providers).chain(tells)
}

/// The declaration of an action.
#[must_use]
pub fn find(name: &str) -> Option<&'static Declaration> {
    all().find(|declaration| declaration.name == name)
}

#[cfg(test)]
mod tests;

//! Actions as playbooks see them: those that this build knows, and foreign ones that an `actions:` file declares.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    Span,
    action::{self, Declaration, Effect, FieldType, ParamType},
    hash::h,
};

use crate::value::Type;

pub use regreen_schemas::action::TIMEOUT;

/// An action.
#[derive(Clone, Debug)]
pub struct Action {
    /// `provider.noun[.verb]`.
    pub name: Arc<str>,
    /// One sentence.
    pub doc: Arc<str>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Effect class, unless the parameters decide it.
    pub effect: Effect,
    /// Whether it can destroy.
    pub destructive: bool,
    /// What it did can't be undone: nothing before it is undone either.
    pub irreversible: bool,
    /// What its result holds; none: not known, and only templates may read it.
    pub result: Option<BTreeMap<Arc<str>, Type>>,
    /// The action that undoes it, with the same parameters.
    pub undo: Option<Arc<str>>,
    /// Of one attempt, unless the step says.
    pub timeout: Span,
    /// The field of its result that is a node which is there now.
    pub adds: Option<Arc<str>>,
    /// The parameter whose node is gone afterwards.
    pub removes: Option<Arc<str>>,
    /// Whether it is only declared: no runner of this release has it.
    pub foreign: bool,
    /// Hash of the declaration: whoever serves it must know the same.
    pub declared: Arc<str>,
}

/// A parameter of an action.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its key under `with`.
    pub name: Arc<str>,
    /// Its type.
    pub kind: ParamKind,
    /// Whether it must be given.
    pub required: bool,
    /// What it means.
    pub doc: Arc<str>,
}

/// Type of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// As of the actions that this build knows.
    Is(ParamType),
    /// One of a few words.
    OneOf(Vec<Arc<str>>),
    /// A service of the inventory.
    Service,
    /// A receiver of the policy.
    Receiver,
}

/// Words of a parameter's type in an `actions:` file.
pub const PARAM_WORDS: &[(&str, ParamKind)] = &[
    ("text", ParamKind::Is(ParamType::Text)),
    ("url", ParamKind::Is(ParamType::Url)),
    ("int", ParamKind::Is(ParamType::Int)),
    ("bool", ParamKind::Is(ParamType::Bool)),
    ("duration", ParamKind::Is(ParamType::Duration)),
    ("json", ParamKind::Is(ParamType::Json)),
    ("code", ParamKind::Is(ParamType::Code)),
    ("node", ParamKind::Is(ParamType::Node)),
    ("group", ParamKind::Is(ParamType::Group)),
    ("service", ParamKind::Service),
    ("receiver", ParamKind::Receiver),
];

impl Action {
    /// The provider: the first part of the name.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// Whether the decider itself does it, and no runner.
    #[must_use]
    pub fn internal(&self) -> bool {
        matches!(&*self.name, NOTIFY_SEND | ENDPOINT_SET)
    }
}

/// Tells a receiver something. Succeeds once it is sure to be said.
pub const NOTIFY_SEND: &str = "notify.send";
/// Says which group serves a service: what `GET /v1/endpoints/{service}` answers.
pub const ENDPOINT_SET: &str = "endpoint.set";

/// Every action that this build knows and authors may use.
#[must_use]
pub fn known() -> Vec<Action> {
    let runners = action::all().filter(|declared| declared.authors).map(of);
    runners.chain([notify_send(), endpoint_set()]).collect()
}

fn of(declared: &Declaration) -> Action {
    let param = |param: &action::Param| Param {
        name: param.name.into(),
        kind: ParamKind::Is(param.kind),
        required: param.required,
        doc: param.doc.into(),
    };
    let result = declared.result.iter().map(|(name, kind)| (Arc::from(*name), field(*kind)));
    Action {
        name: declared.name.into(),
        doc: declared.doc.into(),
        params: declared.params.iter().map(param).collect(),
        effect: declared.effect,
        destructive: declared.destructive,
        irreversible: declared.irreversible,
        result: Some(result.collect()),
        undo: declared.undo.map(Arc::from),
        timeout: declared.timeout,
        adds: declared.adds.map(Arc::from),
        removes: declared.removes.map(Arc::from),
        foreign: false,
        declared: declared.hash().into(),
    }
}

const fn field(kind: FieldType) -> Type {
    match kind {
        FieldType::Text => Type::Str,
        FieldType::Int => Type::Int,
        FieldType::Json => Type::Json,
        FieldType::Node => Type::Object("node"),
    }
}

fn internal(name: &'static str, doc: &str, effect: Effect, params: Vec<Param>) -> Action {
    Action {
        name: name.into(),
        doc: doc.into(),
        params,
        effect,
        destructive: false,
        irreversible: false,
        result: Some(BTreeMap::new()),
        undo: None,
        timeout: TIMEOUT,
        adds: None,
        removes: None,
        foreign: false,
        declared: h(&[name.as_bytes()]).into(),
    }
}

fn must(name: &str, kind: ParamKind, doc: &str) -> Param {
    Param { name: name.into(), kind, required: true, doc: doc.into() }
}

fn notify_send() -> Action {
    let to = must("to", ParamKind::Receiver, "A receiver of `policy:`.");
    let text = must("text", ParamKind::Is(ParamType::Text), "What to say.");
    internal(
        NOTIFY_SEND,
        "Tells a receiver something; done once it is sure to be said.",
        Effect::Tell,
        vec![to, text],
    )
}

fn endpoint_set() -> Action {
    let service = must("service", ParamKind::Service, "The service.");
    let active = must("active", ParamKind::Is(ParamType::Group), "The group that serves it from now on.");
    let mut action = internal(
        ENDPOINT_SET,
        "Says which group serves a service; consumers read it at `GET /v1/endpoints/{service}`.",
        Effect::Idempotent,
        vec![service, active],
    );
    action.undo = Some(ENDPOINT_SET.into());
    action
}

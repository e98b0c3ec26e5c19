//! A checked playbook: what the decider runs. Nothing here can be wrong any more, except for what only the moment
//! can tell.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{
    PlaybookName, Span,
    action::{Declaration, Effect},
    check::Status,
    event::Mode,
};

use crate::{
    cel::Expr,
    matcher::Matcher,
    template::Template,
    value::{Type, Value},
};

/// Name of the approvers unless given; `policy:` may let it name another group.
pub const DEFAULT_APPROVERS: &str = "default";

/// A playbook.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// Its name.
    pub name: PlaybookName,
    /// What it is for.
    pub description: String,
    /// Whether it may act.
    pub mode: Mode,
    /// What it acts on.
    pub target: TargetKind,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// Whether it wants to.
    pub when: Option<Expr>,
    /// Its inputs.
    pub inputs: BTreeMap<Arc<str>, Input>,
    /// What may forbid or delay it.
    pub guard: Guard,
    /// What it does.
    pub steps: Vec<Step>,
    /// The closing verify.
    pub verify: Vec<Verify>,
    /// What a resolved alert does to a run.
    pub on_resolved: OnResolved,
    /// No step begins later.
    pub deadline: Span,
    /// Who follows its runs: one thread a run.
    pub notify: Vec<Arc<str>>,
    /// Whom to tell.
    pub escalate: Vec<Escalate>,
}

impl Playbook {
    /// Whether any step can destroy.
    #[must_use]
    pub fn destructive(&self) -> bool {
        self.steps.iter().any(|step| matches!(&step.kind, StepKind::Use(action) if action.destructive))
    }
}

impl Playbook {
    /// Asks the group that `default` names by its own name, for people to read.
    pub(crate) fn ask_by_name(&mut self, default: &Arc<str>) {
        let steps = self.steps.iter_mut().filter_map(|step| match &mut step.kind {
            StepKind::Approve(approve) => Some(&mut approve.asked),
            _ => None,
        });
        for asked in steps.chain(&mut self.guard.approval).filter(|asked| *asked.by == *DEFAULT_APPROVERS) {
            asked.by = default.clone();
        }
    }

    /// Given inputs with defaults filled in, as declared.
    ///
    /// # Errors
    /// Says which input is missing, unknown, of the wrong type or not among the allowed values.
    pub fn typed_inputs(
        &self,
        given: &BTreeMap<Arc<str>, serde_json::Value>,
    ) -> Result<BTreeMap<Arc<str>, serde_json::Value>, String> {
        if let Some(unknown) = given.keys().find(|name| !self.inputs.contains_key(*name)) {
            return Err(format!("there is no input `{unknown}`"));
        }
        let mut out = BTreeMap::new();
        for (name, input) in &self.inputs {
            let value = match given.get(name) {
                // The command line knows only text.
                Some(serde_json::Value::String(text)) => crate::read::parse_input(text, &input.kind),
                Some(other) => Value::from_json(other),
                None => input.default.clone(),
            };
            let value = value.ok_or_else(|| format!("input `{name}` is missing or no {}", input.kind))?;
            let fits = matches!(
                (&value, &input.kind),
                (Value::Str(_), Type::Str) | (Value::Int(_), Type::Int) | (Value::Bool(_), Type::Bool)
            );
            if !fits || !(input.one_of.is_empty() || input.one_of.contains(&value)) {
                return Err(format!("input `{name}` can't be `{value}`"));
            }
            out.insert(name.clone(), value.to_json());
        }
        Ok(out)
    }
}

/// What a playbook acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Nothing of the inventory.
    None,
    /// A node.
    Node,
    /// A group.
    Group,
}

/// What starts a playbook.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// An alert that these all match.
    Alert {
        /// Alertmanager's matchers.
        matchers: Vec<Matcher>,
        /// Name of the target.
        target: Option<Template>,
    },
    /// A person.
    Manual {
        /// The group that may; any operator unless given.
        by: Option<Arc<str>>,
    },
}

/// A declared input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its type.
    pub kind: Type,
    /// Taken when it is not given.
    pub default: Option<Value>,
    /// The only values; all, when empty.
    pub one_of: Vec<Value>,
}

/// What may forbid or delay a run.
#[derive(Clone, Debug)]
pub struct Guard {
    /// What is locked.
    pub scope: LockScope,
    /// What to do while it is taken.
    pub busy: Busy,
    /// How long to queue.
    pub wait: Span,
    /// Since the end of the last run that dispatched an effect.
    pub cooldown: Option<Span>,
    /// Most destructive attempts.
    pub budgets: Vec<Budget>,
    /// Healthy other nodes that must remain.
    pub min_healthy: Option<MinHealthy>,
    /// Vantages that must agree; the check's own number when absent.
    pub quorum: Option<u32>,
    /// Who must say yes before the first effect.
    pub approval: Option<Approval>,
}

/// An approval that is needed. No answer is a no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The group of approvers.
    pub by: Arc<str>,
    /// How long an answer is waited for.
    pub within: Span,
}

/// A step that asks.
#[derive(Clone, Debug)]
pub struct Approve {
    /// Whom, and for how long.
    pub asked: Approval,
    /// What to say.
    pub text: Option<Template>,
}

/// How wide the lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockScope {
    /// The target itself.
    Target,
    /// The target's group.
    Group,
    /// Everything.
    Domain,
}

/// What to do while the lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Wait in line.
    Queue,
    /// Give up.
    Skip,
}

/// A budget of destructive attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most.
    pub max: u32,
    /// In this time.
    pub per: Span,
    /// Of what.
    pub scope: BudgetScope,
}

/// What a budget counts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BudgetScope {
    /// This playbook.
    Playbook,
    /// The target's group.
    Group,
    /// The action's provider.
    Provider,
    /// Everything.
    Domain,
}

impl BudgetScope {
    /// The word in YAML.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Playbook => "playbook",
            Self::Group => "group",
            Self::Provider => "provider",
            Self::Domain => "domain",
        }
    }
}

/// Healthy other nodes that must remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinHealthy {
    /// So many.
    AtLeast(u32),
    /// This share of all nodes of the group, rounded up.
    Percent(u32),
}

/// What a resolved alert does to its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnResolved {
    /// Settle what is under way, drop the rest, look.
    Cancel,
    /// As if it had not come.
    Continue,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name.
    pub id: Arc<str>,
    /// Otherwise it is skipped.
    pub condition: Option<Expr>,
    /// Whether the run goes on when it fails.
    pub goes_on: bool,
    /// What it does.
    pub kind: StepKind,
}

/// Kinds of steps.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Use an action.
    Use(Use),
    /// Watch a check until it holds.
    Verify(Verify),
    /// Ask a person.
    Approve(Approve),
    /// Let time pass.
    Wait(Span),
}

/// Use of an action.
#[derive(Clone, Debug)]
pub struct Use {
    /// Its declaration.
    pub action: &'static Declaration,
    /// Hash of the declaration: whoever serves it must know the same.
    pub declared: Arc<str>,
    /// Its parameters.
    pub args: Vec<(&'static str, Arg)>,
    /// The inventory object it acts on.
    pub subject: Option<Subject>,
    /// Effect class with these parameters.
    pub effect: Effect,
    /// Whether it can destroy.
    pub destructive: bool,
    /// Of one attempt.
    pub timeout: Span,
    /// The first included.
    pub attempts: u32,
}

/// The inventory object that an action acts on.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The run's target, or a path to an object.
    Path(Template),
    /// A node by name.
    Node(Arc<str>),
    /// A group by name.
    Group(Arc<str>),
}

/// A parameter, as far as it is known before the run.
#[derive(Clone, Debug)]
pub enum Arg {
    /// Known.
    Constant(serde_json::Value),
    /// Filled in.
    Template(Template, Escape),
    /// A map with such values.
    Map(Vec<(String, Arg)>),
    /// A list with such values.
    List(Vec<Arg>),
    /// A reference to a secret; only the runner has it.
    Secret(String),
}

/// How a value gets into the text of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As it is.
    Plain,
    /// Percent-encoded.
    Url,
    /// Without control characters.
    Header,
}

/// Watch a check until it holds.
#[derive(Clone, Debug)]
pub struct Verify {
    /// Its name.
    pub check: Template,
    /// The status to hold.
    pub is: Status,
    /// For how long.
    pub hold: Span,
    /// When to give up.
    pub within: Span,
}

/// Whom to tell.
#[derive(Clone, Debug)]
pub struct Escalate {
    /// The receiver.
    pub to: Arc<str>,
    /// How long after the end.
    pub after: Span,
    /// What to say.
    pub text: Option<Template>,
}

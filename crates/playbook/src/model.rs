//! A checked playbook: what the decider runs. Nothing here can be wrong any more, except for what only the moment
//! can tell.

use std::{collections::BTreeMap, sync::Arc};

use regreen_schemas::{PlaybookName, Span, action::Effect, check::Status, event::Mode, run::RunResult};

use crate::{
    action::Action,
    cel::Expr,
    matcher::Matcher,
    schedule::Schedule,
    template::{File, Template},
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
    /// Whether it may act, where it says so; without triggers its callers say.
    pub mode: Option<Mode>,
    /// What it acts on.
    pub target: TargetKind,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// Which of these together start it.
    pub correlate: Option<Correlate>,
    /// Whether it wants to.
    pub when: Option<Expr>,
    /// Its inputs.
    pub inputs: BTreeMap<Arc<str>, Input>,
    /// Constants.
    pub vars: BTreeMap<Arc<str>, Value>,
    /// What it gives its caller.
    pub outputs: Vec<Output>,
    /// What may forbid or delay it.
    pub guard: Guard,
    /// What it does.
    pub steps: Vec<Step>,
    /// What is done at the end, whatever happened; each of them is tried.
    pub finally: Vec<Step>,
    /// The closing verify.
    pub verify: Vec<Verify>,
    /// What a resolved alert does to a run.
    pub on_resolved: OnResolved,
    /// No step begins later.
    pub deadline: Span,
    /// What goes back once all is well again.
    pub failback: Option<Failback>,
    /// Who follows its runs: one thread a run.
    pub notify: Vec<Arc<str>>,
    /// Whom to tell.
    pub escalate: Vec<Escalate>,
    /// It is a drill of another playbook.
    pub drill: Option<Drill>,
}

impl Playbook {
    /// Every step with those within it, in the order of the file: steps, handlers, branches, bodies, undos, `finally`.
    #[must_use]
    pub fn all_steps(&self) -> Vec<&Step> {
        let mut out = Vec::new();
        self.steps.iter().chain(&self.finally).for_each(|step| step.collect(&mut out));
        out
    }

    /// Every use of an action, however deep; what sub-runs use is theirs.
    pub fn uses(&self) -> impl Iterator<Item = &Use> {
        self.all_steps().into_iter().filter_map(|step| match &step.kind {
            StepKind::Use(action) => Some(&**action),
            _ => None,
        })
    }

    /// Whether any step of its own can destroy.
    #[must_use]
    pub fn destructive(&self) -> bool {
        self.uses().any(|action| action.destructive)
    }

    /// Whether it may act when something starts it.
    #[must_use]
    pub fn started_mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Observe)
    }

    /// Whether it may act when another playbook runs it: the stricter of the two.
    #[must_use]
    pub fn called_mode(&self, caller: Mode) -> Mode {
        if self.triggers.is_empty() { caller } else { caller.min(self.started_mode()) }
    }
}

impl Playbook {
    /// Asks the group that `default` names by its own name, for people to read.
    pub(crate) fn ask_by_name(&mut self, default: &Arc<str>) {
        let rename = |asked: &mut Approval| {
            if *asked.by == *DEFAULT_APPROVERS {
                asked.by = default.clone();
            }
        };
        self.guard.approval.iter_mut().for_each(rename);
        self.failback.iter_mut().filter_map(|failback| failback.approval.as_mut()).for_each(rename);
        let mut change = |step: &mut Step| {
            if let StepKind::Approve(approve) = &mut step.kind {
                rename(&mut approve.asked);
            }
        };
        self.steps.iter_mut().chain(&mut self.finally).for_each(|step| step.change(&mut change));
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
                Some(given) => input.read(given),
                None => input.default.clone(),
            };
            let value = value.ok_or_else(|| format!("input `{name}` is missing or no {}", input.kind))?;
            if !(input.one_of.is_empty() || input.one_of.contains(&value)) {
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
    /// A service.
    Service,
}

impl TargetKind {
    /// The word in YAML, which is the type of its object too.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Node => "node",
            Self::Group => "group",
            Self::Service => "service",
        }
    }
}

/// What starts a playbook.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Its name; its place in the list, from 1, unless given.
    pub id: Arc<str>,
    /// What must happen.
    pub on: On,
    /// Name of the target.
    pub target: Option<Template>,
    /// Inputs by name.
    pub inputs: Vec<(Arc<str>, Template)>,
    /// How long it must last, unbroken.
    pub hold: Span,
}

/// What must happen to start a playbook.
#[derive(Clone, Debug)]
pub enum On {
    /// An alert that these all match.
    Alert {
        /// Alertmanager's matchers.
        matchers: Vec<Matcher>,
        /// It is over, instead of firing.
        resolved: bool,
    },
    /// A verdict.
    Verdict {
        /// The check; `name/*` for all of its members.
        check: Arc<str>,
        /// What the verdict must be.
        is: Is,
    },
    /// A time.
    Schedule(Schedule),
    /// A person.
    Manual {
        /// The group that may; any operator unless given.
        by: Option<Arc<str>>,
    },
    /// The end of another playbook's run.
    Run {
        /// Which.
        playbook: PlaybookName,
        /// How; any end unless given.
        result: Option<RunResult>,
    },
    /// An event that came in from outside.
    Webhook {
        /// The last part of the path that it was posted to.
        path: Arc<str>,
        /// Name of the secret that its sender must have shown.
        secret: Arc<str>,
    },
}

/// What a verdict must be. *Unknown* is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Is {
    /// Up.
    Up,
    /// Degraded.
    Degraded,
    /// Down.
    Down,
    /// Degraded or down.
    NotUp,
    /// Up or degraded.
    NotDown,
}

impl Is {
    /// Every word.
    pub const ALL: [Self; 5] = [Self::Up, Self::Degraded, Self::Down, Self::NotUp, Self::NotDown];

    /// The word in YAML.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::NotUp => "not_up",
            Self::NotDown => "not_down",
        }
    }

    /// Whether a verdict is so.
    #[must_use]
    pub const fn holds(self, status: Status) -> bool {
        match self {
            Self::Up => matches!(status, Status::Up),
            Self::Degraded => matches!(status, Status::Degraded),
            Self::Down => matches!(status, Status::Down),
            Self::NotUp => matches!(status, Status::Degraded | Status::Down),
            Self::NotDown => matches!(status, Status::Up | Status::Degraded),
        }
    }
}

/// Which triggers together start a playbook: a window for each value of some labels, from its first event on.
#[derive(Clone, Debug)]
pub struct Correlate {
    /// Labels whose values name the window.
    pub by: Vec<Arc<str>>,
    /// How long the window is open.
    pub within: Span,
    /// Triggers that must all have come.
    pub all: Vec<Arc<str>>,
    /// Triggers that must not have come at the window's end.
    pub absent: Vec<Arc<str>>,
    /// How many must have come.
    pub count: Option<Count>,
}

/// How many events a window needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// At least so many…
    pub at_least: u32,
    /// … with different values of this label.
    pub distinct: Option<Arc<str>>,
}

/// What a playbook gives its caller.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: Arc<str>,
    /// Its value, once the steps went well.
    pub value: Expr,
}

/// What goes back once all is well again.
#[derive(Clone, Debug)]
pub struct Failback {
    /// The playbook that does it, for the same target.
    pub run: PlaybookName,
    /// What must be so…
    pub when: Expr,
    /// … for so long.
    pub hold: Span,
    /// Who must say yes; none only where `approval: none` is written.
    pub approval: Option<Approval>,
}

/// A drill: breaks something, and measures how another playbook repairs it.
#[derive(Clone, Debug)]
pub struct Drill {
    /// The playbook that is measured.
    pub of: PlaybookName,
    /// It must have repaired within this time.
    pub rto: Option<Span>,
    /// Documents that may be lost.
    pub rpo: Option<u32>,
    /// The check that counts what is lost.
    pub canary: Option<Arc<str>>,
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

impl Input {
    /// A value as it was given or recorded, of the input's type; text stands for every type. Objects of the inventory
    /// are their names.
    #[must_use]
    pub fn read(&self, given: &serde_json::Value) -> Option<Value> {
        crate::read::from_json(given, &self.kind)
    }
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
    /// What is done while the target is in maintenance.
    pub maintenance: Maintenance,
    /// When repairs of this kind keep failing.
    pub breaker: Option<Breaker>,
}

/// What is done while the target is in maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// It does not start.
    Skip,
    /// It starts at the end.
    Wait,
    /// As if there were none.
    Ignore,
}

/// A circuit breaker: repairs that keep failing stop; after a rest one is tried with approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many failed runs…
    pub failures: u32,
    /// … within this time open it…
    pub within: Span,
    /// … for so long.
    pub rest: Span,
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
    /// The service that the target is, with its groups.
    Service,
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
    /// End the run that holds it, and queue.
    CancelRunning,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinHealthy {
    /// How many.
    pub needed: Needed,
    /// Of which group; the target's unless given.
    pub group: Option<Template>,
}

/// How many healthy nodes must remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
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
    /// Its name, unlike any other of its playbook.
    pub id: Arc<str>,
    /// Otherwise it is skipped.
    pub condition: Option<Expr>,
    /// What is done when it fails.
    pub on_failure: OnFailure,
    /// What it does.
    pub kind: StepKind,
}

/// What is done when a step fails.
#[derive(Clone, Debug)]
pub enum OnFailure {
    /// The run ends.
    Stop,
    /// The run goes on.
    Continue,
    /// What was done is undone, and the run ends.
    Undo,
    /// These; when they go well, the run goes on.
    Steps(Vec<Step>),
}

impl Step {
    /// The lists of steps within it, in the order of the file.
    #[must_use]
    pub fn inner(&self) -> Vec<&[Step]> {
        let mut lists: Vec<&[Step]> = match &self.kind {
            StepKind::Parallel(parallel) => vec![&parallel.steps],
            StepKind::ForEach(each) => vec![&each.steps],
            StepKind::Choose(branches) => branches.iter().map(|branch| &*branch.steps).collect(),
            StepKind::Use(action) => match &action.undo {
                Undo::Steps(steps) => vec![steps],
                Undo::None | Undo::Action(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        if let OnFailure::Steps(steps) = &self.on_failure {
            lists.push(steps);
        }
        lists
    }

    fn collect<'s>(&'s self, out: &mut Vec<&'s Self>) {
        out.push(self);
        self.inner().into_iter().flatten().for_each(|step| step.collect(out));
    }

    fn change(&mut self, change: &mut impl FnMut(&mut Self)) {
        change(self);
        let mut lists: Vec<&mut Vec<Self>> = match &mut self.kind {
            StepKind::Parallel(parallel) => vec![&mut parallel.steps],
            StepKind::ForEach(each) => vec![&mut each.steps],
            StepKind::Choose(branches) => branches.iter_mut().map(|branch| &mut branch.steps).collect(),
            StepKind::Use(action) => match &mut action.undo {
                Undo::Steps(steps) => vec![steps],
                Undo::None | Undo::Action(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        if let OnFailure::Steps(steps) = &mut self.on_failure {
            lists.push(steps);
        }
        lists.into_iter().flatten().for_each(|step| step.change(change));
    }
}

/// Steps with those within them, in the order of the file.
pub(crate) fn all_of(steps: &[Step]) -> Vec<&Step> {
    let mut out = Vec::new();
    steps.iter().for_each(|step| step.collect(&mut out));
    out
}

/// Kinds of steps.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// Use an action.
    Use(Box<Use>),
    /// Watch a check until it holds.
    Verify(Verify),
    /// Run another playbook within this run.
    Run(Call),
    /// Several steps at once.
    Parallel(Parallel),
    /// The same steps for each item of a list.
    ForEach(ForEach),
    /// The first branch whose condition is true.
    Choose(Vec<Branch>),
    /// Ask a person.
    Approve(Approve),
    /// Compute values; later steps read them as `steps.<id>.result.<name>`.
    Set(Vec<(Arc<str>, Expr)>),
    /// Let time pass.
    Wait(Span),
}

/// Run another playbook within this run.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which.
    pub playbook: PlaybookName,
    /// Name of its target; the caller's own target unless given.
    pub target: Option<Template>,
    /// Its inputs.
    pub inputs: Vec<(Arc<str>, Template)>,
}

/// Several steps at once.
#[derive(Clone, Debug)]
pub struct Parallel {
    /// The steps.
    pub steps: Vec<Step>,
    /// How many at once.
    pub at_once: u32,
    /// No more begin once one has failed.
    pub fast: bool,
}

/// The same steps for each item of a list.
#[derive(Clone, Debug)]
pub struct ForEach {
    /// The list.
    pub list: Expr,
    /// What an item is called.
    pub name: Arc<str>,
    /// The steps.
    pub steps: Vec<Step>,
    /// How many items at once.
    pub at_once: u32,
    /// A longer list fails the step, and nothing is done.
    pub at_most: u32,
}

/// A branch of `choose`.
#[derive(Clone, Debug)]
pub struct Branch {
    /// When it is taken; none: the last, `else`.
    pub condition: Option<Expr>,
    /// What is done then.
    pub steps: Vec<Step>,
}

/// Use of an action.
#[derive(Clone, Debug)]
pub struct Use {
    /// Its declaration: whoever serves it must know the same.
    pub action: Arc<Action>,
    /// Its parameters.
    pub args: Vec<(Arc<str>, Arg)>,
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
    /// How it is undone.
    pub undo: Undo,
}

/// How a step is undone.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Not at all.
    None,
    /// By the action's own opposite, with the same parameters as far as it knows them.
    Action(Box<Use>),
    /// By steps.
    Steps(Vec<Step>),
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
    /// A service by name.
    Service(Arc<str>),
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
    /// A file of the set, filled in.
    File(Arc<File>),
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

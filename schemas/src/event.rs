//! Events: what was decided, in the past tense, with reasons and absolute deadlines. State is the fold of these
//! and of nothing else. A kind, once written, is never changed or taken away (rule 27).

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    CheckName, Domain, Fingerprint, Instance, PlaybookName, RunId, SetHash, Span, Timestamp,
    action::TellVerb,
    alert::Alert,
    check::Status,
    command::Task,
    fact::{Answer, Failure, Looks, NotCalled, Reconciled, Serves, Set, TellKey},
    id::{Genesis, RunnerName, Vantage},
    message::{Ask, Message},
    rate::Draw,
    roster::{By, Node},
    run::{Block, Decision, RunResult},
};

/// One decided thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The domain was created: only `init` writes it (rule 1).
    Genesis {
        /// Random: ids are `H(genesis, k)`.
        genesis: Genesis,
        /// The domain.
        domain: Domain,
    },
    /// An engine took the log over; its epoch is this record's sequence (rules 11 and 12).
    Takeover {
        /// Sequence of its `here` fact: nothing is dispatched until the cursor reaches it.
        here: u64,
        /// Stream time of that fact.
        until: Timestamp,
        /// Why nothing may be dispatched after that without an operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suspect: Option<Suspicion>,
        /// When the streams were created, as found by the first takeover; later ones compare (rule 4).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        streams: Option<Streams>,
    },
    /// Some of those in line for a lock were looked at.
    QueueLooked {
        /// Some of them went on: the next may be able to.
        more: bool,
    },
    /// Facts that are long past are still to be read: nothing is dispatched before they are (rule 13).
    FellBehind {
        /// The last of them that was known then.
        here: u64,
    },
    /// The active engine no longer trusts its clock: nothing is dispatched without an operator (rules 12 and 14).
    Suspected {
        /// Why.
        why: Suspicion,
    },
    /// The cursor reached the last fact seen at takeover (rule 13).
    CaughtUp,
    /// An operator looked and said: go on.
    SuspectCleared {
        /// Who.
        by: Arc<str>,
    },
    /// The log and the streams no longer agree: nothing is done (rule 4).
    Frozen {
        /// What was seen.
        reason: Arc<str>,
    },
    /// An operator looked at what the streams are now and said: go on from here.
    Reconciled {
        /// Who.
        by: Arc<str>,
        /// From where.
        what: Reconciled,
    },
    /// These files are in force.
    SetAccepted {
        /// The files.
        set: Set,
        /// Their identity.
        hash: SetHash,
        /// Who applied them; none: an engine read them from its own folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
    /// The stop switch was pulled.
    Stopped {
        /// Its number.
        stop_no: u64,
        /// By whom.
        by: Arc<str>,
    },
    /// The stop switch was released; the next one has the next number.
    Resumed {
        /// The number that was released.
        stop_no: u64,
        /// By whom.
        by: Arc<str>,
    },
    /// A fact that could not be decided was put aside (rules 10 and 29).
    FactRejected {
        /// Why.
        reason: Arc<str>,
    },
    /// A runner said what it serves.
    RunnerServes {
        /// Its name.
        runner: RunnerName,
        /// What.
        serves: Serves,
    },
    /// A vantage reported.
    LooksTaken {
        /// From where.
        vantage: Vantage,
        /// What.
        looks: Looks,
    },
    /// A vantage's report did not fit (a gap, a digest that differs): all its looks are unknown until it says all.
    ResyncAsked {
        /// Which.
        vantage: Vantage,
        /// Why.
        reason: Arc<str>,
    },
    /// Three digests missed: its looks are unknown (rule 22).
    VantageSilent {
        /// Which.
        vantage: Vantage,
    },
    /// A check's verdict changed.
    VerdictChanged {
        /// The check.
        check: CheckName,
        /// From.
        from: Status,
        /// To.
        to: Status,
        /// What a vantage that agrees with it saw, for people.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Arc<str>,
    },
    /// An alert began to fire, or something else happened that playbooks may start on.
    EpisodeOpened {
        /// The alert as it opened it; what is no alert is written like one.
        alert: Alert,
        /// What it is.
        #[serde(default, skip_serializing_if = "Source::is_alert")]
        source: Source,
    },
    /// The alert is over.
    EpisodeClosed {
        /// Which.
        fingerprint: Fingerprint,
        /// When, by the alert; `now` for a silent one.
        ended: Timestamp,
        /// How it is known.
        why: Closing,
    },
    /// The closed episode left the state.
    EpisodeForgotten {
        /// Which.
        fingerprint: Fingerprint,
    },
    /// What every playbook made of a stored alert. Exactly one for each.
    AlertDecided {
        /// The alert.
        fingerprint: Fingerprint,
        /// Whether it came firing or resolved.
        status: crate::alert::Status,
        /// Playbooks that matched, with outcome and reason; all others are `skipped: unmatched`.
        decisions: Vec<Decision>,
        /// What was read to decide: when it changes, the alert is decided again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reads: Vec<Read>,
        /// A known end of a block: decided again then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Timestamp>,
    },
    /// The same alert, decided again with another outcome or reason.
    AlertReconsidered {
        /// The alert.
        fingerprint: Fingerprint,
        /// As in `AlertDecided`.
        decisions: Vec<Decision>,
        /// As in `AlertDecided`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reads: Vec<Read>,
        /// As in `AlertDecided`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Timestamp>,
    },
    /// An event came into a window of a playbook's `correlate`; the first opens it.
    Correlated {
        /// The playbook.
        playbook: PlaybookName,
        /// Values of the labels that name the window.
        key: Arc<str>,
        /// The alert.
        fingerprint: Fingerprint,
        /// Which of the playbook's triggers it is.
        trigger: Arc<str>,
        /// Its value of the label that is counted.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        distinct: Arc<str>,
        /// When the window ends.
        until: Timestamp,
    },
    /// A window of a playbook's `correlate` is over.
    WindowClosed {
        /// The playbook.
        playbook: PlaybookName,
        /// Values of the labels that name the window.
        key: Arc<str>,
    },
    /// When a playbook's `schedule` is due next.
    Scheduled {
        /// The playbook.
        playbook: PlaybookName,
        /// Which of its triggers.
        trigger: Arc<str>,
        /// When; none: not any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// Another group serves a service from now on.
    ServiceMoved {
        /// The service.
        service: Arc<str>,
        /// The group.
        active: Arc<str>,
        /// The run that moved it.
        run: RunId,
    },
    /// A node is there that no file lists.
    NodeAdded {
        /// Its group.
        group: Arc<str>,
        /// The node.
        node: Node,
        /// Who says so.
        by: By,
    },
    /// A node is there no longer. One that a run took away stays known by its name, and counts no more.
    NodeRemoved {
        /// Its group.
        group: Arc<str>,
        /// The node as it was.
        node: Node,
        /// Who says so.
        by: By,
    },
    /// Nobody needs to know any more that a run took a node away.
    NodeForgotten {
        /// Its group.
        group: Arc<str>,
        /// Its name.
        node: Arc<str>,
    },
    /// Files, runs and provider do not say the same of a node. Nothing is done about it: people hear of it.
    Contradicted {
        /// The group.
        group: Arc<str>,
        /// The node's name.
        node: Arc<str>,
        /// Who says what.
        why: Arc<str>,
    },
    /// They say the same again.
    Agreed {
        /// The group.
        group: Arc<str>,
        /// The node's name.
        node: Arc<str>,
    },
    /// Something happened to the look-up of a group's nodes at its provider.
    Discovery {
        /// The group.
        group: Arc<str>,
        /// What.
        what: DiscoveryEvent,
    },
    /// A call has spent more of a credential's rate than it was reckoned with, or its provider said how much is left.
    RateTold {
        /// Name of the credential.
        credential: Arc<str>,
        /// Requests beyond what was reckoned with.
        #[serde(default, skip_serializing_if = "is_zero")]
        more: u32,
        /// Requests that the provider says are left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remaining: Option<u32>,
        /// Nothing is sent by this credential before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// There is room in a credential's rate: the first in line may go on.
    RateFree {
        /// Name of the credential.
        credential: Arc<str>,
        /// The run.
        run: RunId,
        /// The step instance.
        instance: Instance,
    },
    /// Repairs of a playbook kept failing: none begins before the rest is over, and then one, with approval.
    BreakerOpened {
        /// The playbook.
        playbook: PlaybookName,
        /// The end of the rest.
        until: Timestamp,
    },
    /// The trial went well.
    BreakerClosed {
        /// The playbook.
        playbook: PlaybookName,
    },
    /// What a drill measured.
    DrillMeasured {
        /// The drill's run.
        drill: RunId,
        /// The run that repaired.
        run: RunId,
        /// How it ended.
        result: RunResult,
        /// From the drill's first effect to that end.
        took: Span,
    },
    /// Something happened to a run.
    Run {
        /// The run.
        run: RunId,
        /// What.
        what: RunEvent,
    },
    /// Something happened to a message to people.
    Tell {
        /// Which.
        key: TellKey,
        /// What.
        what: TellEvent,
    },
    /// A result that came too late or from the wrong hands was put on record (rule 18).
    ResultIgnored {
        /// The run.
        run: RunId,
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// Why it does not count.
        reason: Arc<str>,
    },
    /// What a person wanted was not done.
    OperatorRefused {
        /// Who.
        by: Arc<str>,
        /// What they wanted.
        wanted: Arc<str>,
        /// Why not.
        reason: Arc<str>,
    },
    /// An operator allowed the next run on a target before its cooldown was over.
    CooldownCleared {
        /// Who.
        by: Arc<str>,
        /// The playbook.
        playbook: PlaybookName,
        /// The target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
    },
    /// Somebody is at it: nobody else is told of it any more.
    Acknowledged {
        /// Who.
        by: Arc<str>,
        /// The run, or the fingerprint of the alert.
        of: Arc<str>,
    },
    /// A verdict changes to and fro; told once, until it has been steady.
    Flapping {
        /// The check.
        check: CheckName,
        /// Changes within the time that is looked at.
        changes: u32,
    },
    /// A verdict that flapped has been steady.
    Steady {
        /// The check.
        check: CheckName,
    },
    /// The set in force expects an alert that always fires, or no longer does.
    WatchdogExpected {
        /// How often at least; none: not any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within: Option<Span>,
    },
    /// It came.
    WatchdogHeard,
    /// It did not: alerts may not arrive at all.
    WatchdogSilent,
    /// A manual start that did not become a run.
    StartRefused {
        /// Who asked.
        by: Arc<str>,
        /// The playbook.
        playbook: PlaybookName,
        /// Why not.
        reason: Arc<str>,
    },
}

/// What happened to the look-up of a group's nodes at its provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiscoveryEvent {
    /// The set in force wants it, from now on and by this tag: what an earlier one found is not compared with.
    Wanted {
        /// The provider.
        provider: Arc<str>,
        /// The tag.
        tag: Arc<str>,
    },
    /// The set in force wants it no longer.
    Unwanted,
    /// Nobody is asked for now; the next look then.
    Postponed {
        /// When.
        again_at: Timestamp,
    },
    /// A command goes out once this record is acknowledged.
    Asked {
        /// Which look.
        attempt: u32,
        /// What to do.
        task: Task,
        /// Rates that it draws on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        draws: Vec<Draw>,
        /// No answer by then: it failed.
        until: Timestamp,
    },
    /// The provider answered; what is new and what is gone follows.
    Found {
        /// Ids and names of all that it lists; none: the same as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        listed: Option<BTreeMap<Arc<str>, Arc<str>>>,
        /// The next look.
        again_at: Timestamp,
    },
    /// The look came to nothing, or to what nobody believes: what was known stays.
    Failed {
        /// Why.
        reason: Arc<str>,
        /// The next look.
        again_at: Timestamp,
    },
}

/// What an episode is made of. Only of alerts and verdicts can be said when they are over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An alert.
    #[default]
    Alert,
    /// A verdict.
    Verdict {
        /// The check.
        check: CheckName,
        /// What it must be: the word of the trigger.
        is: Arc<str>,
    },
    /// An event that came in from outside.
    Webhook(crate::fact::Event),
    /// A time.
    Schedule {
        /// The playbook that waits for it.
        playbook: PlaybookName,
        /// Which of its triggers.
        trigger: Arc<str>,
    },
    /// The end of a run.
    Run {
        /// The run.
        run: RunId,
        /// Its playbook.
        playbook: PlaybookName,
        /// How it ended.
        result: RunResult,
        /// What it acted on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
    },
    /// A repair that may be taken back once all is well.
    Failback {
        /// The run that repaired.
        run: RunId,
        /// Its playbook, which says when and by whom.
        playbook: PlaybookName,
        /// The playbook that takes it back.
        by: PlaybookName,
        /// What both act on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
    },
}

impl Source {
    /// Whether it is an alert.
    #[must_use]
    pub const fn is_alert(&self) -> bool {
        matches!(self, Self::Alert)
    }

    /// Whether it lasts, so that its end says something: an alert that resolves, a verdict that turns.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        matches!(self, Self::Alert | Self::Verdict { .. })
    }
}

/// Why an engine does not trust what it finds after a takeover (rule 14).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// The log was silent for longer than 15 minutes.
    Silent {
        /// How long.
        silence: Span,
    },
    /// The clocks of server and engine are more than 30 seconds apart.
    Skewed {
        /// Server minus engine.
        skew: Span,
    },
}

/// When each stream that lasts was created: a stream made anew is another stream, whatever its name (rule 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Streams {
    /// FACTS.
    pub facts: Timestamp,
    /// DECISIONS.
    pub decisions: Timestamp,
    /// TICKETS.
    pub tickets: Timestamp,
}

/// How it is known that an alert is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// Alertmanager said resolved.
    Resolved,
    /// Nothing was heard for `silent_after`.
    Silent,
}

/// What a decision read. Deciding again waits for a change of one of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// A check's verdict.
    Verdict(CheckName),
    /// A lock.
    Lock(Arc<str>),
    /// Who serves what.
    Servers,
    /// The stop switch, suspicion, the set in force.
    Domain,
}

/// What a run acts on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A node of the inventory.
    Node {
        /// Its group.
        group: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// A group of the inventory.
    Group {
        /// Its name.
        name: Arc<str>,
    },
    /// A service of the inventory.
    Service {
        /// Its name.
        name: Arc<str>,
    },
}

impl Target {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Node { name, .. } | Self::Group { name } | Self::Service { name } => name,
        }
    }

    /// The group it is or stands in; a service has several.
    #[must_use]
    pub fn group(&self) -> Option<&Arc<str>> {
        match self {
            Self::Node { group, .. } | Self::Group { name: group } => Some(group),
            Self::Service { .. } => None,
        }
    }

    /// Path of its lock: a prefix covers everything below it. A service's covers no group: those are locked beside it.
    #[must_use]
    pub fn lock(&self) -> Arc<str> {
        match self {
            Self::Node { group, name } => format!("{group}/{name}").into(),
            Self::Group { name } => name.clone(),
            Self::Service { name } => format!("service:{name}").into(),
        }
    }
}

/// How a run came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// By an alert.
    Alert {
        /// Its fingerprint.
        fingerprint: Fingerprint,
    },
    /// By hand.
    Manual {
        /// Who.
        by: Arc<str>,
    },
}

/// Whether the playbook may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Says what it would do.
    Observe,
    /// Asks before its first effect.
    Approve,
    /// Acts by itself.
    Auto,
}

/// A destructive attempt counted against a budget's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spend {
    /// `playbook/x`, `group/x`, `provider/x` or `domain`.
    pub key: Arc<str>,
    /// How many of the newest must be remembered for the budgets in force.
    pub keep: u32,
}

/// What to watch until it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Watch {
    /// The check.
    pub check: CheckName,
    /// The status to hold.
    pub is: Status,
    /// For how long.
    pub hold: Span,
    /// When to give up.
    pub until: Timestamp,
    /// A vantage's look older than this is unknown.
    pub fresh: Span,
    /// How many vantages must agree.
    pub quorum: u32,
    /// Only looks whose tick is at or after this record count (rule 23).
    pub after: u64,
}

/// What happened to a run. All legal orders of these stand in one `match` in the decider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// It began; it waits for nothing yet.
    Started {
        /// The playbook.
        playbook: PlaybookName,
        /// The set that pins plan, inventory and checks for its whole life.
        set: SetHash,
        /// What it acts on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
        /// Why.
        origin: Origin,
        /// Typed inputs.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        inputs: BTreeMap<Arc<str>, Value>,
        /// Whether it may act.
        mode: Mode,
        /// The locks that it needs: all of them, or none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        locks: Vec<Arc<str>>,
        /// When it stops waiting for them.
        wait_until: Timestamp,
        /// Which of the playbook's triggers started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trigger: Option<Arc<str>>,
        /// Who must say yes before its first effect.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asks: Option<Asks>,
        /// It is the one that is tried after the breaker's rest.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        trial: bool,
        /// The group that served the target, a service, when it began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        active: Option<Arc<str>>,
        /// W3C trace context of the alert's request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<Arc<str>>,
    },
    /// Another start for the same target joined it.
    Joined {
        /// The alert.
        fingerprint: Fingerprint,
    },
    /// It has its lock; the deadline counts from here.
    LockTaken {
        /// No step begins later.
        deadline: Timestamp,
    },
    /// Why it does not go on for now: told once for each reason.
    Held {
        /// What holds it.
        by: Block,
    },
    /// A `choose` took a branch.
    Chosen {
        /// The step instance.
        instance: Instance,
        /// Which, from 0.
        branch: u32,
    },
    /// Several steps begin at once.
    ParallelBegan {
        /// The step instance.
        instance: Instance,
    },
    /// The same steps begin for each item of a list.
    LoopBegan {
        /// The step instance.
        instance: Instance,
        /// What each item is called in the paths of its steps.
        names: Vec<Arc<str>>,
        /// The items: `{node: name}`, `{group: name}`, `{service: name}`, or the value itself.
        items: Vec<Value>,
    },
    /// Another playbook runs within this run.
    SubBegan {
        /// The step instance.
        instance: Instance,
        /// The playbook.
        playbook: PlaybookName,
        /// What it acts on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
        /// Typed inputs.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        inputs: BTreeMap<Arc<str>, Value>,
        /// Whether it may act.
        mode: Mode,
        /// None of its steps begins later.
        deadline: Timestamp,
        /// It goes on though the alert is over.
        goes_on: bool,
        /// The group that served its target, a service, when it began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        active: Option<Arc<str>>,
    },
    /// The playbook within this run is over.
    SubEnded {
        /// The step instance.
        instance: Instance,
        /// How.
        result: RunResult,
        /// Why, for people.
        reason: Arc<str>,
        /// Its outputs, when it went well.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        outputs: Value,
        /// What the caller does when it did not.
        then: Then,
    },
    /// What was to be done is over before its end; what is left is to settle what is under way, to undo, and `finally`.
    Concluded {
        /// The sub-run; none: the run itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<Instance>,
        /// How it will end.
        result: RunResult,
        /// Why, for people.
        reason: Arc<str>,
        /// What was done is undone.
        undo: bool,
        /// Nothing of what is left begins later.
        until: Timestamp,
    },
    /// The step was left out, or dropped before it was over.
    StepSkipped {
        /// The step instance.
        instance: Instance,
    },
    /// It waits in line for the rate of a credential: oldest run first.
    Paced {
        /// The step instance.
        instance: Instance,
        /// Name of the credential.
        credential: Arc<str>,
        /// Requests that it is reckoned with.
        requests: u32,
        /// There is no room for them before.
        until: Timestamp,
    },
    /// A command goes out once this record is acknowledged.
    Dispatched {
        /// The step instance.
        instance: Instance,
        /// The ticket's number.
        attempt: u32,
        /// What to do.
        task: Task,
        /// The stop number it goes under.
        stop_no: u64,
        /// Budgets it counts against; destructive attempts only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        spends: Vec<Spend>,
        /// Rates that it draws on: of every credential by which it may be done.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        draws: Vec<Draw>,
        /// The step gives up at this moment.
        until: Timestamp,
    },
    /// `claim_by` passed without result, or a runner refused without ticket: the engine tries to revoke it.
    Overdue {
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// Why trying again would be refused again: the step fails once the ticket is ours.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<Arc<str>>,
    },
    /// The ticket was revoked, or its holder never called: the attempt never began.
    Revoked {
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// What the runner said, if it was the runner.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_called: Option<NotCalled>,
        /// When to dispatch anew.
        again_at: Timestamp,
    },
    /// The revoke was lost to a runner: it has begun.
    Began {
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// Past this its outcome is unknown.
        until: Timestamp,
    },
    /// The attempt failed for sure.
    AttemptFailed {
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// Whether it may pass.
        kind: Failure,
        /// What the runner said.
        reason: Arc<str>,
        /// When it is tried again; absent: the step failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Timestamp>,
    },
    /// Nobody knows whether the effect took place (rule 17).
    AttemptUnknown {
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// What happened to the answer.
        reason: Arc<str>,
        /// What is done about it.
        next: AfterUnknown,
    },
    /// A look at the provider answered.
    Observed {
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// First or second.
        look: u8,
        /// What it saw.
        answer: Answer,
        /// When to look again; absent: this look settled it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Timestamp>,
    },
    /// A person answered an unknown outcome.
    Settled {
        /// The step instance.
        instance: Instance,
        /// Which try.
        attempt: u32,
        /// Whether the effect took place.
        done: bool,
        /// Who.
        by: Arc<str>,
    },
    /// The step is done.
    StepSucceeded {
        /// The step instance.
        instance: Instance,
        /// The action's result.
        result: Value,
    },
    /// The step failed.
    StepFailed {
        /// The step instance.
        instance: Instance,
        /// Why.
        reason: Arc<str>,
        /// What follows.
        then: Then,
    },
    /// A `wait` began.
    WaitBegan {
        /// The step instance.
        instance: Instance,
        /// Until when.
        until: Timestamp,
    },
    /// A verify began to watch; the closing one watches all its checks at once.
    VerifyBegan {
        /// The step instance; `closing` for the closing verify.
        instance: Instance,
        /// What must hold.
        watches: Vec<Watch>,
    },
    /// All its watches held.
    VerifyHeld {
        /// The step instance.
        instance: Instance,
    },
    /// Not all of its watches held in time.
    VerifyMissed {
        /// The step instance.
        instance: Instance,
        /// Which did not, and what was seen last.
        reason: Arc<str>,
    },
    /// A person is asked; no answer by then is a no.
    ApprovalAsked {
        /// What is asked, and what the answer is bound to.
        ask: Box<Ask>,
    },
    /// The first answer was yes.
    Approved {
        /// The step instance.
        instance: Instance,
        /// Who.
        by: Arc<str>,
        /// No step begins later, counted anew: the time of asking before the first effect is not the plan's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// The first answer was no.
    Denied {
        /// The step instance.
        instance: Instance,
        /// Who.
        by: Arc<str>,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Arc<str>,
    },
    /// Nobody answered in time.
    ApprovalExpired {
        /// The step instance.
        instance: Instance,
    },
    /// A person ends it: what is under way is settled, nothing more begins.
    Cancelled {
        /// Who.
        by: Arc<str>,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "str::is_empty")]
        reason: Arc<str>,
    },
    /// All its alerts resolved: it settles what is under way, drops the rest and looks (`on_resolved: cancel`).
    Resolved,
    /// It is over.
    Ended {
        /// How.
        result: RunResult,
        /// Why, for people.
        reason: Arc<str>,
    },
}

impl RunEvent {
    /// The step instance that it is about; none where it is about the run as a whole, or about a sub-run's conclusion.
    #[must_use]
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Self::Started { .. }
            | Self::Joined { .. }
            | Self::LockTaken { .. }
            | Self::Held { .. }
            | Self::Cancelled { .. }
            | Self::Resolved
            | Self::Concluded { .. }
            | Self::Ended { .. } => None,
            Self::ApprovalAsked { ask } => Some(&ask.instance),
            Self::Chosen { instance, .. }
            | Self::ParallelBegan { instance }
            | Self::LoopBegan { instance, .. }
            | Self::SubBegan { instance, .. }
            | Self::SubEnded { instance, .. }
            | Self::StepSkipped { instance }
            | Self::Paced { instance, .. }
            | Self::Dispatched { instance, .. }
            | Self::Overdue { instance, .. }
            | Self::Revoked { instance, .. }
            | Self::Began { instance, .. }
            | Self::AttemptFailed { instance, .. }
            | Self::AttemptUnknown { instance, .. }
            | Self::Observed { instance, .. }
            | Self::Settled { instance, .. }
            | Self::StepSucceeded { instance, .. }
            | Self::StepFailed { instance, .. }
            | Self::WaitBegan { instance, .. }
            | Self::VerifyBegan { instance, .. }
            | Self::VerifyHeld { instance }
            | Self::VerifyMissed { instance, .. }
            | Self::Approved { instance, .. }
            | Self::Denied { instance, .. }
            | Self::ApprovalExpired { instance } => Some(instance),
        }
    }
}

/// What follows when a step has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The end.
    Stop,
    /// The next step.
    Continue,
    /// What was done is undone; then the end.
    Undo,
    /// The step's own steps for this; when they go well, the next one.
    Steps,
}

/// Who must say yes before a run's first effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asks {
    /// The group of approvers.
    pub by: Arc<str>,
    /// How long an answer is waited for.
    pub within: Span,
}

/// What is done about an unknown outcome, by effect class (rule 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterUnknown {
    /// Idempotent: tried again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// Reconcilable: looked up.
    Observe,
    /// At most once, or tried too often: a person says.
    Ask,
    /// Read, or tried too often though harmless: the step failed.
    Fail,
}

/// What happened to a message to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TellEvent {
    /// It shall be said.
    Queued {
        /// Not before.
        at: Timestamp,
        /// What.
        text: Arc<str>,
        /// The playbook whose `escalate` asks; none where the system speaks of itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        playbook: Option<PlaybookName>,
        /// The episode that asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        /// Every open episode that it is about: with the last of them it is over.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        about: Vec<Fingerprint>,
        /// All there is to say; `text` is its shortest form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<Message>>,
        /// It is a thread: brought up to date until it is closed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Its thread goes on.
    Renewed {
        /// What there is to say now.
        message: Box<Message>,
        /// Goes on, or ends.
        verb: TellVerb,
    },
    /// It went to the notifier.
    Dispatched {
        /// Which try.
        attempt: u32,
        /// Which message of its thread; the first is 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        nth: u32,
        /// The task.
        task: Task,
        /// No answer by then: sent again.
        until: Timestamp,
    },
    /// It was said.
    Told,
    /// It was said, and its thread stays open.
    Posted {
        /// What the receiver came back with: where the thread is.
        opened: Value,
    },
    /// It could not be said.
    Failed {
        /// Why.
        reason: Arc<str>,
        /// Next try.
        again_at: Timestamp,
    },
    /// Given up: the reason stands in the log and in the metrics.
    GivenUp {
        /// Why.
        reason: Arc<str>,
    },
    /// The alert resolved before it was due.
    Dropped,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

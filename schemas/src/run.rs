//! Words about runs and decisions that stand in events, tables and `explain` alike.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{PlaybookName, RunId, Timestamp};

/// How a run ended (language.md, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// The closing verify held.
    Repaired,
    /// All steps went well and there is no closing verify.
    Done,
    /// Mode `observe`: it said what it would have done.
    Observed,
    /// A step or the closing verify failed.
    Failed,
    /// A step failed, and what was done before it is undone.
    Undone,
    /// It is not known whether an effect took place.
    Unknown,
    /// A guard refused in mid-run, or the stop outlasted the deadline.
    Blocked,
    /// Its reason to run went away before it did anything.
    Cancelled,
    /// A person said no.
    Denied,
    /// Nobody said yes in time.
    Expired,
}

impl RunResult {
    /// Whether somebody must be told by `escalate`.
    #[must_use]
    pub const fn escalates(self) -> bool {
        matches!(self, Self::Failed | Self::Undone | Self::Unknown | Self::Blocked | Self::Expired)
    }

    /// Every result.
    pub const ALL: [Self; 10] = [
        Self::Repaired,
        Self::Done,
        Self::Observed,
        Self::Failed,
        Self::Undone,
        Self::Unknown,
        Self::Blocked,
        Self::Cancelled,
        Self::Denied,
        Self::Expired,
    ];

    /// Whether what was to be done is done, as far as can be told.
    #[must_use]
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Repaired | Self::Done | Self::Observed)
    }

    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Repaired => "repaired",
            Self::Done => "done",
            Self::Observed => "observed",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }
}

/// What a playbook made of an alert: the outcome with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It started a run.
    Started {
        /// The run.
        run: RunId,
    },
    /// A run for the same target is open.
    Joined {
        /// The run.
        run: RunId,
    },
    /// It wanted to and may not.
    Blocked(Block),
    /// It did not want to.
    Skipped(Skip),
}

impl Outcome {
    /// Started over joined over blocked over skipped: the strongest speaks for the alert.
    #[must_use]
    pub const fn strength(&self) -> u8 {
        match self {
            Self::Started { .. } => 3,
            Self::Joined { .. } => 2,
            Self::Blocked(_) => 1,
            Self::Skipped(_) => 0,
        }
    }
}

/// Why a playbook did not want to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// No trigger matches.
    Unmatched,
    /// `when` is false.
    WhenFalse,
    /// `when` needs a verdict that nobody can give.
    WhenUnknown {
        /// The checks without verdict, or the failure of the expression.
        because: Arc<str>,
    },
    /// The alert is resolved, or closed too recently to be a new one.
    Resolved,
    /// A run of this playbook has dealt with this episode.
    Handled {
        /// That run.
        run: RunId,
        /// How it ended.
        result: RunResult,
    },
    /// No set of playbooks is in force.
    NoSet,
    /// It has not lasted long enough.
    Pending {
        /// When it will have, if nothing changes.
        until: Timestamp,
    },
    /// What else must have come has not.
    Correlation {
        /// What there is, and what is needed.
        saw: Arc<str>,
    },
    /// The target is in maintenance.
    Maintenance {
        /// Until when, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A run took the target away.
    Gone,
}

/// Why a playbook may not run: which guard, and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// The target is not in the inventory, or of the wrong kind.
    Target {
        /// What was looked for, or why it could not be told.
        wanted: Arc<str>,
    },
    /// Another run holds the lock, or did until the wait was over.
    Lock {
        /// The lock.
        lock: Arc<str>,
        /// Who holds it.
        holder: RunId,
    },
    /// Too soon after the last run.
    Cooldown {
        /// When it is over.
        until: Timestamp,
    },
    /// Too many destructive attempts.
    Budget {
        /// Which budget.
        budget: Arc<str>,
        /// When the next is free.
        until: Timestamp,
    },
    /// Too few healthy others.
    MinHealthy {
        /// Healthy other nodes seen.
        healthy: u32,
        /// Needed.
        needed: u32,
    },
    /// The stop switch is on.
    Stopped {
        /// Its number.
        stop_no: u64,
    },
    /// The domain is suspect: an operator must look first.
    Suspect,
    /// No runner serves an action that it uses.
    NoServer {
        /// The action.
        action: Arc<str>,
        /// Where.
        zone: crate::Zone,
    },
    /// Who serves an action has another declaration of it: one of the two is older.
    OtherDeclaration {
        /// The action.
        action: Arc<str>,
        /// The runner.
        runner: crate::id::RunnerName,
    },
    /// The verdict is known to be needed and is not there (only in mid-run).
    WhenUnknown {
        /// The checks without verdict.
        because: Arc<str>,
    },
    /// Repairs of this kind kept failing.
    Breaker {
        /// When one is tried again; past: one is being tried.
        until: Timestamp,
    },
    /// Too many of the group are not up: what is wrong is bigger than one node.
    Storm {
        /// The group.
        group: Arc<str>,
        /// Nodes that are not up.
        down: u32,
        /// Nodes.
        of: u32,
    },
    /// The target is in maintenance (only in mid-run).
    Maintenance,
    /// More open runs than the domain allows.
    Full {
        /// The bound.
        max: u32,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmatched => write!(out, "unmatched"),
            Self::WhenFalse => write!(out, "when_false"),
            Self::WhenUnknown { because } => write!(out, "when_unknown: {because}"),
            Self::Resolved => write!(out, "resolved"),
            Self::Handled { run, result } => write!(out, "handled: {} by run {run}", result.word()),
            Self::NoSet => write!(out, "no set of playbooks is in force"),
            Self::Pending { until } => write!(out, "pending: until {until}"),
            Self::Correlation { saw } => write!(out, "correlation: {saw}"),
            Self::Maintenance { until: Some(until) } => write!(out, "maintenance: until {until}"),
            Self::Maintenance { until: None } => write!(out, "maintenance"),
            Self::Gone => write!(out, "gone: a run took the node away"),
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target { wanted } => write!(out, "target: {wanted}"),
            Self::Lock { lock, holder } => write!(out, "lock: {lock} is held by run {holder}"),
            Self::Cooldown { until } => write!(out, "cooldown: until {until}"),
            Self::Budget { budget, until } => write!(out, "budget: {budget} is spent until {until}"),
            Self::MinHealthy { healthy, needed } => {
                write!(out, "min_healthy: {healthy} healthy others of {needed} needed")
            }
            Self::Stopped { stop_no } => write!(out, "stopped: switch {stop_no} is on"),
            Self::Suspect => write!(out, "suspect: an operator must look first"),
            Self::NoServer { action, zone } => {
                write!(out, "no_server: nobody serves {action} in zone {zone}")
            }
            Self::OtherDeclaration { action, runner } => {
                write!(
                    out,
                    "other_declaration: runner {runner} knows {action} by another declaration; run one release everywhere"
                )
            }
            Self::WhenUnknown { because } => write!(out, "when_unknown: {because}"),
            Self::Breaker { until } => write!(out, "breaker: open until {until}, then one is tried"),
            Self::Storm { group, down, of } => {
                write!(out, "storm: {down} of {of} nodes of {group} are not up")
            }
            Self::Maintenance => write!(out, "maintenance"),
            Self::Full { max } => write!(out, "full: {max} runs are open"),
        }
    }
}

/// A playbook and what it made of the alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The playbook.
    pub playbook: PlaybookName,
    /// Outcome with reason.
    pub outcome: Outcome,
}

//! The set: all files together, checked together. Either there are no errors, or there is no set.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regreen_schemas::{
    CheckName, PlaybookName, Span,
    alert::{Alert, Status as Firing},
    check::Status,
    event::Mode,
    view,
};

use crate::{
    action::Action,
    check,
    diagnostic::{Findings, Place, Source},
    inventory::Inventory,
    keys,
    matcher::Matcher,
    model::{Budget, BudgetScope, Is, Playbook},
    read,
    roster::Drafts,
    tree,
    walk::Walk,
};

/// Everything that decisions read, beside facts.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// Playbooks by name.
    pub playbooks: BTreeMap<PlaybookName, Playbook>,
    /// What they may act on.
    pub inventory: Inventory,
    /// Checks, one for each member, by name.
    pub checks: BTreeMap<CheckName, view::Check>,
    /// For each check, the joined ones that depend on it.
    pub joined: BTreeMap<CheckName, Vec<CheckName>>,
    /// Groups of people who may say yes.
    pub approvers: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Channels by name.
    pub receivers: BTreeMap<Arc<str>, Receiver>,
    /// The alert that always fires.
    pub watchdog: Option<Watchdog>,
    /// Receivers that hear of the system itself.
    pub system: Vec<Arc<str>>,
    /// Checks of kind `silences` by the node or group that they look at: what is silenced is in maintenance.
    pub silences: BTreeMap<Arc<str>, Vec<CheckName>>,
    /// Actions by name: those of this build, and those that `actions:` files declare.
    pub actions: BTreeMap<Arc<str>, Arc<Action>>,
    /// What no playbook exceeds.
    pub ceilings: Ceilings,
    /// Verdicts that triggers wait for: the check or its pattern, and what it must be.
    pub verdicts_wanted: BTreeSet<(Arc<str>, Is)>,
    /// Playbooks that others follow.
    pub followed: BTreeSet<PlaybookName>,
    /// Whether any playbook is a drill.
    pub drills: bool,
    /// For each kind of budget in use: the largest `max`, so that enough is remembered.
    pub budgets: BTreeMap<BudgetScope, u32>,
    /// What inventory and checks are made from, again whenever nodes come or go.
    pub(crate) drafts: Arc<Drafts>,
}

/// What no playbook exceeds.
#[derive(Clone, Debug)]
pub struct Ceilings {
    /// The most that any playbook may do.
    pub mode: Mode,
    /// Share of nodes in percent, for groups that say nothing.
    pub storm: u32,
    /// Budgets that hold for all playbooks together.
    pub budgets: Vec<Budget>,
}

/// Share of a group's nodes, in percent: when more are not up, nothing destructive is done to it.
pub const STORM: u32 = 50;

impl Default for Ceilings {
    fn default() -> Self {
        Self { mode: Mode::Auto, storm: STORM, budgets: Vec::new() }
    }
}

/// An alert that always fires: Prometheus's Watchdog. When it stays away, alerts may not arrive at all.
#[derive(Clone, Debug)]
pub struct Watchdog {
    /// Which alert.
    pub matchers: Vec<Matcher>,
    /// How often at least.
    pub within: Span,
}

impl Watchdog {
    /// Whether this is it.
    #[must_use]
    pub fn is(&self, alert: &Alert) -> bool {
        alert.status == Firing::Firing && self.matchers.iter().all(|matcher| matcher.matches(&alert.labels))
    }
}

/// The group that narrows who may operate.
pub const OPERATORS: &str = "operators";

impl Set {
    /// Whether somebody may operate: any credential that was made for a person may, unless there is a group that says
    /// who.
    #[must_use]
    pub fn operates(&self, who: &str) -> bool {
        self.approvers.get(OPERATORS).is_none_or(|people| people.contains(who))
    }

    /// The checks that a verify of this one watches: itself, or all that an `all` joins.
    ///
    /// # Errors
    /// When there is no such check, or it has no looks that could be counted.
    pub fn looked_at(&self, name: &str, is: Status) -> Result<Vec<&view::Check>, String> {
        let check = self.checks.get(name).ok_or_else(|| format!("there is no check `{name}`"))?;
        let view::Kind::Of { join, checks } = &check.kind else { return Ok(vec![check]) };
        if *join != view::Join::All || is != Status::Up {
            return Err(format!("`{name}` is joined from others: it has no looks of its own"));
        }
        let members: Result<Vec<_>, String> =
            checks.iter().map(|member| self.looked_at(member.as_str(), is)).collect();
        Ok(members?.concat())
    }
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// `log`, `webhook`, `slack`, `pagerduty` or `email`.
    pub kind: &'static str,
    /// What the kind needs; secrets are references.
    pub to: serde_json::Value,
}

/// Reads and checks all files: documents, and `.hbs` files that they name. Tests of playbooks are left alone. With
/// errors there is no set.
#[must_use]
pub fn load(sources: Vec<Source>) -> (Option<Set>, Findings) {
    let mut findings = Findings { sources, list: Vec::new() };
    let draft = read::everything(&mut findings);
    let set = check::together(draft, &mut findings);
    findings.sort();
    (if findings.has_errors() { None } else { Some(set) }, findings)
}

/// Which kind of document it is, by its keys.
pub(crate) fn kind_of(walk: &mut Walk<'_>, document: &tree::Node) -> Option<&'static str> {
    let version = document.get("apiVersion");
    if version.and_then(tree::Node::text) != Some("regreen/v1") {
        let at = version.map_or(document.range.start..document.range.start + 1, |node| node.range.clone());
        let at = Place { file: walk.file, range: at };
        walk.findings.error(108, at, "`apiVersion: regreen/v1` must come first", "this document", "add it");
        return None;
    }
    let found = keys::KINDS.iter().find(|kind| document.get(kind).is_some());
    if found.is_none() {
        let hint = format!("one of {} says what this is", keys::KINDS.join(", "));
        walk.missing(document, "the document does not say what it is", "this document", hint);
    }
    found.copied()
}
